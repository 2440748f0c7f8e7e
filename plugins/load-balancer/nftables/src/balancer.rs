//! The plugin.

use std::collections::{BTreeMap, BTreeSet};

use gantry_sdk::load_balancer::{
    Delta, Description, Endpoint, Frontend, KeptFlow, KeptFlows, LoadBalancer, NodeInfo, Operation,
};
use gantry_sdk::network::{Bridge, Place, Route};
use gantry_sdk::{Config, Error, Result, Value, json};
use ipnet::{IpNet, Ipv4Net};

use crate::health::Healths;
use crate::installed::{Change, Installed, Owners};
use crate::options::Options;
use crate::port::{self, World};
use crate::table;

/// The class of Frontends that it serves.
const CLASS: &str = "cluster";
/// In an IP header.
const UDP: u8 = 17;

/// Frontends of one node.
#[derive(Default)]
pub struct Nftables {
    options: Options,
    cluster_ranges: Vec<Ipv4Net>,
    zone: String,
    frontends: BTreeMap<String, Known>,
    owners: Owners,
    healths: Healths,
}

/// A frontend, with what is in the kernel because of it.
struct Known {
    frontend: Frontend,
    /// By the port's name.
    backends: BTreeMap<String, Vec<Endpoint>>,
    installed: Installed,
}

/// What one call is about.
#[derive(Default)]
struct Batch {
    touched: BTreeSet<String>,
    /// With what is still in the kernel: one of the same name may come in the same call.
    gone: BTreeMap<String, Installed>,
}

impl LoadBalancer for Nftables {
    fn configure(&mut self, config: Config, node: NodeInfo) -> Result<Description> {
        self.options = config.parse()?;
        self.options.check()?;
        for text in &node.cluster_ranges {
            let range: IpNet =
                text.parse().map_err(|_| Error::invalid(format!("cluster range {text:?} is not in CIDR notation")))?;
            self.cluster_ranges.extend(match range {
                IpNet::V4(range) => Some(range),
                IpNet::V6(_) => None,
            });
        }
        self.zone = node.zone;
        Ok(Description { classes: vec![CLASS.to_owned()] })
    }

    fn node(&mut self) -> Result<Vec<Operation>> {
        let link = &self.options.link;
        let bridge = Bridge { name: link.clone(), addresses: Vec::new(), mtu: 0, hairpin: false };
        let routes = self.options.service_ranges.iter().map(|range| {
            Operation::EnsureRoute(Route {
                place: Place::Node,
                destination: range.to_string(),
                via: String::new(),
                link: link.clone(),
                mtu: 0,
            })
        });
        let up = Operation::LinkUp((Place::Node, link.clone()));
        Ok([Operation::EnsureBridge(bridge), up].into_iter().chain(routes).collect())
    }

    fn sync(&mut self, full: bool, deltas: Vec<Delta>) -> Result<Vec<Operation>> {
        if full {
            self.frontends.clear();
            self.owners = Owners::default();
            self.healths = Healths::default();
        }
        let mut change = Change::default();
        let mut batch = Batch::default();
        for delta in deltas {
            self.take(delta, &mut batch);
        }
        let mut healths = Vec::new();
        for id in batch.touched {
            self.renew(&id, &mut change);
            let known = self.frontends.get(&id);
            healths.extend(known.and_then(|known| self.healths.set(&known.frontend, &known.backends)));
        }
        for (id, installed) in batch.gone {
            change.step(&id, &installed, &Installed::default(), &mut self.owners);
            healths.extend(self.healths.remove(&id));
        }
        let (changes, kept) = change.finish();
        if !full {
            return Ok(plan(&changes, self.flows(false, kept), healths));
        }
        let commands = [table::fresh(&self.world()), changes].concat();
        healths.push(self.healths.keep());
        Ok(plan(&commands, self.flows(true, kept), healths))
    }
}

/// First the rules, so that what is forgotten does not come again.
fn plan(commands: &[Value], flows: Option<KeptFlows>, healths: Vec<Operation>) -> Vec<Operation> {
    let rules = (!commands.is_empty()).then(|| Operation::Nftables(json!({ "nftables": commands }).to_string()));
    rules.into_iter().chain(flows.map(Operation::KeepFlows)).chain(healths).collect()
}

impl Nftables {
    fn world(&self) -> World<'_> {
        let Options { service_ranges, .. } = &self.options;
        World { service_ranges, cluster_ranges: &self.cluster_ranges, zone: &self.zone }
    }

    /// With `full` also those to virtual addresses that are nobody's now.
    fn flows(&self, full: bool, flows: Vec<KeptFlow>) -> Option<KeptFlows> {
        let ranges = self.options.service_ranges.iter().filter(|_| full);
        let within: Vec<String> = ranges.map(ToString::to_string).collect();
        (full || !flows.is_empty()).then_some(KeptFlows { protocol: UDP, within, flows })
    }

    fn take(&mut self, delta: Delta, batch: &mut Batch) {
        match delta {
            Delta::FrontendSet(frontend) => {
                batch.touched.insert(frontend.id.clone());
                match self.frontends.get_mut(&frontend.id) {
                    Some(known) => {
                        known.backends.retain(|name, _| frontend.ports.iter().any(|port| port.name == *name));
                        known.frontend = frontend;
                    }
                    None => {
                        let installed = batch.gone.remove(&frontend.id).unwrap_or_default();
                        let known = Known { backends: BTreeMap::new(), installed, frontend };
                        self.frontends.insert(known.frontend.id.clone(), known);
                    }
                }
            }
            Delta::FrontendGone(id) => {
                batch.touched.remove(&id);
                if let Some(known) = self.frontends.remove(&id) {
                    batch.gone.insert(id, known.installed);
                }
            }
            Delta::BackendsSet(backends) => {
                if let Some(known) = self.frontends.get_mut(&backends.frontend) {
                    known.backends.insert(backends.port, backends.endpoints);
                    batch.touched.insert(backends.frontend);
                }
            }
        }
    }

    /// Works out what a frontend needs now, and the way there.
    fn renew(&mut self, id: &str, change: &mut Change) {
        let Options { service_ranges, .. } = &self.options;
        let world = World { service_ranges, cluster_ranges: &self.cluster_ranges, zone: &self.zone };
        let Some(known) = self.frontends.get_mut(id) else { return };
        let mut wanted = Installed::default();
        for port in &known.frontend.ports {
            let endpoints = known.backends.get(&port.name).map(Vec::as_slice).unwrap_or_default();
            port::install(&world, &known.frontend, port, endpoints, &mut wanted);
        }
        change.step(id, &known.installed, &wanted, &mut self.owners);
        known.installed = wanted;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use gantry_sdk::testing::suite;

    #[test]
    fn is_a_load_balancer() {
        let node = NodeInfo {
            name: "n1".into(),
            addresses: vec!["192.0.2.1".into()],
            cluster_ranges: vec!["10.64.0.0/16".into()],
            zone: String::new(),
        };
        suite::load_balancer::<Nftables>(&Config::from_text("{}"), &node);
        let refused = Nftables::default().configure(Config::from_text("{\"ranges\": []}"), node);
        assert!(refused.unwrap_err().message.contains("ranges"));
    }
}
