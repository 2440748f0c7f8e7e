//! Pod networks: the verbs of the Container Network Interface, pure.

use crate::contract::network::exports::gantry::plugin::network as wit;
use crate::export::{Holder, enter, start};
use crate::{Config, Result};

pub use crate::contract::network::gantry::plugin::plan::{
    Address, Bridge, KeptFlow, KeptFlows, KeptPeers, KeptRoutes, Operation, Place, Route, Sysctl, TunnelPeer, Veth,
    Vxlan,
};
pub use wit::{Attached, Attachment, Detached, Lease, NodeInfo, Peer, PeerDelta, PortMapping, Protocol};

/// A pod network. See `wit/network.wit` for when each call comes and what it may rely on.
pub trait Network: Default + 'static {
    /// Takes the configuration and the node's place in the cluster; called once, first.
    fn configure(&mut self, config: Config, node: NodeInfo) -> Result<()>;

    /// All leases in force; called once, after `configure`.
    fn restore(&mut self, leases: Vec<Lease>) -> Result<()>;

    /// What the node itself needs. By default nothing.
    fn node(&mut self) -> Result<Vec<Operation>> {
        Ok(Vec::new())
    }

    /// Other nodes that came, changed or went; with `full` these are all there are, and the plan must do whatever is on
    /// the node. By default nothing: a network of one node.
    fn peers(&mut self, _full: bool, _deltas: Vec<PeerDelta>) -> Result<Vec<Operation>> {
        Ok(Vec::new())
    }

    /// Connects a sandbox. Repeated for one that has leases it gives the same addresses.
    fn add(&mut self, sandbox: &Attachment) -> Result<Attached>;

    /// Disconnects a sandbox. Succeeds for one that is unknown.
    fn del(&mut self, sandbox: &Attachment) -> Result<Detached>;

    /// Releases whatever belongs to none of these sandboxes.
    fn gc(&mut self, alive: &[String]) -> Result<Detached>;

    /// Ready to `add`? By default always.
    fn status(&mut self) -> Result<()> {
        Ok(())
    }
}

impl<H: Holder> wit::Guest for H
where
    H::Plugin: Network,
{
    fn configure(config: String, node: NodeInfo) -> Result<()> {
        start::<H, ()>(|n| n.configure(Config::from_text(config), node))
    }

    fn restore(leases: Vec<Lease>) -> Result<()> {
        enter::<H, _>(|n| n.restore(leases))?
    }

    fn node() -> Result<Vec<Operation>> {
        enter::<H, _>(Network::node)?
    }

    fn peers(full: bool, deltas: Vec<PeerDelta>) -> Result<Vec<Operation>> {
        enter::<H, _>(|n| n.peers(full, deltas))?
    }

    fn add(sandboxes: Vec<Attachment>) -> Vec<Result<Attached>> {
        each::<H, _>(&sandboxes, Network::add)
    }

    fn del(sandboxes: Vec<Attachment>) -> Vec<Result<Detached>> {
        each::<H, _>(&sandboxes, Network::del)
    }

    fn gc(alive: Vec<String>) -> Result<Detached> {
        enter::<H, _>(|n| n.gc(&alive))?
    }

    fn status() -> Result<()> {
        enter::<H, _>(Network::status)?
    }
}

fn each<H: Holder, R>(
    sandboxes: &[Attachment],
    mut call: impl FnMut(&mut H::Plugin, &Attachment) -> Result<R>,
) -> Vec<Result<R>> {
    enter::<H, _>(|n| sandboxes.iter().map(|s| call(n, s)).collect::<Vec<_>>())
        .unwrap_or_else(|error| sandboxes.iter().map(|_| Err(error.clone())).collect())
}
