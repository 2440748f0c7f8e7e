//! nftables in libnftables' JSON schema: the table with what is there whatever frontends there are.

use gantry_sdk::{Value, json};
use ipnet::Ipv4Net;

use crate::installed::Set;
use crate::port::World;

const TABLE: &str = "gantry-services";
const FAMILY: &str = "ip";

/// Of a packet whose source is to become this node. The bit that Kubernetes uses, so that rules which know it agree.
const MARK: u32 = 0x4000;

/// `{verb: {kind: …}}` for something in the table.
pub fn object(verb: &str, kind: &str, fields: Value) -> Value {
    let mut object = json!({"family": FAMILY, "table": TABLE});
    if let (Value::Object(object), Value::Object(fields)) = (&mut object, fields) {
        object.extend(fields);
    }
    json!({verb: {kind: object}})
}

/// Clients that one set holds; more are led by their hash alone.
const CLIENTS: u32 = 65_536;

/// A command about a set of clients, which the kernel fills.
pub fn clients(verb: &str, name: &str) -> Value {
    match verb {
        "add" => object(verb, "set", json!({"name": name, "type": "ipv4_addr", "flags": ["timeout"], "size": CLIENTS})),
        _ => object(verb, "set", json!({ "name": name })),
    }
}

/// Whether the client is in a set.
pub fn is_client_of(set: &str) -> Value {
    json!({"match": {"op": "==", "left": field("saddr"), "right": format!("@{set}")}})
}

/// Puts the client into a set for a while, anew if it is there.
pub fn remember(set: &str, seconds: u32) -> Value {
    let client = json!({"elem": {"val": field("saddr"), "timeout": seconds}});
    json!({"set": {"op": "update", "elem": client, "set": format!("@{set}")}})
}

/// A command about a chain.
pub fn chain(verb: &str, name: &str) -> Value {
    object(verb, "chain", json!({ "name": name }))
}

/// A rule at the end of a chain.
pub fn rule(chain: &str, expr: &[Value]) -> Value {
    object("add", "rule", json!({"chain": chain, "expr": expr}))
}

/// Goes there and does not come back.
pub fn goto(chain: &str) -> Value {
    json!({"goto": {"target": chain}})
}

/// Notes that the packet's source is to become this node.
pub fn mark() -> Value {
    let mark = json!({"meta": {"key": "mark"}});
    json!({"mangle": {"key": mark, "value": {"|": [mark, MARK]}}})
}

/// The transport protocol; a translation of ports needs to know it.
pub fn protocol_is(name: &str) -> Value {
    json!({"match": {"op": "==", "left": {"meta": {"key": "l4proto"}}, "right": name}})
}

/// An address of this node, in `saddr` or `daddr`.
pub fn is_local(field: &str) -> Value {
    json!({"match": {"op": "==", "left": {"fib": {"result": "type", "flags": [field]}}, "right": "local"}})
}

/// Comes from one of these; none without any.
pub fn from(ranges: &[Ipv4Net]) -> Option<Value> {
    address_in("saddr", "==", ranges)
}

/// Comes from none of these; none without any.
pub fn from_elsewhere(ranges: &[Ipv4Net]) -> Option<Value> {
    address_in("saddr", "!=", ranges)
}

fn field(name: &str) -> Value {
    json!({"payload": {"protocol": FAMILY, "field": name}})
}

fn address_in(name: &str, op: &str, ranges: &[Ipv4Net]) -> Option<Value> {
    let prefix = |range: &Ipv4Net| json!({"prefix": {"addr": range.network(), "len": range.prefix_len()}});
    let all: Vec<Value> = Ipv4Net::aggregate(&ranges.to_vec()).iter().map(prefix).collect();
    (!all.is_empty()).then(|| json!({"match": {"op": op, "left": field(name), "right": {"set": all}}}))
}

/// The whole table, with nothing in its maps, in the place of whatever was there.
pub fn fresh(world: &World<'_>) -> Vec<Value> {
    let table = |verb: &str| json!({verb: {"table": {"family": FAMILY, "name": TABLE}}});
    // Added first, so that there is something to delete.
    let mut commands = vec![table("add"), table("delete"), table("add")];
    commands.extend(sets());
    let base = |name: &str, kind: &str, hook: &str, priority: i32| {
        let fields = json!({"name": name, "type": kind, "hook": hook, "prio": priority, "policy": "accept"});
        object("add", "chain", fields)
    };
    commands.extend([
        chain("add", "lookup"),
        chain("add", "refuse"),
        base("prerouting", "nat", "prerouting", -100),
        base("output", "nat", "output", -100),
        base("postrouting", "nat", "postrouting", 100),
        base("forward-refuse", "filter", "forward", 0),
        // After the translation of what this node sends itself.
        base("output-refuse", "filter", "output", 0),
        base("input-refuse", "filter", "input", 0),
    ]);
    for name in ["prerouting", "output"] {
        commands.push(rule(name, &[json!({"jump": {"target": "lookup"}})]));
    }
    commands.extend(lookup(world));
    commands.extend(postrouting());
    commands.extend(refusals(world));
    commands
}

