//! Network policies of a node: who may talk to whom.

use crate::contract::network_policy::exports::gantry::plugin::network_policy as wit;
use crate::export::{Holder, enter, start};
use crate::{Config, Result};

pub use crate::network::Operation;
pub use wit::{Delta, NamedPort, Namespace, NodeInfo, Pod, Policy, PolicyRef, Protocol};

/// Network policies. See `wit/network-policy.wit` for when each call comes and what it may rely on.
pub trait NetworkPolicy: Default + 'static {
    /// Takes the configuration and the node's place in the cluster; called once, first.
    fn configure(&mut self, config: Config, node: NodeInfo) -> Result<()>;

    /// What the node needs once. By default nothing.
    fn node(&mut self) -> Result<Vec<Operation>> {
        Ok(Vec::new())
    }

    /// Applies changes in order; answers with the plan of what follows. With `full` the changes are everything there
    /// is, and the plan holds whatever is on the node.
    fn sync(&mut self, full: bool, deltas: Vec<Delta>) -> Result<Vec<Operation>>;
}

impl<H: Holder> wit::Guest for H
where
    H::Plugin: NetworkPolicy,
{
    fn configure(config: String, node: NodeInfo) -> Result<()> {
        start::<H, ()>(|plugin| plugin.configure(Config::from_text(config), node))
    }

    fn node() -> Result<Vec<Operation>> {
        enter::<H, _>(NetworkPolicy::node)?
    }

    fn sync(full: bool, deltas: Vec<Delta>) -> Result<Vec<Operation>> {
        enter::<H, _>(|plugin| plugin.sync(full, deltas))?
    }
}
