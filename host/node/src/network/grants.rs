//! What a plugin's plans may touch. A plan is checked as a whole before any of it is applied.

use gantry_plugin::Effective;
use gantry_plugin::family::network::{Operation, Place, Route, plan_family};
use serde_json::Value;

use super::NetError;

/// The kernel's limit, without the byte that ends a name.
const LINK_NAME: usize = 15;

/// Verbs that change tables. Others (`list`) are of no use in a plan.
const VERBS: &[&str] = &["add", "create", "insert", "replace", "delete", "destroy", "flush", "rename", "reset"];

/// A plugin's grants, as far as they concern plans of the network.
#[derive(Clone, Debug)]
pub struct Permits {
    plugin: String,
    grants: Effective,
    links: Vec<String>,
    tables: Vec<String>,
}

impl Permits {
    /// Of the plugin of this name.
    pub fn new(plugin: &str, grants: &Effective) -> Self {
        Self { plugin: plugin.to_owned(), grants: grants.clone(), links: grants.links(), tables: grants.tables() }
    }

    /// Refuses a plan with any operation that is not granted.
    pub fn check(&self, plan: &[Operation]) -> Result<(), NetError> {
        if let Some(family) = plan.iter().map(plan_family).find(|family| !self.grants.plan(family)) {
            return Err(NetError::Failed(format!(
                "plugin {} answered with a {family} plan, and the bundle does not grant it plans of family {family}",
                self.plugin
            )));
        }
        for operation in plan {
            self.operation(operation).map_err(|why| {
                NetError::Failed(format!("plugin {}: {} is refused: {why}", self.plugin, describe(operation)))
            })?;
        }
        Ok(())
    }

    fn operation(&self, operation: &Operation) -> Result<(), String> {
        match operation {
            Operation::EnsureBridge(bridge) => self.link(&bridge.name),
            Operation::EnsureVeth(veth) => {
                self.link(&veth.node_end)?;
                link_name(&veth.pod_end)?;
                if veth.bridge.is_empty() { Ok(()) } else { self.link(&veth.bridge) }
            }
            Operation::EnsureAddress(address) => self.link_at(address.place, &address.link),
            // A route of the node may leave by any of its links: that is how nodes reach each other.
            Operation::EnsureRoute(Route { place: Place::Node, link, via, .. }) if link.is_empty() => {
                if via.is_empty() { Err("it names neither a link nor a gateway".to_owned()) } else { Ok(()) }
            }
            Operation::EnsureRoute(route) => link_name(&route.link),
            // Only what such plans made goes.
            Operation::DeleteRoute(_) | Operation::KeepRoutes(_) => Ok(()),
            Operation::EnsureVxlan(vxlan) => self.link(&vxlan.name),
            Operation::EnsureTunnelPeer(peer) | Operation::DeleteTunnelPeer(peer) => self.link(&peer.link),
            Operation::KeepTunnelPeers(kept) => self.link(&kept.link),
            Operation::LinkUp((place, link)) => self.link_at(*place, link),
            Operation::SetSysctl(sysctl) => sysctl_name(&sysctl.name),
            Operation::DeleteLink(link) => self.link(link),
            Operation::Nftables(text) => self.nftables(text),
            // Whoever may translate may end what was translated.
            Operation::KeepFlows(_) if self.tables.is_empty() => Err("no table is granted".to_owned()),
            Operation::KeepFlows(_) => Ok(()),
            Operation::EnsureListener(listener) if !self.grants.port(listener.port) => {
                Err(format!("port {} is not granted", listener.port))
            }
            // Of its own only: names are each plugin's.
            Operation::EnsureListener(_)
            | Operation::DeleteListener(_)
            | Operation::EnsurePool(_)
            | Operation::DeletePool(_)
            | Operation::KeepProxies(_) => Ok(()),
        }
    }

    fn link_at(&self, place: Place, name: &str) -> Result<(), String> {
        match place {
            Place::Node => self.link(name),
            Place::Pod => link_name(name),
        }
    }

    fn link(&self, name: &str) -> Result<(), String> {
        link_name(name)?;
        prefixed(name, &self.links, "link")
    }

    fn nftables(&self, text: &str) -> Result<(), String> {
        let value: Value = serde_json::from_str(text).map_err(|error| format!("it is no JSON: {error}"))?;
        let commands = value.get("nftables").and_then(Value::as_array).ok_or("it has no list `nftables`")?;
        commands.iter().try_for_each(|command| self.command(command))
    }

