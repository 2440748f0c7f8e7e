//! Services of AWS that are asked over HTTP: the host makes the requests, and signs them.

mod alarms;
pub mod files;
pub mod parameters;
pub mod secrets;

pub use alarms::{Alarms, describe as describe_alarms};

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::time::Duration;

use gantry_sdk::api::Time;
use gantry_sdk::http::{Request, Response};
use gantry_sdk::{Error, ErrorCode, Value, json, serde_json};

/// For an answer. Other tasks and services wait meanwhile.
const PATIENCE: Duration = Duration::from_secs(3);

thread_local! {
    /// Who did not answer in the batch of this moment. Nobody asks such a one again in it.
    static SILENT: RefCell<(Option<Time>, BTreeSet<String>)> = RefCell::default();
}

/// To be called before each key: all keys of a batch have one `now`.
pub fn begin(now: Time) {
    SILENT.with_borrow_mut(|(at, silent)| {
        if at.replace(now) != Some(now) {
            silent.clear();
        }
    });
}

/// Asks an endpoint, unless it was silent just now.
fn send(endpoint: &str, request: Request) -> Result<Response, Failure> {
    if SILENT.with_borrow(|(_, silent)| silent.contains(endpoint)) {
        return Err(Failure::Later(format!("{endpoint} did not answer a moment ago")));
    }
    request.timeout(PATIENCE).send().map_err(|error| {
        let failure = Failure::from(error);
        if matches!(failure, Failure::Later(_)) {
            SILENT.with_borrow_mut(|(_, silent)| silent.insert(endpoint.to_owned()));
        }
        failure
    })
}

/// A request without the answer that was hoped for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Failure {
    /// The service's own answer: asked again it is the same.
    Refused {
        /// `ResourceNotFoundException`
        code: String,
        /// In its words.
        message: String,
    },
    /// Nobody answered, or it can't be done now: later it may be another.
    Later(String),
}

impl Failure {
    /// For people: `CODE: words`.
    pub fn words(&self) -> String {
        match self {
            Self::Refused { code, message } if message.is_empty() => code.clone(),
            Self::Refused { code, message } => format!("{code}: {message}"),
            Self::Later(why) => why.clone(),
        }
    }
}

/// What the host says when there is no answer. That a request is not granted does not pass by itself.
impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        match error.code {
            ErrorCode::Forbidden | ErrorCode::Invalid => {
                Self::Refused { code: "RequestError".to_owned(), message: error.message }
            }
            _ => Self::Later(error.message),
        }
    }
}

/// One question in JSON: `version` is that of the protocol, `target` names service and operation.
pub fn ask(endpoint: &str, version: &str, target: &str, body: &Value) -> Result<Value, Failure> {
    let request = Request::post(format!("{endpoint}/"), body.to_string())
        .header("content-type", format!("application/x-amz-json-{version}"))
        .header("x-amz-target", target);
    let answer = send(endpoint, request)?;
    if !answer.is_success() {
        return Err(said(&answer));
    }
    serde_json::from_slice(&answer.body)
        .map_err(|error| Failure::Later(format!("an answer that can't be read: {error}")))
}

/// An answer of a bad status.
fn said(answer: &Response) -> Failure {
    let body: Value = serde_json::from_slice(&answer.body).unwrap_or_else(|_| json!({}));
    let word = |names: [&str; 2]| names.iter().find_map(|name| body.get(*name)?.as_str()).unwrap_or_default();
    let code = word(["__type", "code"]).rsplit('#').next().unwrap_or_default();
    refusal(answer.status, code, word(["message", "Message"]))
}

/// What a refusal comes to.
fn refusal(status: u16, code: &str, message: &str) -> Failure {
    let code = if code.is_empty() { format!("Status{status}") } else { code.to_owned() };
    let busy = status >= 500 || status == 429 || code.contains("Throttl") || code == "TooManyRequestsException";
    match busy {
        true => Failure::Later(format!("{code}: {message}")),
        false => Failure::Refused { code, message: message.to_owned() },
    }
}

#[cfg(test)]
mod tests {
    use gantry_sdk::testing::Host;

    use super::*;

    #[test]
    fn answers_are_refusals_or_pass() {
        let refused = |code: &str, message: &str| Failure::Refused { code: code.into(), message: message.into() };
        for (status, body, want) in [
            (
                400,
                r#"{"__type": "com.amazonaws#ResourceNotFoundException", "Message": "no"}"#,
                refused("ResourceNotFoundException", "no"),
            ),
            (
                400,
                r#"{"__type": "ThrottlingException", "message": "x"}"#,
                Failure::Later("ThrottlingException: x".into()),
            ),
            (403, "<html>", refused("Status403", "")),
            (503, "", Failure::Later("Status503: ".into())),
            (200, "x", Failure::Later("an answer that can't be read: expected value at line 1 column 1".into())),
        ] {
            let host = Host::new();
            host.answer_http(move |_| Ok(Response::new(status, body)));
            assert_eq!(ask("https://a.example", "1.1", "A.B", &json!({})), Err(want), "{status} {body}");
            let asked = host.take_requests().remove(0);
            assert_eq!((asked.url.as_str(), asked.headers[1].1.as_str()), ("https://a.example/", "A.B"));
        }
        let host = Host::new();
        host.answer_http(|_| Err(Error::unavailable("timed out")));
        for (now, asked) in [(1, 1), (1, 0), (2, 1)] {
            begin(Time::from_millis(now));
            assert!(matches!(ask("https://a.example", "1.1", "A.B", &json!({})), Err(Failure::Later(_))));
            assert_eq!(host.take_requests().len(), asked, "{now}");
        }
        begin(Time::from_millis(3));
        let host = Host::new();
        host.answer_http(|_| Err(Error::forbidden("POST https://a.example: the bundle does not grant this endpoint")));
        let denied = ask("https://a.example", "1.1", "A.B", &json!({})).unwrap_err();
        assert!(denied.words().starts_with("RequestError: POST https://a.example"), "{denied:?}");
    }
}
