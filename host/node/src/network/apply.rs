//! Applies plans that have been checked.

use std::collections::HashMap;
use std::fs;
use std::io;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use gantry_plugin::family::network::{
    Bridge, KeptFlows, KeptPeers, KeptRoutes, Operation, Place, Route, Sysctl, TunnelPeer, Veth, Vxlan,
};
use ipnet::IpNet;
use nftables::helper::{DEFAULT_ARGS, DEFAULT_NFT, apply_ruleset_raw};
use serde_json::Value;

use super::NetError;
use super::conntrack::{self, Kept};
use super::grants::describe;
use super::links::{Links, Pair};
use super::netns::within;
use super::routes::RouteTo;
use super::tunnels::{End, Tunnel};

/// Applies plans on one node. Plans of several sandboxes may run at once.
pub struct Executor {
    node_netns: Option<PathBuf>,
    node: Links,
    /// Whether ports of a bridge get hairpin mode: a bridge's plan says it, each port needs it.
    hairpin: Mutex<HashMap<String, bool>>,
}

impl Executor {
    /// Of the node whose namespace this is; `None`: the one of this process.
    pub async fn open(node_netns: Option<PathBuf>) -> io::Result<Self> {
        let node = Links::open(node_netns.as_deref()).await?;
        Ok(Self { node_netns, node, hairpin: Mutex::default() })
    }

    /// The node's links.
    pub fn node(&self) -> &Links {
        &self.node
    }

    /// Applies a plan in order; ends at the first operation that fails, which the error names.
    pub async fn apply(&self, plan: &[Operation], netns: Option<&Path>) -> Result<(), NetError> {
        let mut pod = Pod { netns, links: None };
        for operation in plan {
            self.operation(operation, &mut pod)
                .await
                .map_err(|error| NetError::Failed(format!("{}: {error}", describe(operation))))?;
        }
        Ok(())
    }

    /// Applies every operation of a plan, in order, also after one that fails; the error names the first of those.
    pub async fn apply_all(&self, plan: &[Operation]) -> Result<(), NetError> {
        let mut first = Ok(());
        for operation in plan {
            first = first.and(self.apply(std::slice::from_ref(operation), None).await);
        }
        first
    }

    async fn operation(&self, operation: &Operation, pod: &mut Pod<'_>) -> io::Result<()> {
        match operation {
            Operation::EnsureBridge(bridge) => self.bridge(bridge).await,
            Operation::EnsureVeth(veth) => self.veth(veth, pod).await,
            Operation::EnsureAddress(address) => {
                let links = self.links(address.place, pod).await?;
                let index = links.need(&address.link).await?.header.index;
                links.ensure_address(index, net(&address.cidr)?).await
            }
            Operation::EnsureRoute(route) => self.route(route, pod).await,
            Operation::LinkUp((place, link)) => self.links(*place, pod).await?.up(link).await,
            Operation::SetSysctl(sysctl) => self.sysctl(sysctl, pod).await,
            Operation::EnsureVxlan(vxlan) => self.vxlan(vxlan).await,
            Operation::EnsureTunnelPeer(peer) => self.node.ensure_tunnel_peer(&peer.link, &end(peer)?).await,
            Operation::DeleteTunnelPeer(peer) => self.node.delete_tunnel_peer(&peer.link, &end(peer)?).await,
            Operation::KeepTunnelPeers(kept) => self.keep_peers(kept).await,
            Operation::DeleteRoute(to) => {
                let to = net(to)?.trunc();
                self.node.delete_routes(|route| *route == to).await
            }
            Operation::KeepRoutes(kept) => self.keep_routes(kept).await,
            Operation::DeleteLink(link) => self.node.delete(link).await,
            Operation::Nftables(text) => self.nftables(text).await,
            Operation::KeepFlows(kept) => self.keep_flows(kept).await,
            // The proxy's.
            Operation::EnsureListener(_)
            | Operation::DeleteListener(_)
            | Operation::EnsurePool(_)
            | Operation::DeletePool(_)
            | Operation::KeepProxies(_) => Ok(()),
        }
    }

