//! VXLAN tunnels of a node, by netlink. They learn nothing: each other end is said, with its address within (a
//! permanent neighbour) and its address outside (an entry of the forwarding table). What is there and right stays.

use std::io;
use std::net::IpAddr;

use futures::TryStreamExt;
use ipnet::IpNet;
use rtnetlink::packet_route::AddressFamily;
use rtnetlink::packet_route::link::{InfoData, InfoVxlan, LinkInfo, LinkMessage};
use rtnetlink::packet_route::neighbour::{
    NeighbourAddress, NeighbourAttribute, NeighbourFlags, NeighbourMessage, NeighbourState,
};
use rtnetlink::{LinkUnspec, LinkVxlan};

use super::links::{Links, infos_of, is_up, to_io};

/// A tunnel as it is to be.
pub struct Tunnel<'a> {
    /// Of the link.
    pub name: &'a str,
    /// Network identifier.
    pub vni: u32,
    /// UDP, on both sides.
    pub port: u16,
    /// The node's, outside.
    pub local: IpAddr,
    /// 0: the kernel's default.
    pub mtu: u32,
    /// The link's own.
    pub mac: Option<[u8; 6]>,
    /// Within.
    pub addresses: Vec<IpNet>,
}

/// Another end.
pub struct End {
    /// Within.
    pub address: IpAddr,
    /// Of the other link.
    pub mac: [u8; 6],
    /// Outside.
    pub remote: IpAddr,
}

impl Links {
    /// A tunnel that is up. One that leads elsewhere is made anew.
    pub async fn ensure_vxlan(&self, tunnel: &Tunnel<'_>) -> io::Result<()> {
        let link = match self.get(tunnel.name).await? {
            Some(link) if is(&link, tunnel) => link,
            Some(_) => {
                self.delete(tunnel.name).await?;
                self.make_vxlan(tunnel).await?
            }
            None => self.make_vxlan(tunnel).await?,
        };
        self.correct(&link, tunnel.mtu, tunnel.mac).await?;
        let index = link.header.index;
        if !is_up(&link) {
            self.change(LinkUnspec::new_with_index(index).up().build()).await?;
        }
        self.only_addresses(index, &tunnel.addresses).await
    }

    async fn make_vxlan(&self, tunnel: &Tunnel<'_>) -> io::Result<LinkMessage> {
        let message = LinkVxlan::new(tunnel.name, tunnel.vni).port(tunnel.port).learning(false);
        let message = match tunnel.local {
            IpAddr::V4(local) => message.local(local),
            IpAddr::V6(local) => message.local6(local),
        };
        let message = if let Some(mac) = tunnel.mac { message.address(mac.to_vec()) } else { message };
        self.handle.link().add(message.build()).execute().await.map_err(to_io)?;
        self.need(tunnel.name).await
    }

    /// Leads to another end.
    pub async fn ensure_tunnel_peer(&self, link: &str, end: &End) -> io::Result<()> {
        let index = self.need(link).await?.header.index;
        let outside = self.handle.neighbours().add_bridge(index, &end.mac);
        outside.flags(NeighbourFlags::Own).destination(end.remote).replace().execute().await.map_err(to_io)?;
        let within = self.handle.neighbours().add(index, end.address);
        within.link_layer_address(&end.mac).replace().execute().await.map_err(to_io)
    }

    /// Leads there no more.
    pub async fn delete_tunnel_peer(&self, link: &str, end: &End) -> io::Result<()> {
        let Some(found) = self.get(link).await? else { return Ok(()) };
        let index = found.header.index;
        for message in [neighbour(index, end.address), forwarding(index, &end.mac, end.remote)] {
            self.forget(message).await?;
        }
        Ok(())
    }

