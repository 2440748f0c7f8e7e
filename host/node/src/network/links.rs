//! Links, addresses and routes of one network namespace, by netlink. What is there and right stays as it is.

use std::collections::HashSet;
use std::fs::File;
use std::io;
use std::net::IpAddr;
use std::os::fd::AsRawFd;
use std::path::Path;

use futures::TryStreamExt;
use ipnet::IpNet;
use rtnetlink::packet_route::address::{AddressAttribute, AddressHeaderFlags, AddressMessage, AddressScope};
use rtnetlink::packet_route::link::{
    InfoBridgePort, InfoData, InfoKind, InfoPortData, InfoVeth, LinkAttribute, LinkFlags, LinkInfo, LinkMessage,
};
use rtnetlink::{LinkBridge, LinkBridgePort, LinkMessageBuilder, LinkUnspec};

use super::netns::within;

/// An open netlink socket. It belongs to its namespace, whichever thread uses it.
#[derive(Clone)]
pub struct Links {
    pub(super) handle: rtnetlink::Handle,
}

/// A pair as it is to be.
pub struct Pair<'a> {
    /// On the node.
    pub node_end: &'a str,
    /// In the pod.
    pub pod_end: &'a str,
    /// The pod's namespace.
    pub netns: &'a Path,
    /// Index of the bridge.
    pub bridge: Option<u32>,
    /// Whether the bridge's port may send back what came in by it.
    pub hairpin: bool,
    /// 0: the kernel's default.
    pub mtu: u32,
    /// The pod's end's.
    pub mac: Option<[u8; 6]>,
}

impl Links {
    /// A socket in this namespace; `None`: the one of this process.
    pub async fn open(netns: Option<&Path>) -> io::Result<Self> {
        let runtime = tokio::runtime::Handle::current();
        let (connection, handle, _) = within(netns, move || {
            let _entered = runtime.enter();
            rtnetlink::new_connection()
        })
        .await?;
        // Ends by itself when the last handle is gone.
        tokio::spawn(connection);
        Ok(Self { handle })
    }

    /// A link by its name.
    pub async fn get(&self, name: &str) -> io::Result<Option<LinkMessage>> {
        match self.handle.link().get().match_name(name).execute().try_next().await {
            Ok(link) => Ok(link),
            Err(error) => match to_io(error) {
                error if error.raw_os_error() == Some(nix::libc::ENODEV) => Ok(None),
                error => Err(error),
            },
        }
    }

    /// A link that must be there.
    pub async fn need(&self, name: &str) -> io::Result<LinkMessage> {
        let missing = || io::Error::new(io::ErrorKind::NotFound, format!("there is no link {name}"));
        self.get(name).await?.ok_or_else(missing)
    }

    /// All names.
    pub async fn names(&self) -> io::Result<Vec<String>> {
        let links: Vec<LinkMessage> = self.handle.link().get().execute().try_collect().await.map_err(to_io)?;
        Ok(links.iter().filter_map(|link| name_of(link).map(str::to_owned)).collect())
    }

    /// The largest packet that the link with this address carries, in bytes; `None`: no link has it, or only packets to
    /// this node itself leave by it.
    pub async fn mtu_at(&self, address: IpAddr) -> io::Result<Option<u32>> {
        let all: Vec<AddressMessage> = self.handle.address().get().execute().try_collect().await.map_err(to_io)?;
        let Some(found) = all.iter().find(|one| net_of(one).is_some_and(|net| net.addr() == address)) else {
            return Ok(None);
        };
        let index = found.header.index;
        let link = self.handle.link().get().match_index(index).execute().try_next().await.map_err(to_io)?;
        let outward = link.filter(|link| !link.header.flags.contains(LinkFlags::Loopback));
        Ok(outward.as_ref().and_then(mtu_of))
    }

    /// Every address that some link has.
    pub async fn all_addresses(&self) -> io::Result<HashSet<IpAddr>> {
        let all: Vec<AddressMessage> = self.handle.address().get().execute().try_collect().await.map_err(to_io)?;
        Ok(all.iter().filter_map(net_of).map(|net| net.addr()).collect())
    }

    /// Brings a link up.
    pub async fn up(&self, name: &str) -> io::Result<()> {
        let link = self.need(name).await?;
        if is_up(&link) {
            return Ok(());
        }
        self.change(LinkUnspec::new_with_index(link.header.index).up().build()).await
    }

    /// Removes a link if it is there.
    pub async fn delete(&self, name: &str) -> io::Result<()> {
        let Some(link) = self.get(name).await? else { return Ok(()) };
        match self.handle.link().del(link.header.index).execute().await.map_err(to_io) {
            Err(error) if error.raw_os_error() != Some(nix::libc::ENODEV) => Err(error),
            _ => Ok(()),
        }
    }

