//! What pods ask on their own node, at link-local addresses: taken in here, and answered elsewhere.
//!
//! A pod is known by the address that its connection comes from, as the agent's records have it, and by nothing that it
//! says. So each hears of itself alone, without a secret that could be lost; as sure as its network is that nobody sends from
//! another pod's address. Whoever has no address of its own (pods with `hostNetwork`, the node itself) is refused.

mod desk;
mod link;
mod listener;
mod service;
#[cfg(test)]
mod tests;

use std::net::IpAddr;

use async_trait::async_trait;
use bytes::Bytes;
use gantry_model::Caller;
use gantry_model::caller::Usage;
use http::{Request, Response};

pub use link::{is_link, link, remove_link};
pub use service::{Local, Options};

use crate::cluster::PodRef;

/// The agent's records.
#[async_trait]
pub trait Pods: Send + Sync + 'static {
    /// The pod of this node that has this address, and no other pod has.
    fn at(&self, address: IpAddr) -> Option<PodRef>;

    /// What its containers use now; `None` when that can't be told.
    async fn usage(&self, pod: &PodRef) -> Option<Usage>;
}

/// Who answers.
#[async_trait]
pub trait Answers: Send + Sync + 'static {
    /// Answers one request; it is not repeated. What is refused is an answer too.
    async fn answer(&self, caller: &Caller, request: Request<Bytes>) -> Result<Response<Bytes>, Away>;
}

/// Nobody answers now. Why is for the log: a pod hears only that it may try again.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct Away(pub String);
