//! The server's end.

mod node;
mod nodes;
mod service;
mod session;

use std::net::SocketAddrV4;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use bytes::Bytes;
use futures::stream::BoxStream;
use gantry_api::{ExecRequest, ExecSession, LogRequest, Paths, Streams};
use gantry_model::status::Reason;
use gantry_model::{Caller, Status};
use http::{Request, Response};
use tokio_util::sync::CancellationToken;
use tonic::service::Routes;

use crate::wire::Delivery;
use crate::wire::link_server::LinkServer;
use nodes::Nodes;

/// The largest message of a node: a batch of records.
const MESSAGE: usize = 16 << 20;

/// What nodes get from their server.
#[async_trait]
pub trait Backing: Send + Sync + 'static {
    /// What the bundle has for nodes.
    fn bundle(&self) -> BundleOffer;

    /// The file of a component that [`Backing::bundle`] names by this digest; `None`: it names no such component.
    fn component(&self, digest: &str) -> Option<PathBuf>;

    /// Hands records to a sink and waits for their fate. An error says why nobody knows it: the node tries again.
    async fn deliver(&self, delivery: Delivery) -> Result<Verdict, String>;

    /// Answers what a pod of the caller's node asks. That it is the node's agent who passes it on was found out before;
    /// whether the pod is one of that node is for the backing to find out.
    async fn ask(&self, caller: Caller, request: Request<Bytes>) -> Response<Bytes>;
}

/// What the bundle has for nodes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BundleOffer {
    /// A bundle of the plugins that act on nodes. TOML.
    pub bundle: String,
    /// Names of the sinks that take records of nodes.
    pub sinks: Vec<String>,
    /// Addresses of all pods, in CIDR notation, one of each family.
    pub cluster_ranges: Vec<String>,
    /// Plugins of the server's bundle that are not in this one: those that act on no node, and those that could not be
    /// loaded. What they have put on nodes stays.
    pub absent: Vec<String>,
    /// Where pods ask something on their node: link-local addresses with ports.
    pub local: Vec<SocketAddrV4>,
}

/// What became of records.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// They are where they belong.
    Accepted,
    /// They will never be, and why.
    Rejected(String),
}

/// The nodes that are linked up, and their streams. Cheap to clone.
#[derive(Clone)]
pub struct Hub {
    nodes: Arc<Nodes>,
    backing: Arc<Mutex<Arc<dyn Backing>>>,
    stop: CancellationToken,
}

impl Hub {
    /// Without any node yet.
    pub fn new(backing: Arc<dyn Backing>) -> Self {
        Self { nodes: Arc::default(), backing: Arc::new(Mutex::new(backing)), stop: CancellationToken::new() }
    }

    /// Nodes get something else from now on: their agents are made to dial again, and ask for it then.
    pub fn renew(&self, backing: Arc<dyn Backing>) {
        *self.backing.lock().unwrap_or_else(PoisonError::into_inner) = backing;
        self.nodes.leave();
    }

    fn backing(&self) -> Arc<dyn Backing> {
        self.backing.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// A node in this process.
    pub fn add(&self, node: &str, streams: Arc<dyn Streams>) {
        self.nodes.add(node, streams);
    }

    /// Where agents dial in: to be mounted on the API, which says who asks.
    pub fn paths(&self) -> Paths {
        let service = service::Service { hub: self.clone() };
        let server = LinkServer::new(service).max_decoding_message_size(MESSAGE);
        Routes::from(Paths::new()).add_service(server).into_axum_router()
    }

    /// Names of the nodes that can be reached now.
    pub fn linked(&self) -> Vec<String> {
        self.nodes.names()
    }

    /// Ends every call, so that the API can stop. Agents dial again.
    pub fn stop(&self) {
        self.stop.cancel();
    }

    fn streams(&self, node: &str) -> Result<Arc<dyn Streams>, Status> {
        self.nodes.find(node).ok_or_else(|| {
            let why = "its agent is not linked up with this server (hollow nodes have none)";
            Status::new(Reason::ServiceUnavailable, format!("error dialing backend: node \"{node}\": {why}"))
        })
    }
}

#[async_trait]
impl Streams for Hub {
    async fn logs(&self, request: LogRequest) -> Result<BoxStream<'static, std::io::Result<Bytes>>, Status> {
        self.streams(&request.node)?.logs(request).await
    }

    async fn exec(&self, request: ExecRequest) -> Result<ExecSession, Status> {
        self.streams(&request.node)?.exec(request).await
    }

    async fn attach(&self, request: ExecRequest) -> Result<ExecSession, Status> {
        self.streams(&request.node)?.attach(request).await
    }
}
