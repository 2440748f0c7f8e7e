//! Requests by way of `wasi:http`, in a component.

use wasip2::http::outgoing_handler::handle;
use wasip2::http::types::{
    ErrorCode, Fields, IncomingResponse, Method, OutgoingBody, OutgoingRequest, RequestOptions, Scheme,
};

use crate::http::{Request, Response};
use crate::{Error, Result};

/// Bytes that are asked for at once.
const CHUNK: u64 = 64 * 1024;

pub fn send(request: &Request) -> Result<Response> {
    let options = RequestOptions::new();
    if let Some(timeout) = request.timeout {
        let nanoseconds = u64::try_from(timeout.as_nanos()).unwrap_or(u64::MAX);
        let _ = options.set_first_byte_timeout(Some(nanoseconds));
    }
    let outgoing = outgoing(request)?;
    let body = outgoing.body().map_err(|()| unusable(request, "body"))?;
    let answer = handle(outgoing, Some(options)).map_err(|code| failed(request, &code))?;
    // A request that is refused takes no body: the answer says why.
    write(body, &request.body);
    answer.subscribe().block();
    match answer.get() {
        Some(Ok(Ok(response))) => read(request, &response),
        Some(Ok(Err(code))) => Err(failed(request, &code)),
        Some(Err(())) | None => Err(Error::internal("the host gave no answer to a request")),
    }
}

fn outgoing(request: &Request) -> Result<OutgoingRequest> {
    let bytes = |(name, value): &(String, String)| (name.clone(), value.clone().into_bytes());
    let headers: Vec<_> = request.headers.iter().map(bytes).collect();
    let headers = Fields::from_list(&headers).map_err(|e| unusable(request, format!("headers: {e}")))?;
    let (scheme, rest) = request.url.split_once("://").ok_or_else(|| unusable(request, "URL"))?;
    let (authority, path) = rest.find(['/', '?']).map_or((rest, "/"), |at| rest.split_at(at));
    let scheme = match scheme {
        "http" => Scheme::Http,
        "https" => Scheme::Https,
        other => Scheme::Other(other.to_owned()),
    };
    let method = match request.method.as_str() {
        "GET" => Method::Get,
        "HEAD" => Method::Head,
        "POST" => Method::Post,
        "PUT" => Method::Put,
        "DELETE" => Method::Delete,
        "PATCH" => Method::Patch,
        other => Method::Other(other.to_owned()),
    };
    let outgoing = OutgoingRequest::new(headers);
    let set = [
        outgoing.set_method(&method),
        outgoing.set_scheme(Some(&scheme)),
        outgoing.set_authority(Some(authority)),
        outgoing.set_path_with_query(Some(path)),
    ];
    if set.contains(&Err(())) { Err(unusable(request, "method or URL")) } else { Ok(outgoing) }
}

fn write(body: OutgoingBody, mut bytes: &[u8]) {
    if let Ok(stream) = body.write() {
        while !bytes.is_empty() {
            match stream.check_write() {
                Ok(0) => stream.subscribe().block(),
                Ok(room) => {
                    let (now, later) = bytes.split_at(bytes.len().min(usize::try_from(room).unwrap_or(usize::MAX)));
                    if stream.write(now).is_err() {
                        break;
                    }
                    bytes = later;
                }
                Err(_) => break,
            }
        }
    }
    let _ = OutgoingBody::finish(body, None);
}

fn read(request: &Request, response: &IncomingResponse) -> Result<Response> {
    let text = |(name, value): (String, Vec<u8>)| (name, String::from_utf8_lossy(&value).into_owned());
    let headers = response.headers().entries().into_iter().map(text).collect();
    let mut body = Vec::new();
    let incoming = response.consume().map_err(|()| unusable(request, "answer"))?;
    if let Ok(stream) = incoming.stream() {
        // The host has the whole of it: an error here is the end.
        while let Ok(some) = stream.blocking_read(CHUNK) {
            body.extend(some);
        }
    }
    Ok(Response { status: response.status(), headers, body })
}

fn unusable(request: &Request, what: impl std::fmt::Display) -> Error {
    Error::invalid(format!("{} {}: unusable {what}", request.method, place(request)))
}

/// Without path and query, which may say what logs should not.
fn place(request: &Request) -> &str {
    let start = request.url.find("://").map_or(0, |at| at + 3);
    let end =
        request.url.get(start..).and_then(|rest| rest.find(['/', '?'])).map_or(request.url.len(), |at| start + at);
    request.url.get(..end).unwrap_or_default()
}

fn failed(request: &Request, code: &ErrorCode) -> Error {
    let at = format!("{} {}", request.method, place(request));
    match code {
        ErrorCode::HttpRequestDenied => Error::forbidden(format!("{at}: the bundle does not grant this endpoint")),
        ErrorCode::ConnectionLimitReached => Error::exhausted(format!("{at}: too many requests are under way")),
        ErrorCode::HttpRequestBodySize(_) => Error::exhausted(format!("{at}: the request is too long")),
        ErrorCode::HttpResponseBodySize(_) => Error::exhausted(format!("{at}: the answer is too long")),
        ErrorCode::ConfigurationError => Error::unavailable(format!("{at}: the host can't sign it; its log says why")),
        ErrorCode::HttpRequestUriInvalid | ErrorCode::HttpRequestMethodInvalid => unusable(request, "URL or method"),
        ErrorCode::InternalError(Some(why)) => Error::unavailable(format!("{at}: {why}")),
        other => Error::unavailable(format!("{at}: {}", words(other))),
    }
}

/// `ErrorCode::ConnectionRefused` as it stands in the contract: `ConnectionRefused`.
fn words(code: &ErrorCode) -> String {
    format!("{code:?}").trim_start_matches("ErrorCode::").to_owned()
}
