//! Pods of one node on a bridge, for a cluster of one node: what is on other nodes is reached like the rest of the world.

use gantry_sdk::network::{Attached, Attachment, Detached, Lease, Network, NodeInfo, Operation, PeerDelta};
use gantry_sdk::{Config, Result};
use network_common::{Pods, TUNNEL};

/// The plugin.
#[derive(Default)]
pub struct BridgeNetwork {
    pods: Pods,
}

impl Network for BridgeNetwork {
    fn configure(&mut self, config: Config, node: NodeInfo) -> Result<()> {
        self.pods = Pods::new(config.parse()?, &node, 0)?;
        Ok(())
    }

    fn restore(&mut self, leases: Vec<Lease>) -> Result<()> {
        self.pods.restore(leases)
    }

    fn node(&mut self) -> Result<Vec<Operation>> {
        let mut plan = self.pods.node()?;
        plan.push(Operation::DeleteLink(TUNNEL.to_owned()));
        Ok(plan)
    }

    fn peers(&mut self, full: bool, _deltas: Vec<PeerDelta>) -> Result<Vec<Operation>> {
        // What a network of several nodes may have left.
        let alone = || vec![self.pods.keep_routes(Vec::new()), self.pods.untranslated(&Default::default())];
        Ok(if full { alone() } else { Vec::new() })
    }

    fn add(&mut self, sandbox: &Attachment) -> Result<Attached> {
        self.pods.add(sandbox)
    }

    fn del(&mut self, sandbox: &Attachment) -> Result<Detached> {
        self.pods.del(sandbox)
    }

    fn gc(&mut self, alive: &[String]) -> Result<Detached> {
        self.pods.gc(alive)
    }
}

gantry_sdk::plugin!(manifest: "manifest.toml", network: BridgeNetwork);
