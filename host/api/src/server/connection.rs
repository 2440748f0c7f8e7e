//! Speaking HTTP on a connection.

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, SystemTime};

use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use hyper_util::server::graceful::Watcher;
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use super::Limits;
use crate::app::App;
use crate::auth::User;

const HEADERS: usize = 64 << 10;
/// Requests at once on one HTTP/2 connection.
const STREAMS: u32 = 250;
/// What of a request's body may wait to be read, and of all bodies of a connection: enough for every stream to fill its
/// share, so that one which is read slowly (output of a process on its way to a slow client) stops no other.
const STREAM_WINDOW: u32 = 128 << 10;
const CONNECTION_WINDOW: u32 = STREAMS * STREAM_WINDOW;

/// Serves one connection.
pub(super) async fn serve(
    stream: TcpStream,
    acceptor: TlsAcceptor,
    app: Arc<App>,
    builders: Builders,
    watcher: Watcher,
    limits: Limits,
) {
    let stream = match tokio::time::timeout(limits.patience, acceptor.accept(stream)).await {
        Ok(Ok(stream)) => stream,
        Ok(Err(error)) => {
            tracing::debug!(%error, "TLS handshake failed");
            return;
        }
        Err(_) => return,
    };
    let (user, outdated) = (certificate_user(&stream), certificate_end(&stream));
    let proven = Arc::new(AtomicBool::new(user.is_some()));
    let known = proven.clone();
    let service = service_fn(move |request: hyper::Request<Incoming>| {
        let (app, user, proven) = (app.clone(), user.clone(), known.clone());
        async move { Ok::<_, Infallible>(app.answer(request, user, &proven).await) }
    });
    let builder = builders.of(&stream).clone();
    let connection = builder.serve_connection_with_upgrades(TokioIo::new(stream), service).into_owned();
    let strangers = async {
        tokio::time::sleep(limits.patience).await;
        if proven.load(Ordering::Relaxed) {
            std::future::pending().await
        }
    };
    tokio::select! {
        ended = watcher.watch(connection) => if let Err(error) = ended {
            tracing::debug!(%error, "connection ended early");
        },
        // Places are few: who has not said by now who it is, makes room.
        () = strangers => {}
        // Whoever has a newer one shows it on its next connection.
        () = outdated => tracing::debug!("a client's certificate is over, and so is its connection"),
    }
}

/// How a connection is spoken on. Chosen by what TLS has agreed on: to wait for the first bytes would have no end.
#[derive(Clone)]
pub(crate) struct Builders {
    http1: Arc<auto::Builder<TokioExecutor>>,
    http2: Arc<auto::Builder<TokioExecutor>>,
}

impl Builders {
    pub(crate) fn new(limits: Limits) -> Self {
        Self { http1: Arc::new(builder(limits).http1_only()), http2: Arc::new(builder(limits).http2_only()) }
    }

    fn of(&self, stream: &TlsStream<TcpStream>) -> &Arc<auto::Builder<TokioExecutor>> {
        self.speaking(stream.get_ref().1.alpn_protocol() == Some(b"h2"))
    }

    pub(crate) fn speaking(&self, h2: bool) -> &Arc<auto::Builder<TokioExecutor>> {
        if h2 { &self.http2 } else { &self.http1 }
    }
}

/// Until the client's certificate is over.
fn certificate_end(stream: &TlsStream<TcpStream>) -> impl Future<Output = ()> + Send + use<> {
    let certificate = stream.get_ref().1.peer_certificates().and_then(|chain| chain.first());
    let until = certificate.and_then(|der| crate::pki::good_until(der));
    async move {
        let Some(until) = until else { return std::future::pending().await };
        tokio::time::sleep(until.duration_since(SystemTime::now()).unwrap_or_default()).await;
    }
}

fn certificate_user(stream: &TlsStream<TcpStream>) -> Option<Arc<User>> {
    let certificate = stream.get_ref().1.peer_certificates()?.first()?;
    User::of_certificate(certificate).map(Arc::new)
}

fn builder(limits: Limits) -> auto::Builder<TokioExecutor> {
    let mut builder = auto::Builder::new(TokioExecutor::new());
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(limits.patience)
        .max_buf_size(HEADERS)
        .max_headers(128);
    builder
        .http2()
        .timer(TokioTimer::new())
        .keep_alive_interval(Duration::from_secs(30))
        .keep_alive_timeout(Duration::from_secs(20))
        .max_concurrent_streams(STREAMS)
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .max_header_list_size(HEADERS as u32);
    builder
}
