//! Load balancers of a node: which virtual address and port leads to whom.

use crate::contract::load_balancer::exports::gantry::plugin::load_balancer as wit;
use crate::export::{Holder, enter, start};
use crate::{Config, Result};

pub use crate::network::{KeptFlow, KeptFlows, Operation};
pub use wit::{
    Backend, Backends, Certificate, Delta, Description, Endpoint, Frontend, Http, Listener, NodeInfo, Policy, Port,
    Protocol, Route,
};

/// A load balancer. See `wit/load-balancer.wit` for when each call comes and what it may rely on.
pub trait LoadBalancer: Default + 'static {
    /// Takes the configuration and the node's place in the cluster; called once, first. Says which classes of
    /// Frontends it serves.
    fn configure(&mut self, config: Config, node: NodeInfo) -> Result<Description>;

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
    H::Plugin: LoadBalancer,
{
    fn configure(config: String, node: NodeInfo) -> Result<Description> {
        start::<H, _>(|balancer| balancer.configure(Config::from_text(config), node))
    }

    fn node() -> Result<Vec<Operation>> {
        enter::<H, _>(LoadBalancer::node)?
    }

    fn sync(full: bool, deltas: Vec<Delta>) -> Result<Vec<Operation>> {
        enter::<H, _>(|balancer| balancer.sync(full, deltas))?
    }
}
