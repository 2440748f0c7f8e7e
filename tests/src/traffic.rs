//! Clients of services: pages, connections that stay open, and datagrams, from any network namespace.

use std::fs::File;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream, UdpSocket};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use nix::sched::{CloneFlags, setns};

/// For an answer.
const PATIENCE: Duration = Duration::from_secs(5);

/// Does something in a network namespace. Sockets that it makes belong there for good.
pub fn within<T: Send>(place: &Path, job: impl FnOnce() -> Result<T> + Send) -> Result<T> {
    let place = File::open(place)?;
    let there = || {
        setns(place, CloneFlags::CLONE_NEWNET)?;
        job()
    };
    thread::scope(|scope| scope.spawn(there).join().unwrap_or_else(|_| bail!("it panicked")))
}

/// Status and body of a page, over a connection of its own.
pub fn page(to: SocketAddr, path: &str) -> Result<(u16, String)> {
    let mut stream = TcpStream::connect_timeout(&to, Duration::from_secs(2))?;
    stream.set_read_timeout(Some(PATIENCE))?;
    write!(stream, "GET {path} HTTP/1.1\r\nHost: {to}\r\n\r\n")?;
    let head = head(&mut stream)?;
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).context("no status")?;
    let lines = head.lines().filter_map(|line| line.split_once(':'));
    let mut lengths = lines.filter(|(name, _)| name.eq_ignore_ascii_case("content-length"));
    let length: usize = lengths.next().map(|(_, value)| value.trim()).context("no length")?.parse()?;
    let mut body = vec![0; length];
    stream.read_exact(&mut body)?;
    Ok((status, String::from_utf8(body)?))
}

/// Of an answer.
fn head(stream: &mut TcpStream) -> Result<String> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte)?;
        head.extend(byte);
    }
    Ok(String::from_utf8(head)?)
}

/// The pod of the test image's server that answers: its name.
pub fn who(to: SocketAddr) -> Result<String> {
    let (status, body) = page(to, "/")?;
    let name = body.strip_prefix("hello from ").and_then(|rest| rest.split_whitespace().next());
    Ok(name.with_context(|| format!("{status} and no name: {body:?}"))?.to_owned())
}

/// A connection to the test image's server on which something goes back and forth without end.
pub struct Stream {
    over: Arc<AtomicBool>,
    count: Arc<AtomicU64>,
    thread: JoinHandle<Result<()>>,
}

impl Stream {
    /// Opens it in this thread's network.
    pub fn open(to: SocketAddr) -> Result<Self> {
        let mut stream = TcpStream::connect_timeout(&to, Duration::from_secs(2))?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_nodelay(true)?;
        write!(stream, "GET /echo HTTP/1.1\r\nHost: {to}\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n")?;
        let head = head(&mut stream)?;
        ensure!(head.starts_with("HTTP/1.1 101"), "{head}");
        let (over, count) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
        let (ends, counts) = (over.clone(), count.clone());
        let thread = thread::spawn(move || {
            while !ends.load(Ordering::SeqCst) {
                let said = counts.fetch_add(1, Ordering::SeqCst).to_be_bytes();
                stream.write_all(&said)?;
                let mut back = [0; 8];
                stream.read_exact(&mut back)?;
                ensure!(back == said, "{back:?} came back and not {said:?}");
                thread::sleep(Duration::from_millis(10));
            }
            Ok(())
        });
        Ok(Self { over, count, thread })
    }

    /// How much has come back.
    pub fn count(&self) -> u64 {
        self.count.load(Ordering::SeqCst)
    }

    /// Whether it has not broken.
    pub fn is_open(&self) -> bool {
        !self.thread.is_finished()
    }

    /// Ends it; fails if it broke before.
    pub fn close(self) -> Result<u64> {
        self.over.store(true, Ordering::SeqCst);
        self.thread.join().unwrap_or_else(|_| bail!("it panicked"))?;
        Ok(self.count.load(Ordering::SeqCst))
    }
}

/// A client that sends datagrams from one port.
pub struct Asker {
    socket: UdpSocket,
}

impl Asker {
    /// In this thread's network.
    pub fn to(address: SocketAddr) -> Result<Self> {
        let socket = UdpSocket::bind("0.0.0.0:0")?;
        socket.set_read_timeout(Some(Duration::from_millis(500)))?;
        socket.connect(address)?;
        Ok(Self { socket })
    }

    /// Which pod (`echo-udp`) answers now.
    pub fn ask(&self) -> Result<String> {
        self.socket.send(b"who")?;
        let mut name = [0; 128];
        let length = self.socket.recv(&mut name)?;
        Ok(String::from_utf8_lossy(name.get(..length).unwrap_or_default()).into_owned())
    }
}
