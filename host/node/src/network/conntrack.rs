//! Connections that the kernel tracks: forgetting those that lead to nobody who serves. Over netlink, in the network
//! namespace of the thread that asks.
//! See `linux/netfilter/nfnetlink_conntrack.h` for the numbers.

use std::collections::{HashMap, HashSet};
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddrV4};

use gantry_plugin::family::network::{KeptFlow, KeptFlows};
use ipnet::Ipv4Net;
use netlink_sys::Socket;

const NETLINK_NETFILTER: isize = 12;
/// Of the conntrack subsystem (1): get and delete.
const GET: u16 = 0x0101;
const DELETE: u16 = 0x0102;
const ERROR: u16 = 2;
const DONE: u16 = 3;
const REQUEST: u16 = 0x01;
const ACK: u16 = 0x04;
const DUMP: u16 = 0x300;
const AF_INET: u8 = 2;
/// The header of netlink, and that of netfilter behind it.
const HEADER: usize = 16;
const FAMILY_HEADER: usize = 4;
/// Attributes of a connection, and of the tuples in it.
const ORIGINAL: u16 = 1;
const REPLY: u16 = 2;
const ZONE: u16 = 18;
const ADDRESSES: u16 = 1;
const PROTOCOL: u16 = 2;
const SOURCE: u16 = 1;
const DESTINATION: u16 = 2;
const NUMBER: u16 = 1;
const SOURCE_PORT: u16 = 2;
const DESTINATION_PORT: u16 = 3;
/// Flags in an attribute's type.
const TYPE_MASK: u16 = 0x3fff;
const ENOENT: i32 = 2;

/// Which connections may stay.
#[derive(Debug)]
pub(super) struct Kept {
    protocol: u8,
    within: Vec<Ipv4Net>,
    /// By where clients send to: who serves it.
    served: HashMap<SocketAddrV4, HashSet<SocketAddrV4>>,
    /// By port, at the node's own addresses.
    ports: HashMap<u16, HashSet<SocketAddrV4>>,
    own: HashSet<IpAddr>,
}

impl Kept {
    /// Of a plan, on a node with these addresses.
    pub(super) fn of(planned: &KeptFlows, own: HashSet<IpAddr>) -> io::Result<Self> {
        let range =
            |text: &String| text.parse().map_err(|_| invalid(format!("{text:?} is no range of IPv4 addresses")));
        let within = planned.within.iter().map(range).collect::<io::Result<_>>()?;
        let mut kept = Self { protocol: planned.protocol, within, served: HashMap::new(), ports: HashMap::new(), own };
        for KeptFlow { address, port, backends } in &planned.flows {
            let backend = |text: &String| text.parse().map_err(|_| invalid(format!("{text:?} is no backend")));
            let backends: HashSet<SocketAddrV4> = backends.iter().map(backend).collect::<io::Result<_>>()?;
            if address.is_empty() {
                kept.ports.entry(*port).or_default().extend(backends);
                continue;
            }
            let address = address.parse().map_err(|_| invalid(format!("{address:?} is no IPv4 address")))?;
            kept.served.entry(SocketAddrV4::new(address, *port)).or_default().extend(backends);
        }
        Ok(kept)
    }

    fn stays(&self, connection: &Connection<'_>) -> bool {
        let Connection { protocol, to, backend, .. } = connection;
        if *protocol != self.protocol {
            return true;
        }
        let own = || self.ports.get(&to.port()).filter(|_| self.own.contains(&IpAddr::V4(*to.ip())));
        match self.served.get(to).or_else(own) {
            Some(backends) => backends.contains(backend),
            None => !self.within.iter().any(|range| range.contains(to.ip())),
        }
    }
}

/// One that is tracked, as far as it matters here.
struct Connection<'a> {
    protocol: u8,
    /// Where the client sent to.
    to: SocketAddrV4,
    /// Who answers.
    backend: SocketAddrV4,
    /// What names it: attributes as they came.
    name: Vec<&'a [u8]>,
}

/// Makes the kernel forget every connection that may not stay. Those that went meanwhile are no error.
pub(super) fn keep(kept: &Kept) -> io::Result<()> {
    let mut socket = Socket::new(NETLINK_NETFILTER)?;
    socket.bind_auto()?;
    let names: Vec<Vec<u8>> = dump(&socket)?
        .iter()
        .filter_map(|message| connection(message))
        .filter(|connection| !kept.stays(connection))
        .map(|connection| connection.name.concat())
        .collect();
    for name in names {
        socket.send(&message(DELETE, REQUEST | ACK, &name), 0)?;
        acknowledged(&socket)?;
    }
    Ok(())
}