    /// Only these ends stay.
    pub async fn keep_tunnel_peers(&self, link: &str, addresses: &[IpAddr]) -> io::Result<()> {
        let index = self.need(link).await?.header.index;
        let neighbours: Vec<NeighbourMessage> =
            self.handle.neighbours().get().execute().try_collect().await.map_err(to_io)?;
        let (stay, go): (Vec<_>, Vec<_>) = neighbours
            .into_iter()
            .filter(|one| one.header.ifindex == index && one.header.state == NeighbourState::Permanent)
            .partition(|one| address_of(one).is_some_and(|address| addresses.contains(&address)));
        for one in go {
            self.forget(one).await?;
        }
        let macs: Vec<Vec<u8>> = stay.iter().filter_map(mac_of).map(<[u8]>::to_vec).collect();
        let forwardings = self.handle.neighbours().get().set_address_family(AddressFamily::Bridge);
        let forwardings: Vec<NeighbourMessage> = forwardings.execute().try_collect().await.map_err(to_io)?;
        for one in forwardings.into_iter().filter(|one| one.header.ifindex == index) {
            // The entry of zeros is where frames to everybody go; nothing is sent to everybody here.
            if !mac_of(&one).is_some_and(|mac| macs.iter().any(|m| m == mac)) {
                self.forget(one).await?;
            }
        }
        Ok(())
    }

    async fn forget(&self, one: NeighbourMessage) -> io::Result<()> {
        match self.handle.neighbours().del(one).execute().await.map_err(to_io) {
            Err(error) if error.raw_os_error() != Some(nix::libc::ENOENT) => Err(error),
            _ => Ok(()),
        }
    }
}

fn is(link: &LinkMessage, tunnel: &Tunnel<'_>) -> bool {
    let Some(infos) = infos_of(link).find_map(|info| match info {
        LinkInfo::Data(InfoData::Vxlan(infos)) => Some(infos),
        _ => None,
    }) else {
        return false;
    };
    let local = match tunnel.local {
        IpAddr::V4(local) => InfoVxlan::Local(local),
        IpAddr::V6(local) => InfoVxlan::Local6(local),
    };
    [InfoVxlan::Id(tunnel.vni), InfoVxlan::Port(tunnel.port), InfoVxlan::Learning(false), local]
        .iter()
        .all(|wanted| infos.contains(wanted))
}

fn destination(address: IpAddr) -> NeighbourAttribute {
    NeighbourAttribute::Destination(match address {
        IpAddr::V4(v4) => NeighbourAddress::Inet(v4),
        IpAddr::V6(v6) => NeighbourAddress::Inet6(v6),
    })
}

fn neighbour(index: u32, address: IpAddr) -> NeighbourMessage {
    let mut message = NeighbourMessage::default();
    message.header.family = if address.is_ipv4() { AddressFamily::Inet } else { AddressFamily::Inet6 };
    message.header.ifindex = index;
    message.attributes.push(destination(address));
    message
}

fn forwarding(index: u32, mac: &[u8; 6], remote: IpAddr) -> NeighbourMessage {
    let mut message = NeighbourMessage::default();
    message.header.family = AddressFamily::Bridge;
    message.header.ifindex = index;
    message.header.flags = NeighbourFlags::Own;
    message.attributes.extend([NeighbourAttribute::LinkLayerAddress(mac.to_vec()), destination(remote)]);
    message
}

fn address_of(one: &NeighbourMessage) -> Option<IpAddr> {
    one.attributes.iter().find_map(|a| match a {
        NeighbourAttribute::Destination(NeighbourAddress::Inet(v4)) => Some(IpAddr::V4(*v4)),
        NeighbourAttribute::Destination(NeighbourAddress::Inet6(v6)) => Some(IpAddr::V6(*v6)),
        _ => None,
    })
}

fn mac_of(one: &NeighbourMessage) -> Option<&[u8]> {
    one.attributes
        .iter()
        .find_map(|a| if let NeighbourAttribute::LinkLayerAddress(mac) = a { Some(mac.as_slice()) } else { None })
}