    async fn links<'a>(&'a self, place: Place, pod: &'a mut Pod<'_>) -> io::Result<&'a Links> {
        match place {
            Place::Node => Ok(&self.node),
            Place::Pod => pod.links().await,
        }
    }

    async fn bridge(&self, bridge: &Bridge) -> io::Result<()> {
        let addresses = bridge.addresses.iter().map(|a| net(a)).collect::<io::Result<Vec<_>>>()?;
        self.node.ensure_bridge(&bridge.name, bridge.mtu, &addresses).await?;
        self.hairpin.lock().unwrap_or_else(PoisonError::into_inner).insert(bridge.name.clone(), bridge.hairpin);
        Ok(())
    }

    async fn veth(&self, veth: &Veth, pod: &mut Pod<'_>) -> io::Result<()> {
        let bridge = match veth.bridge.as_str() {
            "" => None,
            name => Some(self.node.need(name).await?.header.index),
        };
        let hairpin = self.hairpin.lock().unwrap_or_else(PoisonError::into_inner).get(&veth.bridge).copied();
        let pair = Pair {
            node_end: &veth.node_end,
            pod_end: &veth.pod_end,
            netns: pod.netns()?,
            bridge,
            hairpin: hairpin.unwrap_or_default(),
            mtu: veth.mtu,
            mac: mac(&veth.pod_mac)?,
        };
        self.node.ensure_pair(pod.links().await?, &pair).await
    }

    async fn route(&self, route: &Route, pod: &mut Pod<'_>) -> io::Result<()> {
        let via = match route.via.as_str() {
            "" => None,
            text => Some(ip(text)?),
        };
        let links = self.links(route.place, pod).await?;
        let link = match route.link.as_str() {
            "" => None,
            name => Some(links.need(name).await?.header.index),
        };
        let node = route.place == Place::Node;
        links.ensure_route(&RouteTo { destination: net(&route.destination)?, via, link, mtu: route.mtu, node }).await
    }

    async fn keep_routes(&self, kept: &KeptRoutes) -> io::Result<()> {
        let within = kept.within.iter().map(|text| net(text)).collect::<io::Result<Vec<_>>>()?;
        let stay = kept.destinations.iter().map(|text| Ok(net(text)?.trunc())).collect::<io::Result<Vec<_>>>()?;
        let goes = |to: &IpNet| within.iter().any(|range| range.contains(to)) && !stay.contains(to);
        self.node.delete_routes(goes).await
    }

    async fn vxlan(&self, vxlan: &Vxlan) -> io::Result<()> {
        let tunnel = Tunnel {
            name: &vxlan.name,
            vni: vxlan.vni,
            port: vxlan.port,
            local: ip(&vxlan.local)?,
            mtu: vxlan.mtu,
            mac: mac(&vxlan.mac)?,
            addresses: vxlan.addresses.iter().map(|text| net(text)).collect::<io::Result<_>>()?,
        };
        self.node.ensure_vxlan(&tunnel).await
    }

    async fn keep_peers(&self, kept: &KeptPeers) -> io::Result<()> {
        let addresses = kept.addresses.iter().map(|text| ip(text)).collect::<io::Result<Vec<_>>>()?;
        self.node.keep_tunnel_peers(&kept.link, &addresses).await
    }

    async fn sysctl(&self, sysctl: &Sysctl, pod: &Pod<'_>) -> io::Result<()> {
        let netns = match sysctl.place {
            Place::Node => self.node_netns.as_deref(),
            Place::Pod => Some(pod.netns()?),
        };
        // Which namespace's values `/proc/sys/net` shows depends on the thread that looks.
        let path = Path::new("/proc/sys").join(sysctl.name.replace('.', "/"));
        let value = sysctl.value.clone();
        within(netns, move || if fs::read_to_string(&path)?.trim() == value { Ok(()) } else { fs::write(&path, value) })
            .await
    }

    async fn keep_flows(&self, kept: &KeptFlows) -> io::Result<()> {
        // Asked for anew, since addresses come and go.
        let own = self.node.all_addresses().await?;
        let kept = Kept::of(kept, own)?;
        within(self.node_netns.as_deref(), move || conntrack::keep(&kept)).await
    }

    /// One transaction in the node's namespace.
    pub async fn nftables(&self, text: &str) -> io::Result<()> {
        // Written anew from what was checked, so that nft can't read it in another way (a key that is there twice).
        let text = serde_json::from_str::<Value>(text).map_err(invalid)?.to_string();
        within(self.node_netns.as_deref(), move || {
            apply_ruleset_raw(&text, DEFAULT_NFT, DEFAULT_ARGS).map_err(|error| io::Error::other(nft_error(error)))
        })
        .await
        .map(drop)
    }
}

/// The pod's side of one plan. Its socket is opened by the first operation that needs it.
struct Pod<'a> {
    netns: Option<&'a Path>,
    links: Option<Links>,
}

impl<'a> Pod<'a> {
    fn netns(&self) -> io::Result<&'a Path> {
        self.netns.ok_or_else(|| invalid("it takes place in a pod, and there is none here"))
    }

    async fn links(&mut self) -> io::Result<&Links> {
        let links = match self.links.take() {
            Some(links) => links,
            None => Links::open(Some(self.netns()?)).await?,
        };
        Ok(self.links.insert(links))
    }
}

pub(super) fn nft_error(error: nftables::helper::NftablesError) -> String {
    match error {
        nftables::helper::NftablesError::NftFailed { stderr, .. } => stderr.trim().to_owned(),
        other => other.to_string(),
    }
}

fn invalid(why: impl ToString) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, why.to_string())
}

fn net(text: &str) -> io::Result<IpNet> {
    text.parse().map_err(|_| invalid(format!("{text:?} is no address with a prefix length")))
}

fn ip(text: &str) -> io::Result<IpAddr> {
    text.parse().map_err(|_| invalid(format!("{text:?} is no address")))
}

fn end(peer: &TunnelPeer) -> io::Result<End> {
    let mac = mac(&peer.mac)?.ok_or_else(|| invalid("the peer of a tunnel has no MAC address"))?;
    Ok(End { address: ip(&peer.address)?, mac, remote: ip(&peer.remote)? })
}

fn mac(text: &str) -> io::Result<Option<[u8; 6]>> {
    if text.is_empty() {
        return Ok(None);
    }
    let bytes: Option<Vec<u8>> = text.split(':').map(|part| u8::from_str_radix(part, 16).ok()).collect();
    let mac = bytes.and_then(|bytes| <[u8; 6]>::try_from(bytes).ok());
    mac.map(Some).ok_or_else(|| invalid(format!("{text:?} is no MAC address")))
}