fn message(kind: u16, flags: u16, attributes: &[u8]) -> Vec<u8> {
    let length = u32::try_from(HEADER + FAMILY_HEADER + attributes.len()).unwrap_or_default();
    let mut message = Vec::with_capacity(HEADER + FAMILY_HEADER + attributes.len());
    message.extend(length.to_ne_bytes());
    message.extend(kind.to_ne_bytes());
    message.extend(flags.to_ne_bytes());
    // Sequence and port: there is one question at a time.
    message.extend([0; 8]);
    message.extend([AF_INET, 0, 0, 0]);
    message.extend(attributes);
    message
}

/// The attributes of every connection.
fn dump(socket: &Socket) -> io::Result<Vec<Vec<u8>>> {
    socket.send(&message(GET, REQUEST | DUMP, &[]), 0)?;
    let mut all = Vec::new();
    loop {
        let (datagram, _) = socket.recv_from_full()?;
        for (kind, body) in messages(&datagram) {
            match kind {
                DONE => return Ok(all),
                ERROR => failure(body)?,
                _ => all.push(body.get(FAMILY_HEADER..).unwrap_or_default().to_vec()),
            }
        }
    }
}

fn acknowledged(socket: &Socket) -> io::Result<()> {
    let (datagram, _) = socket.recv_from_full()?;
    messages(&datagram).filter(|(kind, _)| *kind == ERROR).try_for_each(|(_, body)| failure(body))
}

/// Zero is an acknowledgement.
fn failure(body: &[u8]) -> io::Result<()> {
    let code = body.first_chunk().map_or(0, |bytes| i32::from_ne_bytes(*bytes));
    match -code {
        0 | ENOENT => Ok(()),
        code => Err(io::Error::from_raw_os_error(code)),
    }
}

/// Type and body of each message of a datagram.
fn messages(datagram: &[u8]) -> impl Iterator<Item = (u16, &[u8])> {
    let mut rest = datagram;
    std::iter::from_fn(move || {
        let length = usize::try_from(u32::from_ne_bytes(*rest.first_chunk()?)).ok()?;
        let kind = u16::from_ne_bytes(*rest.get(4..)?.first_chunk()?);
        let body = rest.get(HEADER..length)?;
        rest = rest.get(length.next_multiple_of(4)..).unwrap_or_default();
        Some((kind, body))
    })
}

/// Type, value, and the whole of each attribute.
fn attributes(bytes: &[u8]) -> impl Iterator<Item = (u16, &[u8], &[u8])> {
    let mut rest = bytes;
    std::iter::from_fn(move || {
        let length = usize::from(u16::from_ne_bytes(*rest.first_chunk()?));
        let kind = u16::from_ne_bytes(*rest.get(2..)?.first_chunk()?) & TYPE_MASK;
        let value = rest.get(4..length)?;
        let whole = rest.get(..length.next_multiple_of(4)).unwrap_or(rest);
        rest = rest.get(length.next_multiple_of(4)..).unwrap_or_default();
        Some((kind, value, whole))
    })
}

fn attribute(bytes: &[u8], wanted: u16) -> Option<&[u8]> {
    attributes(bytes).find(|(kind, ..)| *kind == wanted).map(|(_, value, _)| value)
}

fn connection(bytes: &[u8]) -> Option<Connection<'_>> {
    let (original, reply) = (attribute(bytes, ORIGINAL)?, attribute(bytes, REPLY)?);
    let end = |tuple, address, port| {
        let bytes: [u8; 4] = attribute(attribute(tuple, ADDRESSES)?, address)?.try_into().ok()?;
        let port = attribute(attribute(tuple, PROTOCOL)?, port)?.try_into().ok()?;
        Some(SocketAddrV4::new(Ipv4Addr::from(bytes), u16::from_be_bytes(port)))
    };
    Some(Connection {
        protocol: *attribute(attribute(original, PROTOCOL)?, NUMBER)?.first()?,
        to: end(original, DESTINATION, DESTINATION_PORT)?,
        backend: end(reply, SOURCE, SOURCE_PORT)?,
        name: attributes(bytes)
            .filter(|(kind, ..)| matches!(*kind, ORIGINAL | ZONE))
            .map(|(_, _, whole)| whole)
            .collect(),
    })
}

