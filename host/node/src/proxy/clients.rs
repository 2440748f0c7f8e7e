//! Connections to endpoints, kept for the next request.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use bytes::Bytes;
use gantry_plugin::family::proxy::HttpVersion;
use http::{Request, Response};
use http_body_util::Empty;
use hyper::body::{Body, Frame, Incoming, SizeHint};
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::client::legacy::{Client, Error};
use hyper_util::rt::{TokioExecutor, TokioTimer};

/// For a connection to an endpoint. They are near.
const CONNECT: Duration = Duration::from_secs(3);
/// A connection that nobody used for so long is closed.
const IDLE: Duration = Duration::from_secs(30);
/// Idle connections that are kept to one endpoint.
const KEPT: usize = 256;

/// How endpoints are asked. Cheap to clone; clones share their connections.
#[derive(Clone)]
pub struct Clients {
    http1: Client<HttpConnector, Upload>,
    http2: Client<HttpConnector, Upload>,
    checks: Client<HttpConnector, Empty<Bytes>>,
}

impl Clients {
    pub fn new() -> Self {
        let mut connector = HttpConnector::new();
        connector.set_connect_timeout(Some(CONNECT));
        connector.set_nodelay(true);
        connector.set_keepalive(Some(Duration::from_secs(60)));
        let mut builder = Client::builder(TokioExecutor::new());
        builder
            .pool_idle_timeout(IDLE)
            .pool_max_idle_per_host(KEPT)
            .pool_timer(TokioTimer::new())
            .timer(TokioTimer::new());
        let http1 = builder.build(connector.clone());
        let http2 = builder.http2_only(true).build(connector.clone());
        // A check tells whether connections can be made.
        let checks = Client::builder(TokioExecutor::new()).pool_max_idle_per_host(0).build(connector);
        Self { http1, http2, checks }
    }

    /// Asks an endpoint; the request's URI names it.
    pub async fn ask(&self, version: HttpVersion, request: Request<Upload>) -> Result<Response<Incoming>, Error> {
        match version {
            HttpVersion::Http1 => self.http1.request(request).await,
            HttpVersion::Http2 => self.http2.request(request).await,
        }
    }

    /// A health check, over a connection of its own.
    pub async fn check(&self, address: SocketAddr, path: &str) -> Result<u16, String> {
        let request = Request::get(format!("http://{address}{path}")).header("user-agent", "gantry-health-check");
        let request = request.body(Empty::new()).map_err(|error| error.to_string())?;
        self.checks.request(request).await.map(|answer| answer.status().as_u16()).map_err(|error| error.to_string())
    }
}

/// A request's body, which several attempts share: whoever reads first has it. As long as nobody has, the request can be
/// sent again.
#[derive(Clone)]
pub struct Shared {
    body: Arc<Mutex<Option<Incoming>>>,
    hint: SizeHint,
    empty: bool,
    begun: Instant,
    /// When a part of it went out last, in milliseconds.
    moved: Arc<AtomicU64>,
}

impl Shared {
    pub fn new(body: Incoming) -> Self {
        let (hint, empty) = (body.size_hint(), body.is_end_stream());
        let moved = Arc::new(AtomicU64::new(0));
        Self { body: Arc::new(Mutex::new(Some(body))), hint, empty, begun: Instant::now(), moved }
    }

    /// Nobody has begun to send it.
    pub fn untouched(&self) -> bool {
        self.empty || self.lock().is_some()
    }

    /// For how long nothing of it has gone out.
    pub fn still(&self) -> Duration {
        self.begun.elapsed().saturating_sub(Duration::from_millis(self.moved.load(Ordering::Relaxed)))
    }

    /// For one attempt.
    pub fn upload(&self) -> Upload {
        Upload { shared: self.clone(), mine: None }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Option<Incoming>> {
        self.body.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One attempt to send a body.
pub struct Upload {
    shared: Shared,
    mine: Option<Incoming>,
}

impl Body for Upload {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        if self.mine.is_none() {
            let taken = self.shared.lock().take();
            self.mine = taken;
        }
        let Some(body) = &mut self.mine else {
            return Poll::Ready((!self.shared.empty).then(|| Err(io::Error::other("the body went out before"))));
        };
        let polled = Pin::new(body).poll_frame(cx);
        if polled.is_ready() {
            let since = u64::try_from(self.shared.begun.elapsed().as_millis()).unwrap_or(u64::MAX);
            self.shared.moved.store(since, Ordering::Relaxed);
        }
        polled.map(|frame| frame.map(|frame| frame.map_err(io::Error::other)))
    }

    fn is_end_stream(&self) -> bool {
        self.mine.as_ref().map_or(self.shared.empty, Body::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.mine.as_ref().map_or_else(|| self.shared.hint, Body::size_hint)
    }
}
