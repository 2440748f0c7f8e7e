//! nftables in libnftables' JSON schema: the table with what is there whatever policies there are.
//!
//! Rules are in the hook `forward`, where destinations of Services are translated already and sources not yet: everyone
//! is met by the address that is really theirs. What this node itself sends or receives does not pass there, so that it
//! always may (probes). Packets that only cross a bridge pass there too, as the plan of the node sees to.

use std::net::IpAddr;

use gantry_sdk::{Value, json};

use crate::kernel::Rule;
use crate::object::Direction;

const TABLE: &str = "gantry-policy";
const FAMILY: &str = "inet";

/// The chain that looks up the destination.
pub const INGRESS: &str = "ingress";
/// The chain of packets to nobody in particular.
pub const UNADDRESSED: &str = "unaddressed";

/// An address family.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Family {
    V4,
    V6,
}

impl Family {
    pub const ALL: [Family; 2] = [Family::V4, Family::V6];

    pub fn of(address: IpAddr) -> Self {
        if address.is_ipv4() { Family::V4 } else { Family::V6 }
    }

    /// nftables' name of the protocol.
    pub fn protocol(self) -> &'static str {
        match self {
            Family::V4 => "ip",
            Family::V6 => "ip6",
        }
    }

    /// Part of names.
    pub fn digit(self) -> char {
        match self {
            Family::V4 => '4',
            Family::V6 => '6',
        }
    }

    /// nftables' type of addresses.
    pub fn address(self) -> &'static str {
        match self {
            Family::V4 => "ipv4_addr",
            Family::V6 => "ipv6_addr",
        }
    }

    /// A field of the packet: `saddr`, `daddr`.
    pub fn field(self, name: &str) -> Value {
        json!({"payload": {"protocol": self.protocol(), "field": name}})
    }

    /// From an address of this node to the chain of its policies.
    pub fn verdicts(self, direction: Direction) -> String {
        let name = if direction == Direction::Ingress { "ingress" } else { "egress" };
        format!("{name}{}", self.digit())
    }

    /// Pods that talk to themselves, twice: what comes from one and goes to the same.
    pub fn selves(self) -> String {
        format!("self{}", self.digit())
    }
}

/// `{verb: {kind: …}}` for something in the table.
pub fn object(verb: &str, kind: &str, fields: Value) -> Value {
    let mut object = json!({"family": FAMILY, "table": TABLE});
    if let (Value::Object(object), Value::Object(fields)) = (&mut object, fields) {
        object.extend(fields);
    }
    json!({verb: {kind: object}})
}

/// A command about a chain.
pub fn chain(verb: &str, name: &str) -> Value {
    object(verb, "chain", json!({ "name": name }))
}

/// A rule at the end of a chain.
pub fn rule(chain: &str, expr: &Rule) -> Value {
    object("add", "rule", json!({"chain": chain, "expr": expr}))
}

pub fn matches(op: &str, left: &Value, right: &Value) -> Value {
    json!({"match": {"op": op, "left": left, "right": right}})
}

pub fn equal(left: &Value, right: impl Into<Value>) -> Value {
    matches("==", left, &right.into())
}

pub fn protocol() -> Value {
    json!({"meta": {"key": "l4proto"}})
}

pub fn port() -> Value {
    json!({"payload": {"protocol": "th", "field": "dport"}})
}

pub fn accept() -> Value {
    json!({"accept": null})
}

pub fn drop() -> Value {
    json!({"drop": null})
}

pub fn goto(chain: &str) -> Value {
    json!({"goto": {"target": chain}})
}

pub fn jump(chain: &str) -> Value {
    json!({"jump": {"target": chain}})
}

/// The whole table, with nothing in its sets, in the place of whatever was there.
pub fn fresh() -> Vec<Value> {
    let table = |verb: &str| json!({verb: {"table": {"family": FAMILY, "name": TABLE}}});
    // Added first, so that there is something to delete.
    let mut commands = vec![table("add"), table("delete"), table("add")];
    for family in Family::ALL {
        for direction in Direction::ALL {
            let map = json!({"name": family.verdicts(direction), "type": family.address(), "map": "verdict"});
            commands.push(object("add", "map", map));
        }
        let pair = json!([family.address(), family.address()]);
        commands.push(object("add", "set", json!({"name": family.selves(), "type": pair})));
    }
    let base = json!({"name": "forward", "type": "filter", "hook": "forward", "prio": 0, "policy": "accept"});
    commands.push(object("add", "chain", base));
    commands.push(chain("add", INGRESS));
    commands.push(chain("add", UNADDRESSED));
    commands.extend(forward().iter().map(|expr| rule("forward", expr)));
    commands.extend(lookups(Direction::Ingress, "daddr").iter().map(|expr| rule(INGRESS, expr)));
    // Whoever comes here from the middle of another chain must not fall back into it.
    commands.push(rule(INGRESS, &vec![accept()]));
    commands
}

fn forward() -> Vec<Rule> {
    let ct = |key: &str| json!({"ct": {"key": key}});
    // Neighbours find each other by these (MLD, neighbour discovery), and they never leave a link.
    let neighbours = json!({"set": [{"range": [130, 137]}, 143]});
    let icmp = json!({"payload": {"protocol": "icmpv6", "field": "type"}});
    let mut rules = vec![
        vec![equal(&icmp, neighbours), accept()],
        // Answers. What was allowed is asked again for each packet in its own direction, so that a connection that is not
        // allowed any more ends.
        vec![equal(&ct("direction"), "reply"), accept()],
        vec![matches("in", &ct("state"), &json!("related")), accept()],
    ];
    for family in Family::ALL {
        let pair = json!({"concat": [family.field("saddr"), family.field("daddr")]});
        rules.push(vec![equal(&pair, format!("@{}", family.selves())), accept()]);
    }
    rules.push(vec![jump(UNADDRESSED)]);
    rules.extend(lookups(Direction::Egress, "saddr"));
    rules.push(vec![goto(INGRESS)]);
    rules
}

fn lookups(direction: Direction, field: &str) -> Vec<Rule> {
    let lookup = |family: Family| {
        let data = format!("@{}", family.verdicts(direction));
        vec![json!({"vmap": {"key": family.field(field), "data": data}})]
    };
    Family::ALL.into_iter().map(lookup).collect()
}

/// What would reach a pod past its address: broadcasts, multicasts and link-local addresses of neighbours on one bridge.
/// In force while a pod of this node is isolated.
pub fn unaddressed() -> Vec<Rule> {
    let kind = json!({"fib": {"result": "type", "flags": ["daddr"]}});
    let everyone = json!({"set": ["broadcast", "multicast"]});
    let link_local = json!({"prefix": {"addr": "fe80::", "len": 10}});
    vec![vec![equal(&kind, everyone), drop()], vec![equal(&Family::V6.field("saddr"), link_local), drop()]]
}