fn invalid(why: String) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, why)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn nested(kind: u16, parts: &[Vec<u8>]) -> Vec<u8> {
        let value = parts.concat();
        let mut bytes = u16::try_from(4 + value.len()).unwrap().to_ne_bytes().to_vec();
        bytes.extend(kind.to_ne_bytes());
        bytes.extend(value);
        bytes.resize(bytes.len().next_multiple_of(4), 0);
        bytes
    }

    fn tuple(kind: u16, from: ([u8; 4], u16), to: ([u8; 4], u16)) -> Vec<u8> {
        let addresses =
            nested(ADDRESSES | 0x8000, &[nested(SOURCE, &[from.0.into()]), nested(DESTINATION, &[to.0.into()])]);
        let ports = [
            nested(NUMBER, &[vec![17]]),
            nested(SOURCE_PORT, &[from.1.to_be_bytes().into()]),
            nested(DESTINATION_PORT, &[to.1.to_be_bytes().into()]),
        ];
        nested(kind | 0x8000, &[addresses, nested(PROTOCOL | 0x8000, &ports)])
    }

    fn kept(flows: &[(&str, u16, &[&str])], within: &[&str]) -> io::Result<Kept> {
        let texts = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect();
        let flow = |(address, port, backends): &(&str, u16, &[&str])| KeptFlow {
            address: (*address).to_owned(),
            port: *port,
            backends: texts(backends),
        };
        let planned = KeptFlows { protocol: 17, within: texts(within), flows: flows.iter().map(flow).collect() };
        Kept::of(&planned, HashSet::from(["192.0.2.1".parse().unwrap()]))
    }

    #[test]
    fn a_connection_stays_with_who_serves_it() {
        const CLIENT: ([u8; 4], u16) = ([10, 64, 0, 9], 40_000);
        let bytes = |to: ([u8; 4], u16)| {
            let original = tuple(ORIGINAL, CLIENT, to);
            (original.clone(), [original, tuple(REPLY, ([10, 64, 0, 2], 5353), CLIENT)].concat())
        };
        let (original, virtual_) = bytes(([10, 96, 0, 1], 53));
        let (_, node) = bytes(([192, 0, 2, 1], 53));
        let found = connection(&virtual_).unwrap();
        assert_eq!(found.name.concat(), original);
        let serves: &[&str] = &["10.64.0.3:5353", "10.64.0.2:5353"];
        let (moved, others): (&[&str], &[&str]) = (&["10.64.0.2:5354"], &["10.64.0.3:5353"]);
        for (connection_, flows, within, stays) in [
            (&virtual_, vec![("10.96.0.1", 53, serves)], vec![], true),
            (&virtual_, vec![("10.96.0.1", 53, others)], vec![], false),
            (&virtual_, vec![("10.96.0.1", 53, moved)], vec![], false),
            (&virtual_, vec![("10.96.0.1", 53, &[][..])], vec![], false),
            // Others' address, others' port, and an address of the node's.
            (&virtual_, vec![("10.96.0.2", 53, others), ("10.96.0.1", 54, others), ("", 53, others)], vec![], true),
            (&virtual_, vec![], vec!["10.96.0.0/16"], false),
            (&virtual_, vec![], vec!["10.97.0.0/16"], true),
            (&virtual_, vec![("10.96.0.1", 53, serves)], vec!["10.96.0.0/16"], true),
            (&node, vec![("", 53, serves)], vec![], true),
            (&node, vec![("", 53, others)], vec![], false),
            (&node, vec![("", 54, others)], vec![], true),
        ] {
            let found = connection(connection_).unwrap();
            assert_eq!(kept(&flows, &within).unwrap().stays(&found), stays, "{flows:?} {within:?}");
        }
        assert!(connection(&virtual_[..30]).is_none());
        for wrong in [kept(&[("x", 53, serves)], &[]), kept(&[("", 53, &["10.64.0.2"])], &[]), kept(&[], &["x"])] {
            wrong.unwrap_err();
        }
    }

    #[test]
    fn the_kernel_answers() {
        // Nothing is tracked to this port: the point is that it can be asked.
        keep(&kept(&[("192.0.2.77", 9, &[])], &[]).unwrap()).unwrap();
    }
}
