//! From `wasi:http` to requests and answers in memory.

use std::io::{Read, Write};
use std::time::{SystemTime, UNIX_EPOCH};

use http::header::HOST;
use http::{HeaderValue, Request, Response, StatusCode};
use wasip2::http::types::{Fields, IncomingRequest, Method, OutgoingBody, OutgoingResponse, ResponseOutparam};

use super::{Call, Dialect};
use crate::export::{Holder, enter_configured};

/// Answers one request of the component.
pub fn serve<H: Holder>(request: IncomingRequest, out: ResponseOutparam)
where
    H::Plugin: Dialect,
{
    let answer = match read(request) {
        Some(request) => {
            let handled = enter_configured::<H, _>(
                |plugin, config| plugin.configure(config),
                |plugin| plugin.handle(&call(), request),
            );
            handled.unwrap_or_else(|error| plain(StatusCode::INTERNAL_SERVER_ERROR, &error.message))
        }
        None => plain(StatusCode::BAD_REQUEST, "the request can't be read"),
    };
    give(answer, out);
}

fn call() -> Call {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let (high, low) = (wasip2::random::random::get_random_u64(), wasip2::random::random::get_random_u64());
    Call { now_ms: u64::try_from(now.as_millis()).unwrap_or(u64::MAX), id: format!("{high:016x}{low:016x}") }
}

fn plain(code: StatusCode, text: &str) -> Response<Vec<u8>> {
    let mut response = Response::new(format!("{text}\n").into_bytes());
    *response.status_mut() = code;
    response
}

fn read(given: IncomingRequest) -> Option<Request<Vec<u8>>> {
    let method = method(given.method())?;
    let path = given.path_with_query().unwrap_or_else(|| "/".to_owned());
    let mut request = Request::builder().method(method).uri(path);
    for (name, value) in given.headers().entries() {
        request = request.header(name, value);
    }
    let mut request = request.body(Vec::new()).ok()?;
    if let Some(host) = given.authority().and_then(|host| HeaderValue::from_str(&host).ok()) {
        request.headers_mut().insert(HOST, host);
    }
    let body = given.consume().ok()?;
    let mut stream = body.stream().ok()?;
    stream.read_to_end(request.body_mut()).ok()?;
    Some(request)
}

fn method(given: Method) -> Option<http::Method> {
    Some(match given {
        Method::Get => http::Method::GET,
        Method::Head => http::Method::HEAD,
        Method::Post => http::Method::POST,
        Method::Put => http::Method::PUT,
        Method::Delete => http::Method::DELETE,
        Method::Connect => http::Method::CONNECT,
        Method::Options => http::Method::OPTIONS,
        Method::Trace => http::Method::TRACE,
        Method::Patch => http::Method::PATCH,
        Method::Other(name) => http::Method::from_bytes(name.as_bytes()).ok()?,
    })
}

/// A header that `wasi:http` keeps for itself is left out.
fn give(answer: Response<Vec<u8>>, out: ResponseOutparam) {
    let fields = Fields::new();
    for (name, value) in answer.headers() {
        let _ = fields.append(name.as_str(), value.as_bytes());
    }
    let response = OutgoingResponse::new(fields);
    let _ = response.set_status_code(answer.status().as_u16());
    let Ok(body) = response.body() else { return };
    ResponseOutparam::set(out, Ok(response));
    let written =
        body.write().map(|mut stream| stream.write_all(answer.body()).and_then(|()| Write::flush(&mut stream)));
    // An answer that is cut off has no end: the host tells the caller so.
    if let Ok(Ok(())) = written {
        let _ = OutgoingBody::finish(body, None);
    }
}
