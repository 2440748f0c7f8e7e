//! Pods of one node.

use std::collections::BTreeSet;
use std::net::IpAddr;

use gantry_sdk::network::{
    Address, Attached, Attachment, Bridge, Detached, KeptRoutes, Lease, NodeInfo, Operation, Place, Route, Sysctl, Veth,
};
use gantry_sdk::{Error, Result};
use ipnet::IpNet;

use crate::addresses::Addresses;
use crate::names::node_end;
use crate::options::Options;
use crate::ports::Ports;
use crate::rules::{self, Family};

/// The link inside a pod.
const POD_END: &str = "eth0";

/// The link of the tunnel between nodes, for networks that have one.
pub const TUNNEL: &str = "gtx0";

/// Pods of one node on a bridge.
#[derive(Default)]
pub struct Pods {
    options: Options,
    mtu: u32,
    ranges: Vec<IpNet>,
    cluster: Vec<IpNet>,
    addresses: Addresses,
    ports: Ports,
}

impl Pods {
    /// Of this node, whose packets grow by so many bytes on their way to other nodes.
    pub fn new(options: Options, node: &NodeInfo, overhead: u32) -> Result<Self> {
        options.check()?;
        let ranges = nets(&node.pod_ranges, "pod range")?;
        if ranges.is_empty() {
            return Err(Error::invalid(format!("node {} has no pod range: its pods can't get addresses", node.name)));
        }
        let mut cluster = nets(&node.cluster_ranges, "cluster range")?;
        for range in &ranges {
            if !cluster.iter().any(|net| net.contains(range)) {
                cluster.push(*range);
            }
        }
        let mtu = if options.mtu == 0 { node.mtu.saturating_sub(overhead) } else { options.mtu };
        let addresses = Addresses::new(&ranges)?;
        Ok(Self { options, mtu, ranges, cluster, addresses, ports: Ports::default() })
    }

    /// The largest packet of a pod, in bytes; 0: the kernel's default.
    pub fn mtu(&self) -> u32 {
        self.mtu
    }

    /// The node's pod ranges.
    pub fn ranges(&self) -> &[IpNet] {
        &self.ranges
    }

    /// Every pod of the cluster is in one of these.
    pub fn cluster(&self) -> &[IpNet] {
        &self.cluster
    }

    /// Leases that are in force.
    pub fn restore(&mut self, leases: Vec<Lease>) -> Result<()> {
        for lease in leases {
            let address = lease.address.parse().map_err(|_| {
                Error::invalid(format!("lease of sandbox {}: {:?} is no address", lease.sandbox, lease.address))
            })?;
            self.addresses.restore(address, &lease.sandbox);
        }
        Ok(())
    }

    /// The bridge, forwarding, and the rules.
    pub fn node(&mut self) -> Result<Vec<Operation>> {
        let Options { bridge, hairpin, .. } = &self.options;
        let addresses = self.addresses.gateways();
        let bridge = Bridge { name: bridge.clone(), addresses, mtu: self.mtu, hairpin: *hairpin };
        let mut plan = vec![Operation::EnsureBridge(bridge)];
        for family in self.families() {
            plan.extend(self.sysctls(family));
            let table = family.table(&self.ranges, &self.cluster, self.options.masquerade);
            plan.push(Operation::Nftables(rules::transaction(table)));
        }
        Ok(plan)
    }

    /// Of the node's routes to ranges of the cluster that plans made, only these.
    pub fn keep_routes(&self, destinations: Vec<String>) -> Operation {
        let within = self.cluster.iter().map(ToString::to_string).collect();
        Operation::KeepRoutes(KeptRoutes { within, destinations })
    }

    /// Makes the rules leave packets to these addresses as they are: other nodes, which know the way back.
    pub fn untranslated(&self, addresses: &BTreeSet<IpAddr>) -> Operation {
        let commands = self.families().into_iter().flat_map(|family| family.nodes(addresses)).collect();
        Operation::Nftables(rules::transaction(commands))
    }

