//! A port: connections and what bounds them.

use std::convert::Infallible;
use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use hyper::Request;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use hyper_util::server::graceful::GracefulShutdown;
use metrics::Gauge;
use nix::errno::Errno;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use tracing::{debug, warn};

use super::answer::{Client, Door};

/// A pause after `accept` failed, chiefly for want of file descriptors.
const ACCEPT_BACKOFF: Duration = Duration::from_millis(50);
/// For a handshake, for the head of a request, and between two requests of a connection.
const PATIENCE: Duration = Duration::from_secs(60);
/// For what is under way when a listener goes.
const DRAIN: Duration = Duration::from_secs(10);
/// Bytes and lines of a request's head. Beyond that it is answered with 431.
const HEAD: usize = 64 << 10;
const LINES: usize = 128;
/// Requests at once on one HTTP/2 connection.
const STREAMS: u32 = 250;
/// What of a request's body may wait to be read, and of all bodies of a connection.
const STREAM_WINDOW: u32 = 128 << 10;
const CONNECTION_WINDOW: u32 = 2 << 20;

/// The same, with a little patience for a listener that is just going.
pub async fn bind_soon(port: u16) -> io::Result<TcpListener> {
    for _ in 0..10 {
        match bind(port) {
            Err(error) if error.kind() == io::ErrorKind::AddrInUse => tokio::time::sleep(ACCEPT_BACKOFF / 2).await,
            other => return other,
        }
    }
    bind(port)
}

/// Accepts on a port of every address of the node, of both families where there are both.
pub fn bind(port: u16) -> io::Result<TcpListener> {
    match bind_to(SocketAddr::from((Ipv6Addr::UNSPECIFIED, port))) {
        Err(error)
            if error.raw_os_error() == Some(Errno::EAFNOSUPPORT as i32)
                || error.kind() == io::ErrorKind::AddrNotAvailable =>
        {
            bind_to(SocketAddr::from((Ipv4Addr::UNSPECIFIED, port)))
        }
        other => other,
    }
}

fn bind_to(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    socket.set_reuseaddr(true)?;
    socket.set_keepalive(true)?;
    socket.bind(address)?;
    socket.listen(4096)
}

/// What all listeners of a proxy share.
#[derive(Clone)]
pub struct Bounds {
    /// Connections at once; more wait in the system's queue.
    pub places: Arc<Semaphore>,
}

/// Accepts until it is told to stop; then what is under way may end, for a while.
pub async fn run(
    listener: TcpListener,
    door: Arc<Door>,
    tls: Option<TlsAcceptor>,
    bounds: Bounds,
    stop: CancellationToken,
) {
    let serving =
        Serving { door, tls, plain: Arc::new(builder().http1_only()), http2: Arc::new(builder().http2_only()) };
    let open = metrics::gauge!("gantry_proxy_connections", "port" => serving.door.port.to_string());
    let graceful = GracefulShutdown::new();
    loop {
        let place = tokio::select! {
            () = stop.cancelled() => break,
            place = bounds.places.clone().acquire_owned() => place,
        };
        let Ok(place) = place else { break };
        let (stream, peer) = tokio::select! {
            () = stop.cancelled() => break,
            accepted = listener.accept() => match accepted {
                Ok(accepted) => accepted,
                Err(error) => {
                    warn!(%error, "a proxy can't accept a connection");
                    tokio::time::sleep(ACCEPT_BACKOFF).await;
                    continue;
                }
            },
        };
        let counted = Counted::new(&open);
        let (serving, watcher) = (serving.clone(), graceful.watcher());
        tokio::spawn(async move {
            let _counted = counted;
            serving.connection(stream, peer, watcher, place).await;
        });
    }
    drop(listener);
    if tokio::time::timeout(DRAIN, graceful.shutdown()).await.is_err() {
        warn!(port = serving.door.port, "requests were still under way when a listener went, and are cut off");
    }
}

#[derive(Clone)]
struct Serving {
    door: Arc<Door>,
    tls: Option<TlsAcceptor>,
    plain: Arc<auto::Builder<TokioExecutor>>,
    http2: Arc<auto::Builder<TokioExecutor>>,
}

impl Serving {
    async fn connection(
        self,
        stream: TcpStream,
        peer: SocketAddr,
        watcher: hyper_util::server::graceful::Watcher,
        place: OwnedSemaphorePermit,
    ) {
        // Answers are written whole; waiting for more to send only adds delay.
        let _ = stream.set_nodelay(true);
        let client = Client { door: self.door.clone(), address: peer.ip().to_canonical(), place: Arc::new(place) };
        let Some(acceptor) = &self.tls else { return serve(&self.plain, stream, client, watcher).await };
        match tokio::time::timeout(PATIENCE, acceptor.accept(stream)).await {
            Ok(Ok(stream)) => {
                let http2 = stream.get_ref().1.alpn_protocol() == Some(b"h2");
                serve(if http2 { &self.http2 } else { &self.plain }, stream, client, watcher).await;
            }
            Ok(Err(error)) => debug!(%error, "TLS handshake failed"),
            Err(_) => {}
        }
    }
}

async fn serve(
    builder: &auto::Builder<TokioExecutor>,
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    client: Client,
    watcher: hyper_util::server::graceful::Watcher,
) {
    let service = service_fn(move |request: Request<Incoming>| {
        let client = client.clone();
        async move { Ok::<_, Infallible>(client.answer(request).await) }
    });
    let connection = builder.serve_connection_with_upgrades(TokioIo::new(stream), service);
    if let Err(error) = watcher.watch(connection.into_owned()).await {
        debug!(%error, "a client's connection ended early");
    }
}

fn builder() -> auto::Builder<TokioExecutor> {
    let mut builder = auto::Builder::new(TokioExecutor::new());
    builder.http1().timer(TokioTimer::new()).header_read_timeout(PATIENCE).max_buf_size(HEAD).max_headers(LINES);
    builder
        .http2()
        .timer(TokioTimer::new())
        .keep_alive_interval(Duration::from_secs(30))
        .keep_alive_timeout(Duration::from_secs(20))
        .max_concurrent_streams(STREAMS)
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .max_header_list_size(HEAD as u32);
    builder
}

/// A connection in the gauge.
struct Counted(Gauge);

impl Counted {
    fn new(gauge: &Gauge) -> Self {
        gauge.increment(1.0);
        Self(gauge.clone())
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.decrement(1.0);
    }
}
