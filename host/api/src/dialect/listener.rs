//! A listener of a dialect's own.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;

use axum::body::Body;
use http::{Request, Response, StatusCode};
use hyper::body::Incoming;
use hyper::rt::{Read, Write};
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use hyper_util::server::graceful::{GracefulShutdown, Watcher};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinHandle;
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;

use super::Mounts;
use crate::server::{Builders, Error, Limits, Tls, acceptor, listen};
use crate::wire::reply;

/// Connections at once.
const CONNECTIONS: usize = 1024;

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
        let serving = Serving { acceptor, mounts, limits: socket.limits, builders: Builders::new(socket.limits) };
        let task = tokio::spawn(accept(listener, Arc::new(serving), stop.clone()));
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

async fn accept(listener: TcpListener, serving: Arc<Serving>, stop: CancellationToken) {
    let places = Arc::new(Semaphore::new(CONNECTIONS));
    let graceful = GracefulShutdown::new();
    loop {
        let next = async {
            let place = places.clone().acquire_owned().await.ok()?;
            Some((listener.accept().await, place))
        };
        let (accepted, place) = tokio::select! {
            () = stop.cancelled() => break,
            next = next => match next { Some(next) => next, None => break },
        };
        match accepted {
            Ok((stream, _)) => {
                tokio::spawn(serving.clone().connection(stream, graceful.watcher(), place));
            }
            Err(error) => {
                tracing::warn!(%error, "can't accept a connection");
                tokio::time::sleep(crate::server::ACCEPT_BACKOFF).await;
            }
        }
    }
    drop(listener);
    if tokio::time::timeout(serving.limits.drain, graceful.shutdown()).await.is_err() {
        tracing::warn!("requests of a dialect were still under way at shutdown and are cut off");
    }
}

impl Serving {
    async fn connection(self: Arc<Self>, stream: TcpStream, watcher: Watcher, _place: OwnedSemaphorePermit) {
        let _ = stream.set_nodelay(true);
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
        let service = service_fn(move |request: Request<Incoming>| {
            let serving = serving.clone();
            async move { Ok::<_, Infallible>(serving.answer(request).await) }
        });
        let builder = self.builders.speaking(h2).clone();
        let connection = builder.serve_connection(stream, service).into_owned();
        if let Err(error) = watcher.watch(connection).await {
            tracing::debug!(%error, "connection ended early");
        }
    }

    async fn answer(&self, request: Request<Incoming>) -> Response<Body> {
        let (head, body) = request.into_parts();
        match self.mounts.find(&head) {
            Some(dialect) => dialect.answer(head, body, self.limits).await,
            None => reply::text(StatusCode::NOT_FOUND, "no API of this address has such a request\n"),
        }
    }
}
