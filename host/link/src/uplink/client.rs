//! What a node asks its server for.

use bytes::Bytes;
use gantry_model::Caller;
use http::{Request, Response};
use rustls::ClientConfig;
use tonic::Code;

use crate::channel::{Channel, channel};
use crate::convert::{question, response};
use crate::hub::{BundleOffer, Verdict};
use crate::wire::link_client::LinkClient;
use crate::wire::{BundleAnswer, BundleRequest, ComponentRequest, Delivery};

/// The largest component.
const COMPONENT: usize = 256 << 20;

/// Why the server did not do what it was asked for.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
pub enum ClientError {
    /// It can't be reached, or can't do it now: try again.
    #[error("the server can't be asked: {0}")]
    Away(String),
    /// It does not accept who this is.
    #[error("the server refuses this node: {0}")]
    Refused(String),
    /// It has no such thing (any more).
    #[error("{0}")]
    Missing(String),
}

impl From<tonic::Status> for ClientError {
    fn from(status: tonic::Status) -> Self {
        let said = said(&status);
        match status.code() {
            Code::PermissionDenied | Code::Unauthenticated => Self::Refused(said),
            Code::NotFound => Self::Missing(said),
            _ => Self::Away(said),
        }
    }
}

/// What a failed call says, and what was at the bottom of it.
pub(super) fn said(status: &tonic::Status) -> String {
    let mut source = std::error::Error::source(status);
    let mut text = status.message().to_owned();
    while let Some(error) = source {
        let deeper = error.to_string();
        if !text.contains(&deeper) {
            text = format!("{text}: {deeper}");
        }
        source = error.source();
    }
    text
}

/// Calls to the server. Cheap to clone; all clones share one connection, which is made when it is needed.
#[derive(Clone)]
pub struct Client {
    pub(super) calls: LinkClient<Channel>,
}

impl Client {
    /// Of the server at `https://host:port`. An error says what is wrong with that.
    pub fn new(server: &str, tls: ClientConfig) -> Result<Self, String> {
        Ok(Self { calls: LinkClient::new(channel(server, tls)?) })
    }

    /// What the server's bundle has for nodes.
    pub async fn bundle(&self) -> Result<BundleOffer, ClientError> {
        let answer = self.calls.clone().bundle(BundleRequest {}).await?.into_inner();
        let BundleAnswer { bundle, sinks, cluster_ranges, absent, local } = answer;
        // What this agent does not take for an address, it does not listen at.
        let local = local.iter().filter_map(|address| address.parse().ok()).collect();
        Ok(BundleOffer { bundle, sinks, cluster_ranges, absent, local })
    }

    /// The bytes of a component. They are to be checked against the digest.
    pub async fn component(&self, digest: &str) -> Result<Vec<u8>, ClientError> {
        let request = ComponentRequest { digest: digest.to_owned() };
        let mut pieces = self.calls.clone().component(request).await?.into_inner();
        let mut all = Vec::new();
        while let Some(chunk) = pieces.message().await? {
            let data: Bytes = chunk.data;
            if all.len() + data.len() > COMPONENT {
                return Err(ClientError::Missing(format!("component {digest} has more than {} MiB", COMPONENT >> 20)));
            }
            all.extend_from_slice(&data);
        }
        Ok(all)
    }

    /// Hands records to a sink of the server, and waits until their fate is decided.
    pub async fn deliver(&self, delivery: Delivery) -> Result<Verdict, ClientError> {
        let fate = self.calls.clone().deliver(delivery).await?.into_inner();
        Ok(if fate.rejected.is_empty() { Verdict::Accepted } else { Verdict::Rejected(fate.rejected) })
    }

    /// Passes on what a pod of this node asks, and waits for the answer.
    pub async fn ask(&self, caller: &Caller, request: Request<Bytes>) -> Result<Response<Bytes>, ClientError> {
        let reply = self.calls.clone().ask(question(caller, request)).await?.into_inner();
        response(reply).map_err(ClientError::Away)
    }
}