    /// Connects a sandbox; a repeat gives the same.
    pub fn add(&mut self, sandbox: &Attachment) -> Result<Attached> {
        // Ports first: taking an address and failing on a port would leave the address taken.
        self.ports.take(&sandbox.sandbox, &sandbox.ports)?;
        let addresses = match self.addresses.take(&sandbox.sandbox) {
            Ok(addresses) => addresses,
            Err(error) => {
                self.ports.release(&sandbox.sandbox);
                return Err(error);
            }
        };
        let published = rules::publish(&sandbox.ports, &addresses)?;
        let mut plan = self.connect(&sandbox.sandbox, &addresses);
        if !published.is_empty() {
            plan.push(Operation::Nftables(rules::transaction(published)));
        }
        let leases =
            addresses.iter().map(|a| Lease { address: a.to_string(), sandbox: sandbox.sandbox.clone() }).collect();
        Ok(Attached { addresses: addresses.iter().map(ToString::to_string).collect(), leases, plan })
    }

    /// Disconnects a sandbox.
    pub fn del(&mut self, sandbox: &Attachment) -> Result<Detached> {
        let id = &sandbox.sandbox;
        let ours = |port: &_| self.ports.owner(port).is_none_or(|owner| owner == id);
        let unpublished = rules::unpublish(&sandbox.ports, self.addresses.held(id), ours)?;
        let mut plan = vec![Operation::DeleteLink(node_end(id))];
        if !unpublished.is_empty() {
            plan.push(Operation::Nftables(rules::transaction(unpublished)));
        }
        self.ports.release(id);
        let released = self.addresses.release(id).iter().map(ToString::to_string).collect();
        Ok(Detached { released, plan })
    }

    /// Releases whatever belongs to none of these.
    pub fn gc(&mut self, alive: &[String]) -> Result<Detached> {
        let mut gone = Detached { released: Vec::new(), plan: Vec::new() };
        for sandbox in self.addresses.sandboxes().into_iter().filter(|sandbox| !alive.contains(sandbox)) {
            self.ports.release(&sandbox);
            gone.released.extend(self.addresses.release(&sandbox).iter().map(ToString::to_string));
            gone.plan.push(Operation::DeleteLink(node_end(&sandbox)));
        }
        Ok(gone)
    }

    fn families(&self) -> Vec<Family> {
        let has = |family: Family| self.ranges.iter().any(|range| Family::of(range.addr()) == family);
        [Family::V4, Family::V6].into_iter().filter(|family| has(*family)).collect()
    }

    fn sysctls(&self, family: Family) -> Vec<Operation> {
        let sysctl = |name: String, value: &str| {
            Operation::SetSysctl(Sysctl { place: Place::Node, name, value: value.to_owned() })
        };
        match family {
            Family::V4 => vec![
                sysctl("net.ipv4.ip_forward".to_owned(), "1"),
                // So that a host port answers on 127.0.0.1 too.
                sysctl(format!("net.ipv4.conf.{}.route_localnet", self.options.bridge), "1"),
            ],
            Family::V6 => vec![sysctl("net.ipv6.conf.all.forwarding".to_owned(), "1")],
        }
    }

    fn connect(&self, sandbox: &str, addresses: &[IpAddr]) -> Vec<Operation> {
        let link = POD_END.to_owned();
        let pair = Veth {
            node_end: node_end(sandbox),
            pod_end: link.clone(),
            bridge: self.options.bridge.clone(),
            mtu: self.mtu,
            pod_mac: addresses.first().map(|a| mac(*a)).unwrap_or_default(),
        };
        let mut plan = vec![Operation::EnsureVeth(pair), Operation::LinkUp((Place::Pod, "lo".to_owned()))];
        for address in addresses {
            let prefix = self.addresses.prefix_len(*address).unwrap_or(if address.is_ipv4() { 32 } else { 128 });
            let cidr = format!("{address}/{prefix}");
            plan.push(Operation::EnsureAddress(Address { place: Place::Pod, link: link.clone(), cidr }));
        }
        plan.push(Operation::LinkUp((Place::Pod, link.clone())));
        for address in addresses {
            let Some(gateway) = self.addresses.gateway(*address) else { continue };
            let destination = if address.is_ipv4() { "0.0.0.0/0" } else { "::/0" }.to_owned();
            let via = gateway.to_string();
            plan.push(Operation::EnsureRoute(Route {
                place: Place::Pod,
                destination,
                via,
                link: link.clone(),
                mtu: 0,
            }));
        }
        plan
    }
}

/// From the address, so that whoever remembers the pair (neighbour tables) is right even after the pod is made anew.
fn mac(address: IpAddr) -> String {
    let tail: [u8; 4] = match address {
        IpAddr::V4(v4) => v4.octets(),
        IpAddr::V6(v6) => {
            let [.., a, b, c, d] = v6.octets();
            [a, b, c, d]
        }
    };
    let [a, b, c, d] = tail;
    format!("0a:58:{a:02x}:{b:02x}:{c:02x}:{d:02x}")
}