    fn command(&self, command: &Value) -> Result<(), String> {
        let (verb, objects) = only(command).ok_or("a command is no object with one verb")?;
        if !VERBS.contains(&verb) {
            return Err(format!("verb {verb} is not allowed"));
        }
        let (kind, object) = only(objects).ok_or_else(|| format!("{verb} does not name one object"))?;
        // With a handle the kernel may go by that instead of the name.
        if kind == "table" && object.get("handle").is_some() {
            return Err(format!("{verb} names a table by its handle"));
        }
        let table = object.get(if kind == "table" { "name" } else { "table" }).and_then(Value::as_str);
        let table = table.ok_or_else(|| format!("{verb} {kind} names no table"))?;
        prefixed(table, &self.tables, "table")
    }
}

/// An operation and its object, for people.
pub fn describe(operation: &Operation) -> String {
    match operation {
        Operation::EnsureBridge(bridge) => format!("ensure-bridge {}", bridge.name),
        Operation::EnsureVeth(veth) => format!("ensure-veth {}", veth.node_end),
        Operation::EnsureAddress(address) => format!("ensure-address {} on {}", address.cidr, address.link),
        Operation::EnsureRoute(route) => match route.link.as_str() {
            "" => format!("ensure-route {} by {}", route.destination, route.via),
            link => format!("ensure-route {} by {link}", route.destination),
        },
        Operation::EnsureVxlan(vxlan) => format!("ensure-vxlan {}", vxlan.name),
        Operation::EnsureTunnelPeer(peer) => format!("ensure-tunnel-peer {} of {}", peer.remote, peer.link),
        Operation::DeleteTunnelPeer(peer) => format!("delete-tunnel-peer {} of {}", peer.remote, peer.link),
        Operation::KeepTunnelPeers(kept) => format!("keep-tunnel-peers of {}", kept.link),
        Operation::DeleteRoute(to) => format!("delete-route {to}"),
        Operation::KeepRoutes(kept) => format!("keep-routes within {}", kept.within.join(", ")),
        Operation::LinkUp((_, link)) => format!("link-up {link}"),
        Operation::SetSysctl(sysctl) => format!("set-sysctl {}", sysctl.name),
        Operation::DeleteLink(link) => format!("delete-link {link}"),
        Operation::Nftables(_) => "nftables".to_owned(),
        Operation::KeepFlows(kept) => format!("keep-flows to {} addresses and ports", kept.flows.len()),
        Operation::EnsureListener(listener) => format!("ensure-listener {}", listener.name),
        Operation::DeleteListener(name) => format!("delete-listener {name}"),
        Operation::EnsurePool(pool) => format!("ensure-pool {}", pool.name),
        Operation::DeletePool(name) => format!("delete-pool {name}"),
        Operation::KeepProxies(_) => "keep-proxies".to_owned(),
    }
}

fn prefixed(name: &str, prefixes: &[String], what: &str) -> Result<(), String> {
    if prefixes.iter().any(|prefix| name.starts_with(prefix)) {
        return Ok(());
    }
    let granted = if prefixes.is_empty() { "none".to_owned() } else { prefixes.join(", ") };
    Err(format!("{what} {name:?} has no granted prefix (granted: {granted})"))
}

fn link_name(name: &str) -> Result<(), String> {
    let bad = |c: char| c == '/' || c == ':' || c == '%' || c.is_whitespace() || c.is_control();
    if name.is_empty() || name.len() > LINK_NAME || name == "." || name == ".." || name.contains(bad) {
        return Err(format!("{name:?} is no name of a link: 1 to {LINK_NAME} bytes without / : % and space"));
    }
    Ok(())
}

fn sysctl_name(name: &str) -> Result<(), String> {
    let odd = |c: char| c == '/' || c == '\0';
    if !name.starts_with("net.") || name.contains("..") || name.ends_with('.') || name.contains(odd) {
        return Err(format!("sysctl {name:?} is not below net., or has / or .. in its name"));
    }
    Ok(())
}

/// The one key of an object with its value.
fn only(value: &Value) -> Option<(&str, &Value)> {
    let object = value.as_object()?;
    let (key, value) = object.iter().next()?;
    (object.len() == 1).then_some((key.as_str(), value))
}

#[cfg(test)]
mod tests {
    use super::*;
    use gantry_plugin::Grants;
    use gantry_plugin::family::network::{Address, Bridge, Sysctl, Veth};

