//! Requests of the API, and of pods, as messages, and back.

use bytes::Bytes;
use gantry_api::{ExecRequest, LogRequest};
use gantry_model::{Caller, Status};
use http::{HeaderMap, HeaderName, HeaderValue, Request, Response, StatusCode};

use crate::wire::{Exec, Header, Log, Question, Reply};

impl From<LogRequest> for Log {
    fn from(request: LogRequest) -> Self {
        Self {
            namespace: request.namespace,
            pod: request.pod,
            container: request.container,
            follow: request.follow,
            previous: request.previous,
            tail_lines: request.tail_lines,
            since_seconds: request.since_seconds,
            since_time: request.since_time,
            timestamps: request.timestamps,
            limit_bytes: request.limit_bytes,
        }
    }
}

impl Log {
    pub(crate) fn request(self, node: &str) -> LogRequest {
        LogRequest {
            node: node.to_owned(),
            namespace: self.namespace,
            pod: self.pod,
            container: self.container,
            follow: self.follow,
            previous: self.previous,
            tail_lines: self.tail_lines,
            since_seconds: self.since_seconds,
            since_time: self.since_time,
            timestamps: self.timestamps,
            limit_bytes: self.limit_bytes,
        }
    }
}

impl From<ExecRequest> for Exec {
    fn from(request: ExecRequest) -> Self {
        Self {
            namespace: request.namespace,
            pod: request.pod,
            container: request.container,
            command: request.command,
            stdin: request.stdin,
            stdout: request.stdout,
            stderr: request.stderr,
            tty: request.tty,
        }
    }
}

impl Exec {
    pub(crate) fn request(self, node: &str) -> ExecRequest {
        ExecRequest {
            node: node.to_owned(),
            namespace: self.namespace,
            pod: self.pod,
            container: self.container,
            command: self.command,
            stdin: self.stdin,
            stdout: self.stdout,
            stderr: self.stderr,
            tty: self.tty,
        }
    }
}

/// A pod's request as it goes over the wire.
pub(crate) fn question(caller: &Caller, request: Request<Bytes>) -> Question {
    let (head, body) = request.into_parts();
    Question {
        caller: caller.to_text().into(),
        method: head.method.to_string(),
        target: head.uri.path_and_query().map_or("/", |target| target.as_str()).to_owned(),
        headers: headers(&head.headers),
        body,
    }
}

/// The same as it came. An error says what of it is no HTTP.
pub(crate) fn request(question: Question) -> Result<Request<Bytes>, String> {
    let wrong = |error: http::Error| format!("a request that is none: {error}");
    let request = Request::builder().method(question.method.as_str()).uri(question.target);
    let mut request = request.body(question.body).map_err(wrong)?;
    *request.headers_mut() = map(question.headers)?;
    Ok(request)
}

/// An answer as it goes over the wire.
pub(crate) fn reply(answer: Response<Bytes>) -> Reply {
    let (head, body) = answer.into_parts();
    Reply { code: head.status.as_u16().into(), headers: headers(&head.headers), body }
}

/// The same as it came.
pub(crate) fn response(reply: Reply) -> Result<Response<Bytes>, String> {
    let code = u16::try_from(reply.code).ok().and_then(|code| StatusCode::from_u16(code).ok());
    let code = code.ok_or_else(|| format!("an answer with the code {}", reply.code))?;
    let mut response = Response::new(reply.body);
    *response.status_mut() = code;
    *response.headers_mut() = map(reply.headers)?;
    Ok(response)
}

fn headers(map: &HeaderMap) -> Vec<Header> {
    let one = |(name, value): (&HeaderName, &HeaderValue)| Header {
        name: name.as_str().to_owned(),
        value: Bytes::copy_from_slice(value.as_bytes()),
    };
    map.iter().map(one).collect()
}

fn map(headers: Vec<Header>) -> Result<HeaderMap, String> {
    let mut map = HeaderMap::new();
    for Header { name, value } in headers {
        let (name, value) = (HeaderName::try_from(name), HeaderValue::from_maybe_shared(value));
        let (Ok(name), Ok(value)) = (name, value) else { return Err("a header that is none".to_owned()) };
        map.try_append(name, value).map_err(|error| format!("more headers than can be: {error}"))?;
    }
    Ok(map)
}

/// A `Status` as it goes over the wire.
pub(crate) fn status_to_wire(status: &Status) -> Vec<u8> {
    status.to_json().to_string().into_bytes()
}

/// A `Status` that came over the wire.
pub(crate) fn status_from_wire(bytes: &[u8]) -> Status {
    let value = serde_json::from_slice(bytes).unwrap_or_default();
    Status::from_json(&value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_pods_ask_comes_back_as_it_went() {
        let caller = Caller {
            address: "169.254.170.2:80".parse().unwrap(),
            namespace: "a".into(),
            name: "b".into(),
            uid: "c".into(),
            node: "n1".into(),
            usage: None,
        };
        let asked = Request::post("/v4/x?y=z").header("a", "1").header("a", "2").body(Bytes::from("body")).unwrap();
        let wire = question(&caller, asked);
        assert_eq!(Caller::of_text(&wire.caller).unwrap(), caller);
        let back = request(wire.clone()).unwrap();
        assert_eq!((back.method().as_str(), back.uri().to_string().as_str()), ("POST", "/v4/x?y=z"));
        assert_eq!(question(&caller, back), wire);
        for wrong in [
            Question { method: "a b".into(), ..wire.clone() },
            Question { target: "no path".into(), ..wire.clone() },
            Question { headers: vec![Header { name: "a b".into(), value: Bytes::new() }], ..wire },
        ] {
            assert!(request(wrong).is_err());
        }
        let answer = Response::builder().status(404).header("a", "1").body(Bytes::from("no")).unwrap();
        let wire = reply(answer);
        assert_eq!(reply(response(wire.clone()).unwrap()), wire);
        assert!(response(Reply { code: 1, ..wire }).is_err());
    }
}
