//! The chains of one port of a frontend, and what leads to them.
//!
//! - `c-`: any backend. - `l-`: backends of this node. - `x-`: what comes from outside, which decides between the two.

use std::hash::Hasher;
use std::net::Ipv4Addr;

use fnv::FnvHasher;
use gantry_sdk::load_balancer::{Endpoint, Frontend, Policy, Port, Protocol};
use gantry_sdk::{Value, json};
use ipnet::Ipv4Net;

use crate::installed::{Element, Installed, Set};
use crate::pick::{self, Target};
use crate::table::{from, goto, is_local, mark, protocol_is};

/// In an IP header.
const UDP: u8 = 17;

/// What is the same for all.
pub struct World<'a> {
    /// Virtual addresses; what nobody serves there is refused anyway.
    pub service_ranges: &'a [Ipv4Net],
    /// What comes from there comes from within.
    pub cluster_ranges: &'a [Ipv4Net],
}

/// nftables' name.
pub fn name(protocol: Protocol) -> &'static str {
    match protocol {
        Protocol::Tcp => "tcp",
        Protocol::Udp => "udp",
        Protocol::Sctp => "sctp",
    }
}

/// Adds what a port needs.
pub fn install(world: &World<'_>, frontend: &Frontend, port: &Port, endpoints: &[Endpoint], all: &mut Installed) {
    let mut one = One { world, frontend, port, tag: tag(frontend, port), all };
    let everywhere = pick::usable(endpoints, false);
    let here = pick::usable(endpoints, true);
    let cluster = one.choice("c", &everywhere);
    let wants_local = frontend.internal == Policy::Local || frontend.external == Policy::Local;
    let local = if wants_local { one.choice("l", &here) } else { None };
    one.flows(&everywhere);
    let internal = if frontend.internal == Policy::Local { &local } else { &cluster };
    for address in v4(&frontend.addresses) {
        one.lead(address, internal.as_deref());
    }
    if port.node_port != 0 || !frontend.external_addresses.is_empty() {
        let external = one.external(cluster.as_deref(), local.as_deref());
        for address in v4(&frontend.external_addresses) {
            one.lead(address, external.as_deref());
        }
        if let Some(chain) = external.filter(|_| port.node_port != 0) {
            let key = vec![json!(name(port.protocol)), json!(port.node_port)];
            one.all.elements.insert(Element::new(Set::NodePorts, key), chain);
        }
    }
    // Only one that runs here can reach itself by way of here.
    for (address, _) in here {
        let key = vec![json!(address), json!(address)];
        one.all.elements.insert(Element::new(Set::Hairpin, key), String::new());
    }
}

fn v4(addresses: &[String]) -> impl Iterator<Item = Ipv4Addr> {
    addresses.iter().filter_map(|address| address.parse().ok())
}

/// Part of the chains' names. Two ports share one with a probability of about one in 10^13 for 1,000 frontends.
fn tag(frontend: &Frontend, port: &Port) -> String {
    let text = format!("{}/{}/{}/{}", frontend.id, port.name, name(port.protocol), port.port);
    let mut hasher = FnvHasher::default();
    hasher.write(text.as_bytes());
    format!("{:016x}", hasher.finish())
}

struct One<'a> {
    world: &'a World<'a>,
    frontend: &'a Frontend,
    port: &'a Port,
    tag: String,
    all: &'a mut Installed,
}

impl One<'_> {
    /// A chain that picks one of the targets; none for no target.
    fn choice(&mut self, prefix: &str, targets: &[Target]) -> Option<String> {
        if targets.is_empty() {
            return None;
        }
        let translate = pick::translate(targets, self.frontend.affinity_seconds > 0);
        let rule = vec![protocol_is(name(self.port.protocol)), translate];
        Some(self.chain(prefix, vec![rule]))
    }

    /// Clients of UDP know nothing of connections: they go on sending to where they were led first.
    fn flows(&mut self, targets: &[Target]) {
        if self.port.protocol != Protocol::Udp {
            return;
        }
        let Frontend { addresses, external_addresses, .. } = self.frontend;
        let virtual_ = v4(addresses).chain(v4(external_addresses)).map(|at| (at.to_string(), self.port.port));
        let node = (self.port.node_port != 0).then(|| (String::new(), self.port.node_port));
        for (address, port) in virtual_.chain(node) {
            let to = targets.iter().map(|(backend, _)| (UDP, address.clone(), port, backend.to_string()));
            self.all.flows.extend(to);
        }
    }

    fn chain(&mut self, prefix: &str, rules: Vec<Vec<Value>>) -> String {
        let chain = format!("{prefix}-{}", self.tag);
        self.all.chains.insert(chain.clone(), rules);
        chain
    }

    /// What comes from outside. With the policy `Local`, clients within the cluster are treated as if there were none:
    /// for them the address is one like any other.
    fn external(&mut self, cluster: Option<&str>, local: Option<&str>) -> Option<String> {
        let cluster = cluster?;
        let rules = match self.frontend.external {
            // The answer must come back here to be translated back.
            Policy::Cluster => vec![vec![mark()], vec![goto(cluster)]],
            Policy::Local => {
                let within = from(self.world.cluster_ranges).map(|from| vec![from, goto(cluster)]);
                let node = [vec![is_local("saddr"), mark()], vec![is_local("saddr"), goto(cluster)]];
                let outside = local.map_or_else(|| json!({"drop": null}), goto);
                within.into_iter().chain(node).chain([vec![outside]]).collect()
            }
        };
        Some(self.chain("x", rules))
    }

    /// Makes an address lead to a chain; without one it is refused.
    fn lead(&mut self, address: Ipv4Addr, chain: Option<&str>) {
        let key = vec![json!(address), json!(name(self.port.protocol)), json!(self.port.port)];
        match chain {
            Some(chain) => drop(self.all.elements.insert(Element::new(Set::Services, key), chain.to_owned())),
            None if self.world.service_ranges.iter().any(|range| range.contains(&address)) => {}
            None => drop(self.all.elements.insert(Element::new(Set::Dead, key), String::new())),
        }
    }
}