    /// A bridge that is up and has these addresses, and no others of the same kind.
    pub async fn ensure_bridge(&self, name: &str, mtu: u32, addresses: &[IpNet]) -> io::Result<()> {
        let link = match self.get(name).await? {
            Some(link) if kind_of(&link) == Some(&InfoKind::Bridge) => link,
            Some(_) => return Err(io::Error::other("a link of this name is there and is no bridge")),
            None => self.make_bridge(name).await?,
        };
        let index = link.header.index;
        if !is_up(&link) || (mtu != 0 && mtu_of(&link) != Some(mtu)) {
            let message = LinkUnspec::new_with_index(index).up();
            self.change(if mtu == 0 { message } else { message.mtu(mtu) }.build()).await?;
        }
        self.only_addresses(index, addresses).await
    }

    /// These addresses of a link, and no others that reach beyond it.
    pub(super) async fn only_addresses(&self, index: u32, addresses: &[IpNet]) -> io::Result<()> {
        for old in self.addresses(index).await? {
            let global = old.header.scope == AddressScope::Universe;
            if global && net_of(&old).is_some_and(|net| !addresses.contains(&net)) {
                self.handle.address().del(old).execute().await.map_err(to_io)?;
            }
        }
        for address in addresses {
            self.ensure_address(index, *address).await?;
        }
        Ok(())
    }

    async fn make_bridge(&self, name: &str) -> io::Result<LinkMessage> {
        // With no address of its own a bridge takes the least one of its ports, so that it would change with the pods;
        // what they remember of their gateway would then be wrong.
        let [a, b, c, d, e] = rand::random::<[u8; 5]>();
        let message = LinkBridge::new(name).address(vec![0x02, a, b, c, d, e]).build();
        self.handle.link().add(message).execute().await.map_err(to_io)?;
        self.need(name).await
    }

    /// A pair from here (the node) into a pod's namespace.
    pub async fn ensure_pair(&self, pod: &Links, pair: &Pair<'_>) -> io::Result<()> {
        let found = (self.get(pair.node_end).await?, pod.get(pair.pod_end).await?);
        let link = match found {
            (Some(node), Some(peer)) if are_peers(&node, &peer) => {
                self.correct(&node, pair.mtu, None).await?;
                pod.correct(&peer, pair.mtu, pair.mac).await?;
                self.plug(&node, pair.bridge).await?;
                node
            }
            (node, peer) => {
                if node.is_some() {
                    self.delete(pair.node_end).await?;
                }
                if peer.is_some() {
                    pod.delete(pair.pod_end).await?;
                }
                self.make_pair(pair).await?
            }
        };
        if pair.bridge.is_some() && hairpin_of(&link) != Some(pair.hairpin) {
            self.change(LinkBridgePort::new(link.header.index).hairpin(pair.hairpin).build()).await?;
        }
        Ok(())
    }

    async fn make_pair(&self, pair: &Pair<'_>) -> io::Result<LinkMessage> {
        let netns = File::open(pair.netns)?;
        let mut peer = LinkMessageBuilder::<LinkUnspec>::new().name(pair.pod_end).setns_by_fd(netns.as_raw_fd());
        let mut node = LinkMessageBuilder::<LinkUnspec>::new_with_info_kind(InfoKind::Veth).name(pair.node_end).up();
        if pair.mtu != 0 {
            (peer, node) = (peer.mtu(pair.mtu), node.mtu(pair.mtu));
        }
        if let Some(mac) = pair.mac {
            peer = peer.address(mac.to_vec());
        }
        if let Some(bridge) = pair.bridge {
            node = node.controller(bridge);
        }
        let node = node.set_info_data(InfoData::Veth(InfoVeth::Peer(peer.build()))).build();
        self.handle.link().add(node).execute().await.map_err(to_io)?;
        self.need(pair.node_end).await
    }

    pub(super) async fn correct(&self, link: &LinkMessage, mtu: u32, mac: Option<[u8; 6]>) -> io::Result<()> {
        let index = link.header.index;
        if let Some(mac) = mac.filter(|mac| mac_of(link) != Some(mac.as_slice())) {
            self.change(LinkUnspec::new_with_index(index).address(mac.to_vec()).build()).await?;
        }
        if mtu != 0 && mtu_of(link) != Some(mtu) {
            self.change(LinkUnspec::new_with_index(index).mtu(mtu).build()).await?;
        }
        Ok(())
    }

