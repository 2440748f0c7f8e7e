//! nftables, in libnftables' JSON schema. Host ports are two maps per family (the address and the port that they lead
//! to), so that a port more or less is one element more or less whatever their number.

use std::collections::BTreeSet;
use std::net::IpAddr;

use gantry_sdk::network::PortMapping;
use gantry_sdk::{Result, Value, json};
use ipnet::IpNet;

use crate::ports::Port;

const TABLE: &str = "gantry-bridge";

/// The set of other nodes' addresses.
const NODES: &str = "nodes";

/// An address family as nftables names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Family {
    V4,
    V6,
}

impl Family {
    pub fn of(address: IpAddr) -> Self {
        if address.is_ipv4() { Family::V4 } else { Family::V6 }
    }

    fn name(self) -> &'static str {
        match self {
            Family::V4 => "ip",
            Family::V6 => "ip6",
        }
    }

    fn address_type(self) -> &'static str {
        match self {
            Family::V4 => "ipv4_addr",
            Family::V6 => "ipv6_addr",
        }
    }

    fn with(self, fields: Value) -> Value {
        let mut object = json!({"family": self.name(), "table": TABLE});
        if let (Value::Object(object), Value::Object(fields)) = (&mut object, fields) {
            object.extend(fields);
        }
        object
    }

    /// The table, its maps (whose elements stay), and its chains made anew.
    pub fn table(self, ranges: &[IpNet], cluster: &[IpNet], masquerade: bool) -> Vec<Value> {
        let mine = |net: &&IpNet| matches!(net, IpNet::V4(_)) == (self == Family::V4);
        let cluster: Vec<Value> = cluster.iter().filter(mine).map(prefix).collect();
        let mut commands = vec![json!({"add": {"table": {"family": self.name(), "name": TABLE}}})];
        commands.extend(self.maps());
        commands.push(json!({"add": {"set": self.with(json!({"name": NODES, "type": self.address_type()}))}}));
        for chain in ["hostports", "prerouting", "output", "postrouting"] {
            commands.push(self.chain(chain));
            commands.push(json!({"flush": {"chain": self.with(json!({"name": chain}))}}));
        }
        commands.push(self.rule("hostports", vec![self.translate("_at", true)]));
        commands.push(self.rule("hostports", vec![self.translate("", false)]));
        for chain in ["prerouting", "output"] {
            commands.push(self.rule(chain, vec![local(), json!({"jump": {"target": "hostports"}})]));
        }
        for range in ranges.iter().filter(mine) {
            if masquerade {
                let from = self.address_is("saddr", "==", prefix(range));
                let leaves = self.address_is("daddr", "!=", json!({"set": cluster}));
                let to_node = self.address_is("daddr", "!=", json!(format!("@{NODES}")));
                commands.push(self.rule("postrouting", vec![from, leaves, to_node, json!({"masquerade": null})]));
            }
            // A pod that reaches itself or a neighbour through the node's port: the answer must come back the same way,
            // and not straight over the bridge, where nobody translates it back.
            let itself = [self.address_is("saddr", "==", prefix(range)), self.address_is("daddr", "==", prefix(range))];
            commands.push(
                self.rule("postrouting", [&[translated()], itself.as_slice(), &[json!({"masquerade": null})]].concat()),
            );
        }
        if self == Family::V4 {
            // Programs of the node that use its own port by way of 127.0.0.1.
            let loopback = self.address_is("saddr", "==", json!({"prefix": {"addr": "127.0.0.0", "len": 8}}));
            commands.push(self.rule("postrouting", vec![translated(), loopback, json!({"masquerade": null})]));
        }
        commands
    }

    /// The set of other nodes' addresses, made to hold just these.
    pub fn nodes(self, addresses: &BTreeSet<IpAddr>) -> Vec<Value> {
        let mine: Vec<String> = addresses.iter().filter(|a| Family::of(**a) == self).map(IpAddr::to_string).collect();
        let mut commands = vec![json!({"flush": {"set": self.with(json!({"name": NODES}))}})];
        if !mine.is_empty() {
            commands.push(json!({"add": {"element": self.with(json!({"name": NODES, "elem": mine}))}}));
        }
        commands
    }

    fn maps(self) -> Vec<Value> {
        let key = ["inet_proto", "inet_service"];
        let key_at = [self.address_type(), "inet_proto", "inet_service"];
        let map = |name: &str, key: &[&str], to: &str| json!({"add": {"map": self.with(json!({"name": name, "type": key, "map": to}))}});
        vec![
            map("addresses", &key, self.address_type()),
            map("ports", &key, "inet_service"),
            map("addresses_at", &key_at, self.address_type()),
            map("ports_at", &key_at, "inet_service"),
        ]
    }

    fn chain(self, name: &str) -> Value {
        let hook = |hook: &str, priority: i32| json!({"name": name, "type": "nat", "hook": hook, "prio": priority, "policy": "accept"});
        let fields = match name {
            "prerouting" | "output" => hook(name, -100),
            "postrouting" => hook(name, 100),
            _ => json!({"name": name}),
        };
        json!({"add": {"chain": self.with(fields)}})
    }

    fn rule(self, chain: &str, expr: Vec<Value>) -> Value {
        json!({"add": {"rule": self.with(json!({"chain": chain, "expr": expr}))}})
    }

    fn translate(self, suffix: &str, at: bool) -> Value {
        let mut key =
            vec![json!({"meta": {"key": "l4proto"}}), json!({"payload": {"protocol": "th", "field": "dport"}})];
        if at {
            key.insert(0, json!({"payload": {"protocol": self.name(), "field": "daddr"}}));
        }
        let by = |map: &str| json!({"map": {"key": {"concat": key}, "data": format!("@{map}{suffix}")}});
        json!({"dnat": {"family": self.name(), "addr": by("addresses"), "port": by("ports")}})
    }

    fn address_is(self, field: &str, op: &str, right: Value) -> Value {
        json!({"match": {"op": op, "left": {"payload": {"protocol": self.name(), "field": field}}, "right": right}})
    }

    fn elements(self, verb: &str, port: &Port, to: Option<(IpAddr, u16)>) -> [Value; 2] {
        let suffix = if port.address.is_some() { "_at" } else { "" };
        let mut key: Vec<Value> = port.address.iter().map(|address| json!(address.to_string())).collect();
        key.extend([json!(port.protocol), json!(port.number)]);
        let element = |map: &str, value: Option<Value>| {
            let key = json!({"concat": key});
            let elem = value.map_or_else(|| json!([key]), |value| json!([[key, value]]));
            json!({verb: {"element": self.with(json!({"name": format!("{map}{suffix}"), "elem": elem}))}})
        };
        [
            element("addresses", to.map(|(address, _)| json!(address.to_string()))),
            element("ports", to.map(|(_, number)| json!(number))),
        ]
    }
}

