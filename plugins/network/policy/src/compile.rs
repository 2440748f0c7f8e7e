//! The rules of one policy in one direction.

use std::collections::BTreeMap;

use gantry_sdk::api::LabelSelector;
use gantry_sdk::network_policy::Protocol;
use gantry_sdk::{Value, json};
use ipnet::IpNet;

use crate::groups::{Group, name};
use crate::kernel::Rule;
use crate::object::{Direction, IpBlock, Peer, Port, Spec};
use crate::table::{self, Family, INGRESS, equal};

/// What a policy comes to.
#[derive(Default)]
pub struct Compiled {
    /// Each allows something.
    pub rules: Vec<Rule>,
    /// What they speak of.
    pub groups: Vec<Group>,
}

/// A condition; `None`: of packets of any family.
type Condition = (Option<Family>, Vec<Value>);

/// Compiles the rules of a direction for a cluster with these families.
pub fn compile(namespace: &str, spec: &Spec, direction: Direction, families: &[Family]) -> Compiled {
    let mut one = One { namespace, direction, families, all: Compiled::default() };
    for (peers, ports) in spec.rules(direction) {
        let ports = one.ports(ports);
        for (of, from) in one.peers(peers) {
            for (at, to) in &ports {
                if of.is_none() || at.is_none() || of == *at {
                    let rule = [from.as_slice(), to.as_slice(), &[one.allow()]].concat();
                    one.all.rules.push(rule);
                }
            }
        }
    }
    one.all
}

struct One<'a> {
    namespace: &'a str,
    direction: Direction,
    families: &'a [Family],
    all: Compiled,
}

impl One<'_> {
    /// What may leave must still be let in.
    fn allow(&self) -> Value {
        match self.direction {
            Direction::Ingress => table::accept(),
            Direction::Egress => table::goto(INGRESS),
        }
    }

    /// The other side's address.
    fn field(&self, family: Family) -> Value {
        family.field(if self.direction == Direction::Ingress { "saddr" } else { "daddr" })
    }

    fn peers(&mut self, peers: &[Peer]) -> Vec<Condition> {
        if peers.is_empty() {
            return vec![(None, Vec::new())];
        }
        peers.iter().flat_map(|peer| self.peer(peer)).collect()
    }

    fn peer(&mut self, peer: &Peer) -> Vec<Condition> {
        let everyone = LabelSelector::default();
        let group = match (&peer.ip_block, &peer.namespace_selector, &peer.pod_selector) {
            (Some(block), ..) => return self.block(block).into_iter().collect(),
            (None, Some(namespaces), pods) => Group::across(namespaces, pods.as_ref().unwrap_or(&everyone)),
            (None, None, Some(pods)) => Group::within(self.namespace, pods),
            // Names nobody.
            (None, None, None) => return Vec::new(),
        };
        let of = |family: &Family| {
            let condition = equal(&self.field(*family), format!("@{}", group.set(*family)));
            (Some(*family), vec![condition])
        };
        let conditions = self.families.iter().map(of).collect();
        self.all.groups.push(group);
        conditions
    }

    fn block(&self, block: &IpBlock) -> Option<Condition> {
        let range: IpNet = block.cidr.parse().ok()?;
        let family = Family::of(range.addr());
        let except = block.except.iter().filter_map(|text| text.parse().ok());
        // Those of the other family mean nothing, and overlapping ones are no set.
        let except: Vec<IpNet> = except.filter(|net: &IpNet| Family::of(net.addr()) == family).collect();
        let except: Vec<Value> = IpNet::aggregate(&except).iter().map(prefix).collect();
        let field = self.field(family);
        let mut conditions = Vec::new();
        if range.prefix_len() == 0 {
            // A condition on the protocol alone: a prefix of no length is none.
            let name = if family == Family::V4 { "ipv4" } else { "ipv6" };
            conditions.push(equal(&json!({"meta": {"key": "nfproto"}}), name));
        } else {
            conditions.push(equal(&field, prefix(&range)));
        }
        if !except.is_empty() {
            conditions.push(table::matches("!=", &field, &json!({ "set": except })));
        }
        Some((Some(family), conditions))
    }

    fn ports(&mut self, ports: &[Port]) -> Vec<Condition> {
        if ports.is_empty() {
            return vec![(None, Vec::new())];
        }
        let mut conditions = Vec::new();
        let mut numbers: BTreeMap<&str, Vec<Ports>> = BTreeMap::new();
        for port in ports {
            let Some(protocol) = port.protocol() else { continue };
            match &port.port {
                Some(Value::String(named)) => conditions.extend(self.named(protocol, named)),
                given => {
                    let range = range(given.as_ref(), port.end_port);
                    numbers.entry(name(protocol)).or_default().extend(range);
                }
            }
        }
        let numbers = numbers.into_iter().filter(|(_, ranges)| !ranges.is_empty());
        conditions.extend(numbers.map(|(protocol, ranges)| (None, numbered(protocol, ranges))));
        conditions
    }

    fn named(&mut self, protocol: Protocol, port: &str) -> Vec<Condition> {
        let group = Group::port(protocol, port);
        let of = |family: &Family| {
            let place = json!({"concat": [family.field("daddr"), table::protocol(), table::port()]});
            (Some(*family), vec![equal(&place, format!("@{}", group.set(*family)))])
        };
        let conditions = self.families.iter().map(of).collect();
        self.all.groups.push(group);
        conditions
    }
}

/// First and last.
type Ports = (u16, u16);

/// `None` for what is no port.
fn range(port: Option<&Value>, end: Option<i64>) -> Option<Ports> {
    let Some(port) = port else { return Some((0, u16::MAX)) };
    let first = u16::try_from(port.as_u64()?).ok()?;
    let last = end.map_or(Some(first), |end| u16::try_from(end).ok())?;
    (first <= last).then_some((first, last))
}

fn numbered(protocol: &str, mut ranges: Vec<Ports>) -> Vec<Value> {
    ranges.sort_unstable();
    // What overlaps is no set.
    let mut apart: Vec<Ports> = Vec::new();
    for (first, last) in ranges {
        match apart.last_mut() {
            Some(known) if first <= known.1.saturating_add(1) => known.1 = known.1.max(last),
            _ => apart.push((first, last)),
        }
    }
    let is = equal(&table::protocol(), protocol);
    let one = |(first, last): &Ports| if first == last { json!(first) } else { json!({"range": [first, last]}) };
    match apart.as_slice() {
        [(0, u16::MAX)] => vec![is],
        [only] => vec![is, equal(&table::port(), one(only))],
        all => vec![is, equal(&table::port(), json!({"set": all.iter().map(one).collect::<Vec<_>>()}))],
    }
}

fn prefix(net: &IpNet) -> Value {
    json!({"prefix": {"addr": net.network(), "len": net.prefix_len()}})
}
