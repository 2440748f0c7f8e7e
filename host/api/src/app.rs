//! One request, from its head to its answer: who asks, what for, and whether they may.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use axum::body::Body;
use futures::FutureExt;
use gantry_model::Status;
use gantry_objects::Objects;
use http::request::Parts;
use http::{Method, Request, StatusCode};
use hyper::body::Incoming;
use tokio_util::sync::CancellationToken;
use tower::ServiceExt;

use crate::access::{self, Access, Attributes, Authorizer};
use crate::auth::{self, Authenticator, User};
use crate::dialect::Mounts;
use crate::discovery::Discovery;
use crate::impersonation;
use crate::openapi::OpenApi;
use crate::route::Route;
use crate::server::{Limits, Metrics, Readiness};
use crate::streams::Streams;
use crate::verbs::{self, Call};
use crate::wire::query::Query;
use crate::wire::reply::{self, Response};

/// What requests are answered from.
pub(crate) struct App {
    pub(crate) objects: Objects,
    pub(crate) streams: Arc<dyn Streams>,
    pub(crate) limits: Limits,
    /// Long answers end when this is cancelled.
    pub(crate) stop: CancellationToken,
    discovery: Discovery,
    openapi: OpenApi,
    authenticators: Vec<Arc<dyn Authenticator>>,
    pub(crate) access: Access,
    metrics: Metrics,
    readiness: Readiness,
    dialects: Mounts,
    extra: axum::Router,
}

impl App {
    #[allow(clippy::too_many_arguments)] // Called once, with the fields of `Options`.
    pub(crate) fn new(
        objects: Objects,
        streams: Arc<dyn Streams>,
        authenticators: Vec<Arc<dyn Authenticator>>,
        authorizers: Vec<Arc<dyn Authorizer>>,
        metrics: Metrics,
        readiness: Readiness,
        dialects: Mounts,
        extra: axum::Router,
        limits: Limits,
        stop: CancellationToken,
    ) -> Self {
        let kinds = objects.kinds().clone();
        Self {
            discovery: Discovery::new(kinds.clone()),
            openapi: OpenApi::new(kinds),
            objects,
            streams,
            limits,
            stop,
            authenticators,
            access: Access::new(authorizers),
            metrics,
            readiness,
            dialects,
            extra,
        }
    }

    /// Answers a request, whatever happens on the way. Sets `proven` once the client has shown who it is.
    pub(crate) async fn answer(
        &self,
        request: Request<Incoming>,
        certificate: Option<Arc<User>>,
        proven: &AtomicBool,
    ) -> Response {
        let started = Instant::now();
        let uri = request.uri().clone();
        let route = Route::of(uri.path());
        let query = Query::parse(uri.query());
        let verb = verbs::name(request.method(), &route, &query);
        let work = self.dispatch(request, (certificate, proven), &route, &query, verb);
        let response = match AssertUnwindSafe(work).catch_unwind().await {
            Ok(Ok(response)) => response,
            Ok(Err(status)) => reply::failure(&status),
            Err(_) => {
                tracing::error!(path = uri.path(), verb, "a request handler panicked");
                reply::failure(&Status::internal("the server failed on this request: see its log"))
            }
        };
        count(&route, verb, response.status(), started);
        response
    }

    async fn dispatch(
        &self,
        request: Request<Incoming>,
        (certificate, proven): (Option<Arc<User>>, &AtomicBool),
        route: &Route<'_>,
        query: &Query<'_>,
        verb: &'static str,
    ) -> Result<Response, Status> {
        if let (Route::Other, Some(health)) = (route, self.health(request.uri().path(), query)) {
            return Ok(health);
        }
        let (head, body) = request.into_parts();
        if let Some(dialect) = self.dialects.find(&head) {
            let response = dialect.answer(head, body, self.limits, None).await;
            // Who was served has said who it is; to whom, is the dialect's business.
            proven.fetch_or(response.status().is_success(), Ordering::Relaxed);
            return Ok(response);
        }
        let user = self.identify(&head, certificate)?;
        proven.store(true, Ordering::Relaxed);
        let user = impersonation::effective(&head, user)?;
        match route {
            Route::Objects(target) => {
                let asked = Attributes::of(verb, target, query);
                if !self.access.allows(&user, &asked) {
                    return Err(access::forbidden(&user, &asked));
                }
                Call { app: self, user: &user, query, target, verb }.answer(head, body).await
            }
            _ if !access::path_allowed(&user, head.uri.path()) => Err(access::path_forbidden(&user, head.uri.path())),
            Route::Other => self.other(user, head, body, query).await,
            _ if head.method != Method::GET && head.method != Method::HEAD => Err(verbs::not_allowed(&head.method)),
            _ => self.discovery.answer(route, &head.headers),
        }
    }

