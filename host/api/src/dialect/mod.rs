//! Other HTTP APIs beside the resource API, each answered by somebody who is not known here. What is done for all of them:
//! connections, limits of bodies, places for requests, metrics, and words for a dialect that fails.

mod listener;
mod local;
mod mounts;

use async_trait::async_trait;
use bytes::Bytes;
use http::request::Parts;
use http::{Request, Response};

pub use listener::{Listener, Socket};
pub use local::{CALLER, Locals};
pub use mounts::Mounts;

/// Paths that are the resource API's and stay so, with everything below them.
pub const RESERVED: &[&str] =
    &["/api", "/apis", "/openapi", "/version", "/metrics", "/healthz", "/livez", "/readyz", "/gantry.link.v1.Link"];

/// Somebody else's API.
#[async_trait]
pub trait Dialect: Send + Sync + 'static {
    /// For metrics and messages.
    fn name(&self) -> &str;

    /// Whether a request is its own. No two dialects of one listener may say so of the same request.
    fn matches(&self, head: &Parts) -> bool;

    /// Answers a request. Whoever sent it is not known, and to find that out the dialect's part; unless it has the header
    /// [`CALLER`], which only requests of pods have.
    async fn answer(&self, request: Request<Bytes>) -> Result<Response<Bytes>, Failure>;
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// It failed on this request. The text is for the log, not for the caller.
    #[error("{0}")]
    Fault(String),
    /// It does not take requests now.
    #[error("{0}")]
    Away(String),
}
