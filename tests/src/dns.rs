//! Questions to DNS servers, and a server that stands for the rest of the world.

use std::io::{ErrorKind, Read, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpStream, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use hickory_proto::op::{Message, MessageType, OpCode, Query, ResponseCode};
use hickory_proto::rr::rdata::{A, SOA};
use hickory_proto::rr::{Name, RData, Record, RecordType};

/// Where a node's server is, if nothing else was said.
pub const NODE: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::new(169, 254, 20, 10)), 53);
/// As long as resolvers of C libraries wait.
const PATIENCE: Duration = Duration::from_secs(5);

/// A question's transport.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum By {
    Udp,
    Tcp,
}

/// What a server says: the code, and each record of the answer as text.
#[derive(Debug, PartialEq, Eq)]
pub struct Said {
    pub code: ResponseCode,
    pub answers: Vec<String>,
    /// Who has the authority to say that there is nothing.
    pub authorities: Vec<String>,
    pub truncated: bool,
}

/// Asks a server.
pub fn ask(server: SocketAddr, by: By, name: &str, kind: RecordType) -> Result<Said> {
    let mut message = Message::query();
    message.metadata.recursion_desired = true;
    message.add_query(Query::query(Name::from_ascii(name)?, kind));
    let bytes = message.to_vec()?;
    let answer = match by {
        By::Udp => datagram(server, &bytes),
        By::Tcp => stream(server, &bytes),
    };
    let answer = Message::from_vec(&answer.with_context(|| format!("no answer about {name} {kind} by {by:?}"))?)?;
    ensure!(answer.metadata.id == message.metadata.id, "an answer to something else");
    let mut answers: Vec<String> = answer.answers.iter().map(|record| record.data.to_string()).collect();
    answers.sort();
    let authorities = answer.authorities.iter().map(|record| format!("{} {}", record.name, record.record_type()));
    Ok(Said {
        code: answer.metadata.response_code,
        answers,
        authorities: authorities.collect(),
        truncated: answer.metadata.truncation,
    })
}

fn datagram(server: SocketAddr, bytes: &[u8]) -> Result<Vec<u8>> {
    let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0))?;
    socket.set_read_timeout(Some(PATIENCE))?;
    socket.connect(server)?;
    socket.send(bytes)?;
    let mut buffer = vec![0; 4_096];
    let length = socket.recv(&mut buffer)?;
    buffer.truncate(length);
    Ok(buffer)
}

fn stream(server: SocketAddr, bytes: &[u8]) -> Result<Vec<u8>> {
    let mut stream = TcpStream::connect_timeout(&server, PATIENCE)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.write_all(&[u16::try_from(bytes.len())?.to_be_bytes().as_slice(), bytes].concat())?;
    let mut length = [0; 2];
    stream.read_exact(&mut length)?;
    let mut answer = vec![0; u16::from_be_bytes(length).into()];
    stream.read_exact(&mut answer)?;
    Ok(answer)
}

/// A server on loopback that knows one name, `outside.test`. It ends when it is dropped.
pub struct World {
    at: SocketAddr,
    end: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl World {
    pub const NAME: &str = "outside.test";
    pub const ADDRESS: Ipv4Addr = Ipv4Addr::new(203, 0, 113, 7);

    /// In this thread's network, at any port.
    pub fn start() -> Result<Self> {
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?;
        socket.set_read_timeout(Some(Duration::from_millis(100)))?;
        let at = socket.local_addr()?;
        let end = Arc::new(AtomicBool::new(false));
        let ended = end.clone();
        let thread = thread::spawn(move || while !ended.load(Ordering::Relaxed) && serve(&socket).is_ok() {});
        Ok(Self { at, end, thread: Some(thread) })
    }

    pub fn at(&self) -> SocketAddr {
        self.at
    }
}

impl Drop for World {
    fn drop(&mut self) {
        self.end.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// One question, if there is one.
fn serve(socket: &UdpSocket) -> Result<()> {
    let mut buffer = [0; 4_096];
    let (length, client) = match socket.recv_from(&mut buffer) {
        Ok(received) => received,
        Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => return Ok(()),
        Err(error) => return Err(error.into()),
    };
    let asked = Message::from_vec(buffer.get(..length).unwrap_or_default())?;
    let query = asked.queries.first().context("no question")?.clone();
    let mut answer = Message::new(asked.metadata.id, MessageType::Response, OpCode::Query);
    answer.metadata.recursion_desired = asked.metadata.recursion_desired;
    answer.metadata.recursion_available = true;
    let known = query.name().to_ascii().to_lowercase() == format!("{}.", World::NAME);
    match (known, query.query_type()) {
        (true, RecordType::A) => {
            answer.add_answer(Record::from_rdata(query.name().clone(), 60, RData::A(A(World::ADDRESS))));
        }
        _ => {
            let zone = Name::from_ascii("test.")?;
            let soa = RData::SOA(SOA::new(zone.clone(), zone.clone(), 1, 60, 60, 60, 5));
            answer.add_authority(Record::from_rdata(zone, 5, soa));
            answer.metadata.response_code = if known { ResponseCode::NoError } else { ResponseCode::NXDomain };
        }
    }
    answer.add_query(query);
    socket.send_to(&answer.to_vec()?, client)?;
    Ok(())
}