    fn identify(&self, head: &Parts, certificate: Option<Arc<User>>) -> Result<Arc<User>, Status> {
        if let Some(user) = certificate {
            return Ok(user);
        }
        let answer = self.authenticators.iter().find_map(|a| a.authenticate(head));
        answer.unwrap_or_else(|| Err(auth::unauthorized()))
    }

    async fn other(&self, user: Arc<User>, head: Parts, body: Incoming, query: &Query<'_>) -> Result<Response, Status> {
        match head.uri.path() {
            "/version" | "/version/" => Ok(self.discovery.version()),
            "/metrics" => Ok(reply::text(StatusCode::OK, (self.metrics)().await)),
            "/" => Ok(self.discovery.index()),
            path if path.starts_with("/openapi/") => self.openapi.answer(path, &head.headers, query),
            _ => self.extra(user, head, body).await,
        }
    }

    async fn extra(&self, user: Arc<User>, head: Parts, body: Incoming) -> Result<Response, Status> {
        let mut request = Request::from_parts(head, Body::new(body));
        request.extensions_mut().insert(user);
        // The router reports a path that it does not know by an empty 404; clients of this API expect a Status.
        let Ok(response) = self.extra.clone().oneshot(request).await;
        let unknown = response.status() == StatusCode::NOT_FOUND
            && http_body::Body::size_hint(response.body()).exact() == Some(0);
        if unknown { Err(verbs::no_such_path()) } else { Ok(response) }
    }

    /// `/livez`, `/readyz` and `/healthz`, which need no credentials.
    fn health(&self, path: &str, query: &Query<'_>) -> Option<Response> {
        let mut parts: Vec<(String, String)> = Vec::new();
        match path {
            "/livez" => {}
            "/readyz" | "/healthz" => parts = (self.readiness)(),
            _ => return None,
        }
        let code = if parts.is_empty() { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
        let name = path.trim_start_matches('/');
        let verdict = if parts.is_empty() { "passed" } else { "failed" };
        let text = match (query.has("verbose"), parts.is_empty()) {
            (false, true) => "ok".to_owned(),
            _ => {
                let lines: String = parts.iter().map(|(part, why)| format!("[-]{part} failed: {why}\n")).collect();
                format!("[+]ping ok\n{lines}{name} check {verdict}\n")
            }
        };
        Some(reply::text(code, text))
    }
}

/// Answers that may have come before the kind was looked up.
const UNCHECKED: [StatusCode; 5] = [
    StatusCode::BAD_REQUEST,
    StatusCode::UNAUTHORIZED,
    StatusCode::FORBIDDEN,
    StatusCode::NOT_FOUND,
    StatusCode::METHOD_NOT_ALLOWED,
];

/// Counts the request. Plurals that nobody has looked up yet, or that no kind has, are left out: callers must not be able to
/// make up label values.
fn count(route: &Route<'_>, verb: &'static str, code: StatusCode, started: Instant) {
    let resource = match route {
        Route::Objects(target) if !UNCHECKED.contains(&code) => target.plural.to_owned(),
        _ => String::new(),
    };
    let code = code.as_str().to_owned();
    metrics::counter!("gantry_api_requests_total", "verb" => verb, "resource" => resource, "code" => code).increment(1);
    if verb != "watch" {
        metrics::histogram!("gantry_api_request_seconds", "verb" => verb).record(started.elapsed().as_secs_f64());
    }
}
