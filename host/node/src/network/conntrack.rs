//! Connections that the kernel tracks: which there are, and forgetting some. Over netlink, in the network namespace of the
//! thread that asks.
//! See `linux/netfilter/nfnetlink_conntrack.h` for the numbers.

use std::io;
use std::net::Ipv4Addr;

use gantry_plugin::family::network::Flow;
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
const DESTINATION_PORT: u16 = 3;
/// Flags in an attribute's type.
const TYPE_MASK: u16 = 0x3fff;
const ENOENT: i32 = 2;

/// Connections to be forgotten.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Wanted {
    protocol: u8,
    /// `None`: any.
    to: Option<Ipv4Addr>,
    port: u16,
    backend: Ipv4Addr,
}

impl Wanted {
    /// Of a plan.
    pub(super) fn of(flow: &Flow) -> io::Result<Self> {
        let address =
            |text: &str| text.parse::<Ipv4Addr>().map_err(|_| invalid(format!("{text:?} is no IPv4 address")));
        let to = if flow.address.is_empty() { None } else { Some(address(&flow.address)?) };
        Ok(Self { protocol: flow.protocol, to, port: flow.port, backend: address(&flow.backend)? })
    }

    fn is(&self, connection: &Connection<'_>) -> bool {
        connection.protocol == self.protocol
            && connection.port == self.port
            && connection.backend == self.backend
            && self.to.is_none_or(|to| to == connection.to)
    }
}

/// One that is tracked, as far as it matters here.
struct Connection<'a> {
    protocol: u8,
    /// Where the client sent to.
    to: Ipv4Addr,
    port: u16,
    /// Who answers.
    backend: Ipv4Addr,
    /// What names it: attributes as they came.
    name: Vec<&'a [u8]>,
}

/// Makes the kernel forget every connection that is wanted. Those that went meanwhile are no error.
pub(super) fn forget(wanted: &[Wanted]) -> io::Result<()> {
    let mut socket = Socket::new(NETLINK_NETFILTER)?;
    socket.bind_auto()?;
    let names: Vec<Vec<u8>> = dump(&socket)?
        .iter()
        .filter_map(|message| connection(message))
        .filter(|connection| wanted.iter().any(|wanted| wanted.is(connection)))
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
    let address = |tuple, which| {
        let bytes: [u8; 4] = attribute(attribute(tuple, ADDRESSES)?, which)?.try_into().ok()?;
        Some(Ipv4Addr::from(bytes))
    };
    let protocol = attribute(original, PROTOCOL)?;
    Some(Connection {
        protocol: *attribute(protocol, NUMBER)?.first()?,
        to: address(original, DESTINATION)?,
        port: u16::from_be_bytes(attribute(protocol, DESTINATION_PORT)?.try_into().ok()?),
        backend: address(reply, SOURCE)?,
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

    fn tuple(kind: u16, from: [u8; 4], to: [u8; 4], port: u16) -> Vec<u8> {
        let addresses =
            nested(ADDRESSES | 0x8000, &[nested(SOURCE, &[from.into()]), nested(DESTINATION, &[to.into()])]);
        let ports = [nested(NUMBER, &[vec![17]]), nested(DESTINATION_PORT, &[port.to_be_bytes().into()])];
        nested(kind | 0x8000, &[addresses, nested(PROTOCOL | 0x8000, &ports)])
    }

    #[test]
    fn a_connection_is_known_by_where_it_went_and_who_answers() {
        let original = tuple(ORIGINAL, [10, 64, 0, 9], [10, 96, 0, 1], 53);
        let bytes = [original.clone(), tuple(REPLY, [10, 64, 0, 2], [10, 64, 0, 9], 40_000)].concat();
        let found = connection(&bytes).unwrap();
        assert_eq!(found.name.concat(), original);
        let flow = |address: &str, port, backend: &str| {
            Wanted::of(&Flow { protocol: 17, address: address.into(), port, backend: backend.into() }).unwrap()
        };
        for (wanted, want) in [
            (flow("10.96.0.1", 53, "10.64.0.2"), true),
            (flow("", 53, "10.64.0.2"), true),
            (flow("10.96.0.2", 53, "10.64.0.2"), false),
            (flow("10.96.0.1", 54, "10.64.0.2"), false),
            (flow("10.96.0.1", 53, "10.64.0.3"), false),
        ] {
            assert_eq!(wanted.is(&found), want, "{wanted:?}");
        }
        assert!(connection(&bytes[..30]).is_none());
    }

    #[test]
    fn the_kernel_answers() {
        // Nothing is tracked to this port: the point is that it can be asked.
        let flow = Flow { protocol: 17, address: "192.0.2.77".into(), port: 9, backend: "192.0.2.78".into() };
        forget(&[Wanted::of(&flow).unwrap()]).unwrap();
    }
}
