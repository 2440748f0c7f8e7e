//! Answers.

use axum::body::Body;
use bytes::Bytes;
use gantry_model::Status;
use http::header::{CACHE_CONTROL, CONTENT_TYPE, RETRY_AFTER};
use http::{HeaderName, HeaderValue, StatusCode};
use serde_json::Value;

/// What every handler gives.
pub(crate) type Response = http::Response<Body>;

pub(crate) const JSON: HeaderValue = HeaderValue::from_static("application/json");
pub(crate) const TEXT: HeaderValue = HeaderValue::from_static("text/plain; charset=utf-8");
const UNCACHED: HeaderValue = HeaderValue::from_static("no-cache, private");
const WARNING: HeaderName = HeaderName::from_static("warning");
/// More warnings than anyone reads are cut, so that the answer's head stays small.
const WARNINGS: usize = 16;

/// An answer with a body in memory.
pub(crate) fn bytes(code: StatusCode, content_type: HeaderValue, body: impl Into<Bytes>) -> Response {
    let mut response = Response::new(Body::from(body.into()));
    *response.status_mut() = code;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, content_type);
    headers.insert(CACHE_CONTROL, UNCACHED);
    response
}

/// An answer whose body comes in pieces.
pub(crate) fn stream(content_type: HeaderValue, body: Body) -> Response {
    let mut response = Response::new(body);
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, content_type);
    headers.insert(CACHE_CONTROL, UNCACHED);
    response
}

/// JSON that is written already.
pub(crate) fn json(code: StatusCode, body: impl Into<Bytes>) -> Response {
    bytes(code, JSON, body)
}

/// JSON from a value.
pub(crate) fn value(code: StatusCode, value: &Value) -> Response {
    json(code, value.to_string())
}

/// Plain text.
pub(crate) fn text(code: StatusCode, body: impl Into<Bytes>) -> Response {
    bytes(code, TEXT, body)
}

/// A failure as clients of Kubernetes expect it.
pub(crate) fn failure(status: &Status) -> Response {
    let code = StatusCode::from_u16(status.reason.code()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let mut response = value(code, &status.to_json());
    if let Some(seconds) = status.retry_after_seconds {
        response.headers_mut().insert(RETRY_AFTER, HeaderValue::from(seconds));
    }
    response
}

/// Adds `Warning: 299 - "…"` headers.
pub(crate) fn warn(mut response: Response, warnings: &[String]) -> Response {
    for warning in warnings.iter().take(WARNINGS) {
        if let Ok(header) = HeaderValue::from_str(&format!("299 - \"{}\"", quoted(warning))) {
            response.headers_mut().append(WARNING, header);
        }
    }
    response
}

/// The text of an HTTP quoted-string: visible ASCII, with quotes and backslashes escaped.
fn quoted(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 8);
    for c in text.chars().take(1024) {
        match c {
            '"' | '\\' => out.extend(['\\', c]),
            ' '..='~' => out.push(c),
            _ => out.push(' '),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn warnings_survive_any_text() {
        let response = warn(text(StatusCode::OK, ""), &["unknown field \"spec.ü\\x\"\n".to_owned()]);
        assert_eq!(response.headers()["warning"], "299 - \"unknown field \\\"spec. \\\\x\\\" \"");
    }

    #[test]
    fn failures_carry_code_and_retry() {
        let mut status = Status::internal("x");
        status.retry_after_seconds = Some(3);
        let response = failure(&status);
        assert_eq!((response.status().as_u16(), &response.headers()["retry-after"]), (500, &HeaderValue::from(3)));
    }
}
