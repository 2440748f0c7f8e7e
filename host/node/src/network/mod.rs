//! How pods get addresses. The agent asks a [`PodNetwork`]; which policy answers it is not the agent's business.
//!
//! [`Plugged`] asks a plugin of the family `network`, applies its plans and keeps records of who has which address;
//! [`Absent`] is there when no such plugin is loaded, and [`HostNetwork`] for pods that use the node's own.

mod absent;
mod apply;
mod clean;
mod conntrack;
mod driver;
mod granted;
mod grants;
mod leases;
mod links;
pub mod netns;
mod owned;
mod peers;
mod plugged;
mod routes;
mod tunnels;

pub use absent::Absent;
pub use clean::{Leavings, clean};
pub(crate) use granted::{Granted, PlanError};
pub(crate) use grants::Permits;
pub(crate) use links::Links;
pub(crate) use owned::Owned;
pub use owned::retire;
pub use plugged::{NETNS_DIR, Options, Plugged};

use std::net::IpAddr;
use std::path::PathBuf;

use async_trait::async_trait;

/// Whose network a sandbox's is, and which of its ports are to show on the node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SandboxNet {
    /// Names the sandbox for its whole life; never used again.
    pub id: String,
    /// The pod's namespace.
    pub namespace: String,
    /// The pod's name.
    pub pod: String,
    /// The pod's uid.
    pub uid: String,
    /// Host ports.
    pub ports: Vec<PortMapping>,
}

/// A port of the node that leads to one of the pod.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PortMapping {
    /// On the node.
    pub host_port: u16,
    /// In the pod.
    pub container_port: u16,
    /// Of both.
    pub protocol: Protocol,
    /// Empty: every address of the node.
    pub host_ip: String,
}

/// A transport protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Protocol {
    /// TCP
    Tcp,
    /// UDP
    Udp,
    /// SCTP
    Sctp,
}

/// What a sandbox got.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NetStatus {
    /// The sandbox's network namespace, for containers to join; `None`: the node's own.
    pub netns_path: Option<PathBuf>,
    /// The primary address first.
    pub addresses: Vec<IpAddr>,
}

/// Why there is no network.
#[derive(Debug, thiserror::Error)]
pub enum NetError {
    /// A bounded thing is used up (addresses, host ports): it may free up, so ask again later.
    #[error("{0}")]
    Exhausted(String),
    /// Something that is needed is not there now (no policy loaded, the node's own setup failed): ask again later.
    #[error("{0}")]
    Unavailable(String),
    /// The request can't ever succeed as it is.
    #[error("{0}")]
    Invalid(String),
    /// Applying the change failed.
    #[error("{0}")]
    Failed(String),
}

/// Connects sandboxes. Every call may be repeated; a repeated `attach` gives the same addresses.
#[async_trait]
pub trait PodNetwork: Send + Sync + 'static {
    /// Makes the sandbox's network namespace and connects it.
    async fn attach(&self, sandbox: &SandboxNet) -> Result<NetStatus, NetError>;

    /// Disconnects a sandbox and removes its network namespace. Succeeds for one that is unknown.
    async fn detach(&self, id: &str) -> Result<(), NetError>;

    /// Releases what belongs to none of these sandboxes. Called once when the agent starts.
    async fn gc(&self, alive: &[String]) -> Result<(), NetError>;

    /// Ready to attach? An error makes the node NotReady with that message.
    async fn status(&self) -> Result<(), NetError>;
}

/// The network of `hostNetwork` pods: the node's own.
pub struct HostNetwork {
    addresses: Vec<IpAddr>,
}

impl HostNetwork {
    /// A node with these addresses, the primary first.
    pub fn new(addresses: Vec<IpAddr>) -> Self {
        Self { addresses }
    }
}

#[async_trait]
impl PodNetwork for HostNetwork {
    async fn attach(&self, _sandbox: &SandboxNet) -> Result<NetStatus, NetError> {
        Ok(NetStatus { netns_path: None, addresses: self.addresses.clone() })
    }

    async fn detach(&self, _id: &str) -> Result<(), NetError> {
        Ok(())
    }

    async fn gc(&self, _alive: &[String]) -> Result<(), NetError> {
        Ok(())
    }

    async fn status(&self) -> Result<(), NetError> {
        Ok(())
    }
}
