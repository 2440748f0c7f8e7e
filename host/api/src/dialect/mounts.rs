use std::sync::{Arc, PoisonError, RwLock};
use std::time::Instant;

use axum::body::Body;
use bytes::Bytes;
use gantry_model::Status;
use http::header::RETRY_AFTER;
use http::request::Parts;
use http::{HeaderValue, Request, StatusCode};
use tokio::sync::Semaphore;

use super::{CALLER, Dialect, Failure};
use crate::server::Limits;
use crate::wire::body;
use crate::wire::reply::{self, Response};

/// Requests of one dialect at once, those that wait for an instance included.
const PLACES: usize = 64;
/// What a caller is told to wait when they are all taken.
const LATER: HeaderValue = HeaderValue::from_static("1");

/// The dialects of one listener. Cheap to clone; they can be exchanged while requests come.
#[derive(Clone, Default)]
pub struct Mounts {
    table: Arc<RwLock<Arc<[Arc<Mounted>]>>>,
}

/// A dialect, and how much it may be asked at once.
pub(crate) struct Mounted {
    dialect: Arc<dyn Dialect>,
    places: Semaphore,
}

impl Mounts {
    /// From now on these, and no others. Requests that are under way end with those that they began with.
    pub fn set(&self, dialects: impl IntoIterator<Item = Arc<dyn Dialect>>) {
        let table = dialects.into_iter().map(|dialect| Arc::new(Mounted::new(dialect))).collect();
        *self.table.write().unwrap_or_else(PoisonError::into_inner) = table;
    }

    /// Whose a request is.
    pub(crate) fn find(&self, head: &Parts) -> Option<Arc<Mounted>> {
        let table = self.table.read().unwrap_or_else(PoisonError::into_inner).clone();
        table.iter().find(|mounted| mounted.dialect.matches(head)).cloned()
    }
}

impl Mounted {
    /// With all places free.
    pub(super) fn new(dialect: Arc<dyn Dialect>) -> Self {
        Self { dialect, places: Semaphore::new(PLACES) }
    }

    /// Answers a request, whatever happens on the way. `caller` is the pod that its node says it is of; what a request says of
    /// that itself is taken out.
    pub(crate) async fn answer<B>(
        &self,
        mut head: Parts,
        body: B,
        limits: Limits,
        caller: Option<HeaderValue>,
    ) -> Response
    where
        B: http_body::Body,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        head.headers.remove(CALLER);
        if let Some(caller) = caller {
            head.headers.insert(CALLER, caller);
        }
        let mut open = Open::new(self.dialect.name());
        let response = match self.places.try_acquire() {
            Ok(_place) => self.ask(head, body, limits).await,
            Err(_) => later(format!("{} has as many requests as it may have at once\n", self.dialect.name())),
        };
        open.code = response.status().as_str().to_owned();
        response
    }

    async fn ask<B>(&self, head: Parts, body: B, limits: Limits) -> Response
    where
        B: http_body::Body,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        let body = match body::read_raw(&head.headers, body, limits.body, limits.patience).await {
            Ok(body) => body,
            Err(status) => return refused(&status),
        };
        match self.dialect.answer(Request::from_parts(head, body)).await {
            Ok(response) => response.map(|body: Bytes| Body::from(body)),
            Err(Failure::Fault(why)) => {
                tracing::error!(dialect = self.dialect.name(), why, "a dialect failed on a request");
                let text = format!("{} failed on this request: the server's log says how\n", self.dialect.name());
                reply::text(StatusCode::INTERNAL_SERVER_ERROR, text)
            }
            Err(Failure::Away(why)) => {
                tracing::warn!(dialect = self.dialect.name(), why, "a dialect takes no requests");
                later(format!("{} takes no requests now\n", self.dialect.name()))
            }
        }
    }
}

/// A request under way. Counted when it ends, also when its caller is gone before that.
struct Open {
    dialect: String,
    began: Instant,
    code: String,
}

impl Open {
    fn new(dialect: &str) -> Self {
        metrics::gauge!("gantry_dialect_requests", "dialect" => dialect.to_owned()).increment(1.0);
        Self { dialect: dialect.to_owned(), began: Instant::now(), code: "abandoned".to_owned() }
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        let (dialect, code) = (std::mem::take(&mut self.dialect), std::mem::take(&mut self.code));
        metrics::gauge!("gantry_dialect_requests", "dialect" => dialect.clone()).decrement(1.0);
        metrics::histogram!("gantry_dialect_request_seconds", "dialect" => dialect.clone())
            .record(self.began.elapsed().as_secs_f64());
        metrics::counter!("gantry_dialect_requests_total", "dialect" => dialect, "code" => code).increment(1);
    }
}

fn later(text: String) -> Response {
    let mut response = reply::text(StatusCode::SERVICE_UNAVAILABLE, text);
    response.headers_mut().insert(RETRY_AFTER, LATER);
    response
}

/// In plain words: callers of a dialect know nothing of a Status.
fn refused(status: &Status) -> Response {
    let code = StatusCode::from_u16(status.reason.code()).unwrap_or(StatusCode::BAD_REQUEST);
    reply::text(code, format!("{}\n", status.message))
}