/// Commands that make the mappings lead to these addresses. May be repeated.
pub fn publish(mappings: &[PortMapping], addresses: &[IpAddr]) -> Result<Vec<Value>> {
    each(mappings, addresses, |family, port, to| family.elements("add", port, Some(to)).to_vec())
}

/// Commands that end it. An element that is not there is added first, so that removing it can't fail: nftables of
/// Debian 12 has no verb that removes something if it exists.
pub fn unpublish(mappings: &[PortMapping], addresses: &[IpAddr], ours: impl Fn(&Port) -> bool) -> Result<Vec<Value>> {
    each(mappings, addresses, |family, port, to| {
        if !ours(port) {
            return Vec::new();
        }
        [family.elements("add", port, Some(to)), family.elements("delete", port, None)].concat()
    })
}

fn each(
    mappings: &[PortMapping],
    addresses: &[IpAddr],
    commands: impl Fn(Family, &Port, (IpAddr, u16)) -> Vec<Value>,
) -> Result<Vec<Value>> {
    let mut all = Vec::new();
    for mapping in mappings {
        let port = Port::of(mapping)?;
        for address in addresses {
            let family = Family::of(*address);
            if port.address.is_none_or(|at| Family::of(at) == family) {
                all.extend(commands(family, &port, (*address, mapping.container_port)));
            }
        }
    }
    Ok(all)
}

/// A transaction.
pub fn transaction(commands: Vec<Value>) -> String {
    json!({"nftables": commands}).to_string()
}

fn prefix(net: &IpNet) -> Value {
    json!({"prefix": {"addr": net.network().to_string(), "len": net.prefix_len()}})
}

fn local() -> Value {
    json!({"match": {"op": "==", "left": {"fib": {"result": "type", "flags": ["daddr"]}}, "right": "local"}})
}

fn translated() -> Value {
    json!({"match": {"op": "in", "left": {"ct": {"key": "status"}}, "right": "dnat"}})
}
