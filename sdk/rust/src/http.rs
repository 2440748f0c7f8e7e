//! Requests over HTTP, which the host makes: only to endpoints that the bundle grants, within its bounds of size and time, and
//! signed where the bundle says so. Redirects are not followed. A call waits; that time is not charged to its deadline.
//!
//! ```no_run
//! use gantry_sdk::http::Request;
//!
//! # fn f() -> gantry_sdk::Result<()> {
//! let answer = Request::post("https://api.example.com/v1/things", r#"{"name": "x"}"#)
//!     .header("content-type", "application/json")
//!     .send()?;
//! if answer.is_success() {
//!     gantry_sdk::info!("{}", answer.text());
//! }
//! # Ok(()) }
//! ```

use std::time::Duration;

use crate::{Result, host};

/// A request that is not made yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// `GET`
    pub method: String,
    /// `https://example.com/path?query`: percent-encoded, as it goes over the wire.
    pub url: String,
    /// Names and values. `Host` and `Content-Length` are the host's business.
    pub headers: Vec<(String, String)>,
    /// Empty: none.
    pub body: Vec<u8>,
    /// How long the whole request may take, if less than the bundle allows.
    pub timeout: Option<Duration>,
}

/// The whole answer to a request, whatever its status.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Response {
    /// `200`
    pub status: u16,
    /// Names, in lower case, and values.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: Vec<u8>,
}

impl Request {
    /// A request of any method.
    pub fn new(method: impl Into<String>, url: impl Into<String>) -> Self {
        Self { method: method.into(), url: url.into(), headers: Vec::new(), body: Vec::new(), timeout: None }
    }

    /// Reads.
    pub fn get(url: impl Into<String>) -> Self {
        Self::new("GET", url)
    }

    /// Sends a body.
    pub fn post(url: impl Into<String>, body: impl Into<Vec<u8>>) -> Self {
        Self { body: body.into(), ..Self::new("POST", url) }
    }

    /// With one more header.
    #[must_use]
    pub fn header(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.headers.push((name.into(), value.into()));
        self
    }

    /// With less time than the bundle allows.
    #[must_use]
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = Some(timeout);
        self
    }

    /// Makes the request and waits for the whole answer. An answer of any status is one; an error says that there is none:
    /// `Forbidden` where the bundle does not grant the endpoint, `Exhausted` where a body is too long or too many requests
    /// are under way, `Invalid` where the request is none, `Unavailable` where nobody answered in time. After the last
    /// one nobody knows whether the request was carried out.
    pub fn send(&self) -> Result<Response> {
        host::http(self)
    }
}

impl Response {
    /// An answer, for tests.
    pub fn new(status: u16, body: impl Into<Vec<u8>>) -> Self {
        Self { status, headers: Vec::new(), body: body.into() }
    }

    /// Is the status 200 to 299?
    pub fn is_success(&self) -> bool {
        (200..300).contains(&self.status)
    }

    /// The first header of a name, in whatever case.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }

    /// The body as text; what is not UTF-8 is replaced.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}