    async fn plug(&self, node: &LinkMessage, bridge: Option<u32>) -> io::Result<()> {
        let index = node.header.index;
        if controller_of(node) != bridge {
            let message = LinkUnspec::new_with_index(index);
            self.change(
                bridge
                    .map_or_else(|| LinkUnspec::new_with_index(index).nocontroller(), |b| message.controller(b))
                    .build(),
            )
            .await?;
        }
        if is_up(node) { Ok(()) } else { self.change(LinkUnspec::new_with_index(index).up().build()).await }
    }

    pub(super) async fn change(&self, message: LinkMessage) -> io::Result<()> {
        self.handle.link().change(message).execute().await.map_err(to_io)
    }

    async fn addresses(&self, index: u32) -> io::Result<Vec<AddressMessage>> {
        self.handle.address().get().set_link_index_filter(index).execute().try_collect().await.map_err(to_io)
    }

    /// An address of a link, with this prefix and no other.
    pub async fn ensure_address(&self, index: u32, wanted: IpNet) -> io::Result<()> {
        for old in self.addresses(index).await? {
            match net_of(&old) {
                Some(net) if net == wanted => return Ok(()),
                Some(net) if net.addr() == wanted.addr() => {
                    self.handle.address().del(old).execute().await.map_err(to_io)?;
                }
                _ => {}
            }
        }
        let mut request = self.handle.address().add(index, wanted.addr(), wanted.prefix_len());
        if wanted.addr().is_ipv6() {
            // The plugin has seen to it that nobody else has the address; looking for others takes a second.
            request.message_mut().header.flags |= AddressHeaderFlags::Nodad;
        }
        request.execute().await.map_err(to_io)
    }
}

pub(super) fn to_io(error: rtnetlink::Error) -> io::Error {
    match error {
        rtnetlink::Error::NetlinkError(message) => message.to_io(),
        other => io::Error::other(other.to_string()),
    }
}

pub(super) fn is_up(link: &LinkMessage) -> bool {
    link.header.flags.contains(LinkFlags::Up)
}

fn name_of(link: &LinkMessage) -> Option<&str> {
    link.attributes.iter().find_map(|a| if let LinkAttribute::IfName(name) = a { Some(name.as_str()) } else { None })
}

pub(super) fn mtu_of(link: &LinkMessage) -> Option<u32> {
    link.attributes.iter().find_map(|a| if let LinkAttribute::Mtu(mtu) = a { Some(*mtu) } else { None })
}

fn mac_of(link: &LinkMessage) -> Option<&[u8]> {
    link.attributes.iter().find_map(|a| if let LinkAttribute::Address(mac) = a { Some(mac.as_slice()) } else { None })
}

fn controller_of(link: &LinkMessage) -> Option<u32> {
    link.attributes.iter().find_map(|a| if let LinkAttribute::Controller(of) = a { Some(*of) } else { None })
}

fn peer_of(link: &LinkMessage) -> Option<u32> {
    link.attributes.iter().find_map(|a| if let LinkAttribute::Link(peer) = a { Some(*peer) } else { None })
}

pub(super) fn infos_of(link: &LinkMessage) -> impl Iterator<Item = &LinkInfo> {
    link.attributes.iter().flat_map(|a| if let LinkAttribute::LinkInfo(infos) = a { infos.as_slice() } else { &[] })
}

pub(super) fn kind_of(link: &LinkMessage) -> Option<&InfoKind> {
    infos_of(link).find_map(|info| if let LinkInfo::Kind(kind) = info { Some(kind) } else { None })
}

fn hairpin_of(link: &LinkMessage) -> Option<bool> {
    let ports = infos_of(link)
        .filter_map(|i| if let LinkInfo::PortData(InfoPortData::BridgePort(port)) = i { Some(port) } else { None });
    ports.flatten().find_map(|p| if let InfoBridgePort::HairpinMode(on) = p { Some(*on) } else { None })
}

/// Whether these are the two ends of one pair, as the kernel numbers them.
fn are_peers(node: &LinkMessage, pod: &LinkMessage) -> bool {
    let veth = |link| kind_of(link) == Some(&InfoKind::Veth);
    veth(node) && veth(pod) && peer_of(node) == Some(pod.header.index) && peer_of(pod) == Some(node.header.index)
}

fn net_of(address: &AddressMessage) -> Option<IpNet> {
    let local = |a: &AddressAttribute| if let AddressAttribute::Local(ip) = a { Some(*ip) } else { None };
    let any = |a: &AddressAttribute| if let AddressAttribute::Address(ip) = a { Some(*ip) } else { None };
    let attributes = &address.attributes;
    let ip = attributes.iter().find_map(local).or_else(|| attributes.iter().find_map(any))?;
    IpNet::new(ip, address.header.prefix_len).ok()
}
