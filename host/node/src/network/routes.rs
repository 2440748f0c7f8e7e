//! Routes of one network namespace, by netlink. Those of a node that plans make bear a mark of their own, so that what
//! nobody wants any more can be told from what others made.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use futures::TryStreamExt;
use ipnet::IpNet;
use rtnetlink::RouteMessageBuilder;
use rtnetlink::packet_route::route::{
    RouteAddress, RouteAttribute, RouteFlags, RouteMessage, RouteMetric, RouteProtocol, RouteScope,
};

use super::links::{Links, to_io};

/// Who made a route, as the kernel keeps it: a number that `/etc/iproute2/rt_protos` gives to nobody.
const GANTRY: RouteProtocol = RouteProtocol::Other(203);

/// A route as it is to be.
pub struct RouteTo {
    /// Where to.
    pub destination: IpNet,
    /// Through whom; `None`: on link.
    pub via: Option<IpAddr>,
    /// Index of the link; `None`: the one by which the kernel reaches the gateway.
    pub link: Option<u32>,
    /// 0: the link's.
    pub mtu: u32,
    /// Whether it is one of the node's.
    pub node: bool,
}

impl Links {
    /// Makes a route. The kernel itself leaves one that is right alone.
    pub async fn ensure_route(&self, route: &RouteTo) -> io::Result<()> {
        let message = message(route)?;
        self.handle.route().add(message).replace().execute().await.map_err(to_io)
    }

    /// Routes that `ensure_route` made on the node.
    async fn own_routes(&self) -> io::Result<Vec<RouteMessage>> {
        let mut own = Vec::new();
        let all = [RouteMessageBuilder::<Ipv4Addr>::new().build(), RouteMessageBuilder::<Ipv6Addr>::new().build()];
        for which in all {
            let routes: Vec<RouteMessage> =
                self.handle.route().get(which).execute().try_collect().await.map_err(to_io)?;
            own.extend(routes.into_iter().filter(|route| route.header.protocol == GANTRY));
        }
        Ok(own)
    }

    /// Removes routes of the node that plans made, and which these are.
    pub async fn delete_routes(&self, which: impl Fn(&IpNet) -> bool) -> io::Result<()> {
        for route in self.own_routes().await? {
            if destination(&route).is_some_and(|to| which(&to)) {
                match self.handle.route().del(route).execute().await.map_err(to_io) {
                    Err(error) if error.raw_os_error() != Some(nix::libc::ESRCH) => return Err(error),
                    _ => {}
                }
            }
        }
        Ok(())
    }
}

fn message(route: &RouteTo) -> io::Result<RouteMessage> {
    let mut message = match (route.destination, route.via) {
        (IpNet::V4(to), via) => {
            let builder = RouteMessageBuilder::<Ipv4Addr>::new().destination_prefix(to.network(), to.prefix_len());
            match via {
                None => builder.scope(RouteScope::Link),
                Some(IpAddr::V4(via)) => builder.gateway(via),
                Some(IpAddr::V6(_)) => return Err(mixed()),
            }
            .build()
        }
        (IpNet::V6(to), via) => {
            let builder = RouteMessageBuilder::<Ipv6Addr>::new().destination_prefix(to.network(), to.prefix_len());
            match via {
                None => builder,
                Some(IpAddr::V6(via)) => builder.gateway(via),
                Some(IpAddr::V4(_)) => return Err(mixed()),
            }
            .build()
        }
    };
    if let Some(link) = route.link {
        message.attributes.push(RouteAttribute::Oif(link));
    }
    if route.mtu != 0 {
        message.attributes.push(RouteAttribute::Metrics(vec![RouteMetric::Mtu(route.mtu)]));
    }
    if route.node {
        message.header.protocol = GANTRY;
        if route.via.is_some() && route.link.is_some() {
            message.header.flags |= RouteFlags::Onlink;
        }
    }
    Ok(message)
}

fn mixed() -> io::Error {
    io::Error::other("destination and gateway are of two address families")
}

fn destination(route: &RouteMessage) -> Option<IpNet> {
    let address = route.attributes.iter().find_map(|a| match a {
        RouteAttribute::Destination(RouteAddress::Inet(to)) => Some(IpAddr::V4(*to)),
        RouteAttribute::Destination(RouteAddress::Inet6(to)) => Some(IpAddr::V6(*to)),
        _ => None,
    })?;
    IpNet::new(address, route.header.destination_prefix_length).ok()
}