pub fn nets(texts: &[String], what: &str) -> Result<Vec<IpNet>> {
    let parse =
        |text: &String| text.parse().map_err(|_| Error::invalid(format!("{what} {text:?} is not in CIDR notation")));
    texts.iter().map(parse).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use gantry_sdk::network::{PortMapping, Protocol};

    fn network() -> Pods {
        let node = NodeInfo {
            name: "n1".into(),
            pod_ranges: vec!["10.64.1.0/24".into()],
            cluster_ranges: vec!["10.64.0.0/16".into()],
            addresses: vec!["192.0.2.1".into()],
            mtu: 1500,
        };
        Pods::new(Options::default(), &node, 50).unwrap()
    }

    fn sandbox(name: &str, ports: &[u16]) -> Attachment {
        let port = |p: &u16| PortMapping {
            host_port: *p,
            container_port: 80,
            protocol: Protocol::Tcp,
            host_ip: String::new(),
        };
        Attachment {
            sandbox: name.into(),
            namespace: "default".into(),
            pod: name.into(),
            uid: name.into(),
            ports: ports.iter().map(port).collect(),
        }
    }

    #[test]
    fn a_repeated_add_gives_the_same_plan() {
        let mut network = network();
        let first = network.add(&sandbox("a", &[8080])).unwrap();
        let again = network.add(&sandbox("a", &[8080])).unwrap();
        assert_eq!(first.addresses, ["10.64.1.2"]);
        assert_eq!((format!("{:?}", first.plan)), format!("{:?}", again.plan));
        assert_eq!(first.leases.len(), 1);
    }

    #[test]
    fn a_host_port_has_one_owner_and_a_refused_sandbox_takes_nothing() {
        let mut network = network();
        network.add(&sandbox("a", &[8080])).unwrap();
        let error = network.add(&sandbox("b", &[8080])).unwrap_err();
        assert!(error.message.contains("host port 8080/tcp is in use by sandbox a"), "{}", error.message);
        assert_eq!(network.add(&sandbox("c", &[])).unwrap().addresses, ["10.64.1.3"]);
        network.del(&sandbox("a", &[8080])).unwrap();
        network.add(&sandbox("b", &[8080])).unwrap();
    }

    #[test]
    fn restored_leases_are_kept_and_collected() {
        let mut network = network();
        let lease = |address: &str, sandbox: &str| Lease { address: address.into(), sandbox: sandbox.into() };
        network.restore(vec![lease("10.64.1.2", "old"), lease("10.64.1.3", "kept")]).unwrap();
        assert_eq!(network.add(&sandbox("kept", &[])).unwrap().addresses, ["10.64.1.3"]);
        let gone = network.gc(&["kept".into()]).unwrap();
        assert_eq!(gone.released, ["10.64.1.2"]);
        assert_eq!(network.add(&sandbox("new", &[])).unwrap().addresses, ["10.64.1.4"]);
        assert!(network.del(&sandbox("unknown", &[9090])).unwrap().released.is_empty());
    }

    #[test]
    fn configuration_that_cannot_work_is_refused() {
        let node = |range: &str| NodeInfo {
            name: "n".into(),
            pod_ranges: vec![range.into()],
            cluster_ranges: vec![],
            addresses: vec![],
            mtu: 0,
        };
        for (options, range, word) in [
            (Options { bridge: "a-name-that-is-too-long".into(), ..Options::default() }, "10.0.0.0/24", "link"),
            (Options { mtu: 12, ..Options::default() }, "10.0.0.0/24", "mtu"),
            (Options::default(), "10.0.0.0/31", "too small"),
            (Options::default(), "ten", "CIDR"),
        ] {
            let error = Pods::new(options.clone(), &node(range), 0).err().unwrap();
            assert!(error.message.contains(word), "{options:?}: {}", error.message);
        }
    }

    #[test]
    fn packets_leave_room_for_what_they_grow_by() {
        let mtu_of = |network: &mut Pods| {
            let Some(Operation::EnsureBridge(bridge)) = network.node().unwrap().into_iter().next() else { panic!() };
            let Some(Operation::EnsureVeth(veth)) = network.add(&sandbox("a", &[])).unwrap().plan.into_iter().next()
            else {
                panic!()
            };
            (bridge.mtu, veth.mtu)
        };
        assert_eq!(mtu_of(&mut network()), (1450, 1450));
    }
}