fn sets() -> [Value; 5] {
    let full = json!(["ipv4_addr", "inet_proto", "inet_service"]);
    let map = |set: Set, key: Value| object("add", "map", json!({"name": set.name(), "type": key, "map": "verdict"}));
    let plain = |set: Set, key: Value| object("add", "set", json!({"name": set.name(), "type": key}));
    [
        map(Set::Services, full.clone()),
        map(Set::NodePorts, json!(["inet_proto", "inet_service"])),
        plain(Set::Dead, full),
        plain(Set::DeadPorts, json!(["inet_proto", "inet_service"])),
        plain(Set::Hairpin, json!(["ipv4_addr", "ipv4_addr"])),
    ]
}

fn protocol_and_port() -> [Value; 2] {
    [json!({"meta": {"key": "l4proto"}}), json!({"payload": {"protocol": "th", "field": "dport"}})]
}

fn lookup(world: &World<'_>) -> Vec<Value> {
    let [protocol, port] = protocol_and_port();
    let full = json!({"concat": [field("daddr"), protocol, port]});
    let short = json!({"concat": [protocol, port]});
    let vmap = |key: Value, set: Set| json!({"vmap": {"key": key, "data": format!("@{}", set.name())}});
    let mut rules = Vec::new();
    // Who comes from outside the cluster by way of this node must be answered by way of this node.
    if let (Some(virtual_), Some(outside)) =
        (address_in("daddr", "==", world.service_ranges), address_in("saddr", "!=", world.cluster_ranges))
    {
        rules.push(rule("lookup", &[virtual_, outside, mark()]));
    }
    rules.push(rule("lookup", &[vmap(full, Set::Services)]));
    rules.push(rule("lookup", &[is_local("daddr"), vmap(short, Set::NodePorts)]));
    rules
}

fn postrouting() -> [Value; 2] {
    let masquerade = json!({"masquerade": null});
    let marked = json!({"match": {"op": "==", "left": {"&": [{"meta": {"key": "mark"}}, MARK]}, "right": MARK}});
    let translated = json!({"match": {"op": "in", "left": {"ct": {"key": "status"}}, "right": "dnat"}});
    let pair = json!({"concat": [field("saddr"), field("daddr")]});
    let itself = json!({"match": {"op": "==", "left": pair, "right": format!("@{}", Set::Hairpin.name())}});
    [
        rule("postrouting", &[marked, masquerade.clone()]),
        // A backend that reached itself: it would not know its own address as the other side's.
        rule("postrouting", &[translated, itself, masquerade]),
    ]
}

/// What is still on its way to a virtual address after the translation has no backend; so has a port of the node that
/// nobody serves. Refused before connection tracking keeps it: the next datagram is looked up anew.
fn refusals(world: &World<'_>) -> Vec<Value> {
    let [protocol, port] = protocol_and_port();
    let full = json!({"concat": [field("daddr"), protocol, port]});
    let dead = json!({"match": {"op": "==", "left": full, "right": format!("@{}", Set::Dead.name())}});
    let refuse = json!({"jump": {"target": "refuse"}});
    let mut rules = vec![
        rule("refuse", &[protocol_is("tcp"), json!({"reject": {"type": "tcp reset"}})]),
        rule("refuse", &[json!({"reject": {"type": "icmp", "expr": "port-unreachable"}})]),
    ];
    for chain in ["forward-refuse", "output-refuse"] {
        if let Some(virtual_) = address_in("daddr", "==", world.service_ranges) {
            rules.push(rule(chain, &[virtual_, refuse.clone()]));
        }
        rules.push(rule(chain, &[dead.clone(), refuse.clone()]));
    }
    let short = json!({"concat": protocol_and_port()});
    let dead_port = json!({"match": {"op": "==", "left": short, "right": format!("@{}", Set::DeadPorts.name())}});
    for chain in ["input-refuse", "output-refuse"] {
        rules.push(rule(chain, &[dead_port.clone(), is_local("daddr"), refuse.clone()]));
    }
    rules
}
