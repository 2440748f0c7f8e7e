//! Dialects: somebody else's HTTP API in terms of the cluster's objects.

mod caller;
#[cfg(target_arch = "wasm32")]
mod wire;

/// Requests and answers.
pub use ::http;
use ::http::{Request, Response};
pub use caller::{CALLER, Caller, ContainerUsage, Usage};

use crate::contract::api::exports::gantry::plugin::api as wit;
use crate::export::{Holder, start};
use crate::{Config, Result};

#[cfg(target_arch = "wasm32")]
#[doc(hidden)]
pub use wire::serve;

/// What a request comes with, so that the same call gives the same answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Call {
    /// Unix time in milliseconds, to be used instead of a clock.
    pub now_ms: u64,
    /// 32 random hexadecimal digits, no two calls the same: what ids of the request, and of whatever it makes, are made from.
    pub id: String,
}

/// An HTTP API. See `wit/api.wit` for what the host has seen to before a call, and what it has not: above all, who asks.
pub trait Dialect: Default + 'static {
    /// Takes the operator's configuration; called once, first. By default there is none to take.
    fn configure(&mut self, config: Config) -> Result<()> {
        config.refuse()
    }

    /// Answers a request: one call each, never repeated by the host, though clients repeat theirs. The header `host` is
    /// there whatever the version of HTTP. Nothing may be kept for the next request: another instance may get it.
    fn handle(&mut self, call: &Call, request: Request<Vec<u8>>) -> Response<Vec<u8>>;
}

impl<H: Holder> wit::Guest for H
where
    H::Plugin: Dialect,
{
    fn configure(config: String) -> Result<()> {
        start::<H, ()>(|plugin| plugin.configure(Config::from_text(config)))
    }
}