    fn permits() -> Permits {
        let grants = Grants {
            plans: vec!["network".into()],
            links: vec!["gtr".into()],
            tables: vec!["gantry-".into()],
            ..Grants::default()
        };
        Permits::new("sample", &Effective::new(grants.clone(), grants))
    }

    fn veth(node_end: &str, bridge: &str) -> Operation {
        let pod_end = "eth0".to_owned();
        Operation::EnsureVeth(Veth {
            node_end: node_end.into(),
            pod_end,
            bridge: bridge.into(),
            mtu: 0,
            pod_mac: String::new(),
        })
    }

    fn bridge(name: &str) -> Operation {
        Operation::EnsureBridge(Bridge { name: name.into(), addresses: vec![], mtu: 0, hairpin: false })
    }

    fn sysctl(name: &str) -> Operation {
        Operation::SetSysctl(Sysctl { place: Place::Node, name: name.into(), value: "1".into() })
    }

    fn address(place: Place, link: &str) -> Operation {
        Operation::EnsureAddress(Address { place, link: link.into(), cidr: "10.0.0.1/24".into() })
    }

    fn nft(command: &str) -> Operation {
        Operation::Nftables(format!("{{\"nftables\": [{command}]}}"))
    }

    #[test]
    fn what_is_granted_passes() {
        let plan = [
            bridge("gtr0"),
            veth("gtr123456789012", "gtr0"),
            veth("gtr1", ""),
            address(Place::Pod, "eth0"),
            address(Place::Node, "gtr0"),
            Operation::LinkUp((Place::Pod, "lo".into())),
            Operation::DeleteLink("gtr1".into()),
            sysctl("net.ipv4.ip_forward"),
            nft(r#"{"add": {"table": {"family": "ip", "name": "gantry-a"}}}"#),
            nft(r#"{"flush": {"chain": {"family": "ip", "table": "gantry-a", "name": "c"}}}"#),
            nft(r#"{"add": {"element": {"family": "ip", "table": "gantry-a", "name": "m", "elem": [1]}}}"#),
        ];
        permits().check(&plan).unwrap();
    }

    #[test]
    fn what_is_not_granted_is_refused_by_name() {
        let table = [
            (
                bridge("docker0"),
                "ensure-bridge docker0 is refused: link \"docker0\" has no granted prefix (granted: gtr)",
            ),
            (bridge("gtr4567890123456"), "15 bytes"),
            (veth("eth0", "gtr0"), "link \"eth0\""),
            (veth("gtr1", "br0"), "link \"br0\""),
            (veth("gtr/1", ""), "no name of a link"),
            (address(Place::Node, "eth0"), "link \"eth0\""),
            (Operation::LinkUp((Place::Node, "eth0".into())), "link-up eth0"),
            (Operation::DeleteLink("eth0".into()), "delete-link eth0"),
            (sysctl("kernel.core_pattern"), "not below net."),
            (sysctl("net.ipv4/../../kernel.core_pattern"), "not below net."),
            (sysctl("net...kernel"), ".."),
            (Operation::Nftables("flush ruleset".into()), "no JSON"),
            (nft(r#"{"flush": {"ruleset": null}}"#), "flush ruleset names no table"),
            (nft(r#"{"list": {"ruleset": null}}"#), "verb list"),
            (nft(r#"{"table": {"family": "ip", "name": "filter"}}"#), "verb table"),
            (
                nft(r#"{"delete": {"table": {"family": "ip", "name": "filter"}}}"#),
                "table \"filter\" has no granted prefix",
            ),
            (nft(r#"{"delete": {"table": {"family": "ip", "name": "gantry-a", "handle": 3}}}"#), "handle"),
            (
                nft(r#"{"add": {"table": {"family": "ip", "name": "gantry-a"}, "rule": {"table": "filter"}}}"#),
                "does not name one object",
            ),
            (nft(r#"{"add": {"rule": {"family": "ip", "table": "filter", "chain": "c", "expr": []}}}"#), "filter"),
        ];
        for (operation, words) in table {
            let error = permits().check(&[bridge("gtr0"), operation.clone()]).unwrap_err().to_string();
            assert!(error.starts_with("plugin sample: "), "{error}");
            assert!(error.contains(words), "{operation:?}: {error}");
        }
    }

    #[test]
    fn without_the_family_every_plan_is_refused() {
        let permits = Permits::new("sample", &Effective::default());
        permits.check(&[]).unwrap();
        let error = permits.check(&[bridge("gtr0")]).unwrap_err().to_string();
        assert!(error.contains("plans of family network"), "{error}");
    }
}
