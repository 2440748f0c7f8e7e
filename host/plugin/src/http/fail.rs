//! What kept a request from its answer, in the words of `wasi:http`.

use std::error::Error as _;
use std::io;

use wasmtime_wasi_http::Error;

/// The outcome that metrics count, and what the guest is told.
pub(super) struct Failure {
    pub outcome: &'static str,
    pub error: Error,
    /// For the log.
    pub why: String,
}

impl Failure {
    pub(super) fn new(outcome: &'static str, error: Error, why: impl Into<String>) -> Self {
        Self { outcome, error, why: why.into() }
    }

    pub(super) fn denied(why: impl Into<String>) -> Self {
        Self::new("denied", Error::HttpRequestDenied, why)
    }

    pub(super) fn late() -> Self {
        Self::new("timeout", Error::HttpResponseTimeout, "no answer in time")
    }
}

impl From<reqwest::Error> for Failure {
    fn from(error: reqwest::Error) -> Self {
        let error = error.without_url();
        let why = deepest(&error);
        match () {
            () if error.is_timeout() && error.is_connect() => Self::new("timeout", Error::ConnectionTimeout, why),
            () if error.is_timeout() => Self::new("timeout", Error::HttpResponseTimeout, why),
            () if tls(&error) => Self::new("failed", Error::TlsCertificateError, why),
            () if refused(&error) => Self::new("failed", Error::ConnectionRefused, why),
            () if error.is_connect() => Self::new("failed", Error::DestinationUnavailable, why),
            () => Self::new("failed", Error::InternalError(Some(why.clone())), why),
        }
    }
}

fn causes(error: &reqwest::Error) -> impl Iterator<Item = &(dyn std::error::Error + 'static)> {
    std::iter::successors(error.source(), |cause: &&(dyn std::error::Error + 'static)| (*cause).source())
}

/// The layers above only say that a request could not be made.
fn deepest(error: &reqwest::Error) -> String {
    causes(error).last().map_or_else(|| error.to_string(), ToString::to_string)
}

fn refused(error: &reqwest::Error) -> bool {
    causes(error)
        .any(|cause| cause.downcast_ref::<io::Error>().is_some_and(|io| io.kind() == io::ErrorKind::ConnectionRefused))
}

fn tls(error: &reqwest::Error) -> bool {
    causes(error).any(is_tls)
}

/// An I/O error hides what it was made of from `source`.
fn is_tls(cause: &(dyn std::error::Error + 'static)) -> bool {
    let within = cause.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
    cause.is::<rustls::Error>() || within.is_some_and(|within| is_tls(within))
}
