//! A listener of a dialect's own.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use axum::body::Body;
use http::{Request, Response, StatusCode};
use hyper::body::Incoming;
use hyper::rt::{Read, Write};
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use hyper_util::server::graceful::Watcher;
use tokio::net::TcpStream;
use tokio::task::JoinHandle;
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;

use super::Mounts;
use crate::server::{Builders, Error, Limits, Tls, accept, acceptor, listen};
use crate::wire::reply;

/// Where a listener listens, and how.
pub struct Socket {
    /// Port 0 picks a free one.
    pub address: SocketAddr,
    /// Without: plain HTTP.
    pub tls: Option<Tls>,
    /// Of requests and connections.
    pub limits: Limits,
}

/// A running listener.
pub struct Listener {
    address: SocketAddr,
    stop: CancellationToken,
    task: JoinHandle<()>,
}

impl Listener {
    /// Listens and hands requests to whatever is mounted, until it is told to stop.
    pub async fn start(socket: Socket, mounts: Mounts) -> Result<Self, Error> {
        let failed = |source| Error::Listen { address: socket.address, source };
        let acceptor = socket.tls.map(acceptor).transpose()?;
        let listener = listen(socket.address).map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        let stop = CancellationToken::new();
        let limits = socket.limits;
        let serving = Arc::new(Serving { acceptor, mounts, limits, builders: Builders::new(limits) });
        let serve = move |stream, watcher| serving.clone().connection(stream, watcher);
        let task = tokio::spawn(accept(listener, limits, stop.clone(), serve));
        Ok(Self { address, stop, task })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Lets requests finish within the drain limit, then closes.
    pub async fn stop(self) {
        self.stop.cancel();
        if let Err(error) = self.task.await {
            tracing::error!(%error, "a dialect's listener ended badly");
        }
    }
}

struct Serving {
    acceptor: Option<TlsAcceptor>,
    mounts: Mounts,
    limits: Limits,
    builders: Builders,
}

impl Serving {
    async fn connection(self: Arc<Self>, stream: TcpStream, watcher: Watcher) {
        let Some(acceptor) = &self.acceptor else {
            return self.speak(TokioIo::new(stream), false, watcher).await;
        };
        match tokio::time::timeout(self.limits.patience, acceptor.accept(stream)).await {
            Ok(Ok(stream)) => {
                let h2 = stream.get_ref().1.alpn_protocol() == Some(b"h2");
                self.speak(TokioIo::new(stream), h2, watcher).await;
            }
            Ok(Err(error)) => tracing::debug!(%error, "TLS handshake failed"),
            Err(_) => {}
        }
    }

    async fn speak<S: Read + Write + Unpin + Send + 'static>(self: &Arc<Self>, stream: S, h2: bool, watcher: Watcher) {
        let serving = self.clone();
        let asked = Arc::new(AtomicBool::new(false));
        let known = asked.clone();
        let service = service_fn(move |request: Request<Incoming>| {
            let (serving, under_way) = (serving.clone(), known.clone());
            async move {
                let answer = serving.answer(request).await;
                under_way.store(true, Ordering::Relaxed);
                Ok::<_, Infallible>(answer)
            }
        });
        let silent = async {
            // Places are few: who asks nothing for so long makes room. Each request under way holds one more of `asked`.
            while let () = tokio::time::sleep(self.limits.patience).await
                && (asked.swap(false, Ordering::Relaxed) || Arc::strong_count(&asked) > 2)
            {}
        };
        let builder = self.builders.speaking(h2).clone();
        let connection = builder.serve_connection(stream, service).into_owned();
        tokio::select! {
            ended = watcher.watch(connection) => if let Err(error) = ended {
                tracing::debug!(%error, "connection ended early");
            },
            () = silent => {}
        }
    }

    async fn answer(&self, request: Request<Incoming>) -> Response<Body> {
        let (head, body) = request.into_parts();
        match self.mounts.find(&head) {
            Some(dialect) => dialect.answer(head, body, self.limits, None).await,
            None => reply::text(StatusCode::NOT_FOUND, "no API of this address has such a request\n"),
        }
    }
}
