//! The chains of one port of a frontend, and what leads to them.
//!
//! - `c-`: any backend (near this node, if they say so). - `l-`: backends of this node.
//! - `x-`: what comes from outside, which decides between the two. - `s-`: the same for some clients only.
//! - `e-`: one backend, for clients that stay with theirs; those whom the kernel has noted are in its set `a-`.

use std::collections::BTreeSet;
use std::hash::Hasher;
use std::net::Ipv4Addr;

use fnv::FnvHasher;
use gantry_sdk::load_balancer::{Endpoint, Frontend, Policy, Port, Protocol};
use gantry_sdk::{Value, json};
use ipnet::Ipv4Net;

use crate::installed::{Element, Installed, Set, To};
use crate::pick::{self, Target};
use crate::table::{from, from_elsewhere, goto, is_client_of, is_local, mark, protocol_is, remember};

/// What is the same for all.
pub struct World<'a> {
    /// Virtual addresses; what nobody serves there is refused anyway.
    pub service_ranges: &'a [Ipv4Net],
    /// What comes from there comes from within.
    pub cluster_ranges: &'a [Ipv4Net],
    /// Where this node is.
    pub zone: &'a str,
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
    let everywhere = pick::usable(pick::near(endpoints, world.zone));
    let here = pick::usable(pick::here(endpoints));
    let cluster = one.choice("c", &everywhere);
    let wants_local = frontend.internal == Policy::Local || frontend.external == Policy::Local;
    let local = if wants_local { one.choice("l", &here) } else { None };
    let inside = if frontend.internal == Policy::Local {
        (&local, served(&[&here]))
    } else {
        (&cluster, served(&[&everywhere]))
    };
    for address in v4(&frontend.addresses) {
        one.lead(address, inside.0.as_deref(), &inside.1);
    }
    let outside =
        if frontend.external == Policy::Local { served(&[&everywhere, &here]) } else { served(&[&everywhere]) };
    if one.has_outside() {
        let external = one.external(cluster.as_deref(), local.as_deref());
        for address in v4(&frontend.external_addresses) {
            one.lead(address, external.as_deref(), &outside);
        }
        let some = external.as_deref().and_then(|chain| one.limited(chain));
        for address in v4(&frontend.balanced_addresses) {
            one.lead(address, some.as_deref().or(external.as_deref()), &outside);
        }
        if port.node_port != 0 {
            one.open(external, &outside);
        }
    }
    // Only one that runs here can reach itself by way of here.
    for (address, _) in here {
        let key = vec![json!(address), json!(address)];
        one.all.elements.insert(Element::new(Set::Hairpin, key), String::new());
    }
}

/// As plans name them.
fn served(targets: &[&Vec<Target>]) -> BTreeSet<String> {
    targets.iter().copied().flatten().map(|(address, port)| format!("{address}:{port}")).collect()
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
    fn has_outside(&self) -> bool {
        let Frontend { external_addresses, balanced_addresses, .. } = self.frontend;
        self.port.node_port != 0 || !external_addresses.is_empty() || !balanced_addresses.is_empty()
    }

    /// A chain that picks one of the targets; none for no target.
    fn choice(&mut self, prefix: &str, targets: &[Target]) -> Option<String> {
        if targets.is_empty() {
            return None;
        }
        let rules = match self.frontend.affinity_seconds {
            0 => vec![vec![protocol_is(name(self.port.protocol)), pick::translate(targets)]],
            seconds => self.sticky(targets, seconds),
        };
        Some(self.chain(prefix, rules))
    }

    /// First to whom the client was led before, and else by its hash. Either is noted.
    fn sticky(&mut self, targets: &[Target], seconds: u32) -> Vec<Vec<Value>> {
        let tag = self.tag.clone();
        let named =
            |prefix: &str, (address, port): &Target| format!("{prefix}-{tag}-{:08x}-{port:04x}", u32::from(*address));
        let mut rules = Vec::new();
        for target in targets {
            let (clients, chain) = (named("a", target), named("e", target));
            let led = vec![protocol_is(name(self.port.protocol)), pick::to(target)];
            // A set that is full ends its rule, and no more.
            self.all.chains.insert(chain.clone(), vec![vec![remember(&clients, seconds)], led]);
            rules.push(vec![is_client_of(&clients), goto(&chain)]);
            self.all.clients.insert(clients);
        }
        rules.push(vec![pick::by_client(targets, |target| named("e", target))]);
        rules
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

    /// Only clients that may use it.
    fn limited(&mut self, chain: &str) -> Option<String> {
        let ranges = &self.frontend.source_ranges;
        if ranges.is_empty() {
            return None;
        }
        let ranges: Vec<Ipv4Net> = ranges.iter().filter_map(|range| range.trim().parse().ok()).collect();
        let drop = json!({"drop": null});
        // Without a range of this address family nobody may.
        let rules = match from_elsewhere(&ranges) {
            Some(others) => vec![vec![others, drop], vec![goto(chain)]],
            None => vec![vec![drop]],
        };
        Some(self.chain("s", rules))
    }

    /// Makes an address lead to a chain; without one it is refused.
    fn lead(&mut self, address: Ipv4Addr, chain: Option<&str>, backends: &BTreeSet<String>) {
        let key = vec![json!(address), json!(name(self.port.protocol)), json!(self.port.port)];
        let element = Element::new(Set::Services, key.clone());
        self.flows(address.to_string(), self.port.port, element.clone(), backends);
        match chain {
            Some(chain) => drop(self.all.elements.insert(element, chain.to_owned())),
            None if self.world.service_ranges.iter().any(|range| range.contains(&address)) => {}
            None => drop(self.all.elements.insert(Element::new(Set::Dead, key), String::new())),
        }
    }

    /// The same of the node's port.
    fn open(&mut self, chain: Option<String>, backends: &BTreeSet<String>) {
        let key = vec![json!(name(self.port.protocol)), json!(self.port.node_port)];
        let element = Element::new(Set::NodePorts, key.clone());
        self.flows(String::new(), self.port.node_port, element.clone(), backends);
        let (element, chain) = match chain {
            Some(chain) => (element, chain),
            None => (Element::new(Set::DeadPorts, key), String::new()),
        };
        self.all.elements.insert(element, chain);
    }

    /// Clients of UDP know nothing of connections: they go on sending to where they were led first.
    fn flows(&mut self, address: String, port: u16, element: Element, backends: &BTreeSet<String>) {
        if self.port.protocol == Protocol::Udp {
            self.all.flows.insert(To { address, port, element }, backends.clone());
        }
    }
}
