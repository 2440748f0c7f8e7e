//! Questions to the node's DNS server, about what is in its table.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::{Arc, RwLock};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use gantry_node::dns::{RecordSet, Responder, Table as Names, Tables, Upstream, UpstreamOptions, Zone, serve};
use hickory_proto::op::{Message, Query};
use hickory_proto::rr::rdata::A;
use hickory_proto::rr::{LowerName, Name, RData, RecordType};
use tokio::net::{TcpListener, UdpSocket};
use tokio::sync::oneshot;
use tokio::task::JoinSet;

use super::{Bench, progress};
use crate::report::{Section, Table};
use crate::stats::{Series, short};

pub const TITLE: &str = "Names";

const CLIENTS: [usize; 3] = [1, 16, 64];
/// Services in the table.
const SERVICES: usize = 5_000;
/// A datagram that is lost is a failure here.
const PATIENCE: Duration = Duration::from_secs(5);

/// Who answers.
#[derive(Clone, Copy, PartialEq)]
enum Answers {
    /// A socket that sends back what it gets: what the kernel and the client cost.
    Echo,
    /// The server, about a name that is there.
    Found,
    /// The server, about one that is not.
    Missing,
}

#[derive(Default)]
struct Found {
    per_second: Series,
    p50: Series,
    p99: Series,
}

pub async fn measure(bench: &Bench, section: &mut Section) -> Result<()> {
    let kinds = [("echo", Answers::Echo), ("A, there", Answers::Found), ("A, not there", Answers::Missing)];
    let mut found: Vec<(&str, Answers, usize, Found)> = Vec::new();
    for clients in CLIENTS {
        found.extend(kinds.map(|(name, answers)| (name, answers, clients, Found::default())));
    }
    for _ in 0..bench.runs {
        let server = Server::start().await?;
        for (name, answers, clients, found) in &mut found {
            let latencies = server.load(*answers, *clients, bench.seconds).await?;
            let per_second = latencies.len() as f64 / bench.seconds;
            let latencies: Series = latencies.into_iter().collect();
            found.per_second.add(per_second);
            found.p50.add(latencies.at(0.5));
            found.p99.add(latencies.at(0.99));
            progress(&format!("{name} by {clients}: {}/s", short(per_second)));
        }
    }
    describe(bench, section, &found);
    Ok(())
}

fn describe(bench: &Bench, section: &mut Section, found: &[(&str, Answers, usize, Found)]) {
    section.text(&format!(
        "UDP over loopback to the node's DNS server with {SERVICES} Services in its table, in a thread of its own beside the \
         clients; each client has a socket and one question at a time. `echo` is a socket in that thread that sends back \
         what it gets: the ratio is to its rate with as many clients. {} s each, {} runs.",
        bench.seconds, bench.runs,
    ));
    let mut table = Table::new(&["question", "clients", "per second", "p50, ms", "p99, ms", "ratio to echo"]);
    let mut echo = f64::NAN;
    for (name, answers, clients, found) in found {
        let rate = found.per_second.median();
        if *answers == Answers::Echo {
            echo = rate;
        }
        let cells = [&found.per_second, &found.p50, &found.p99].map(Series::to_string);
        let [rates, p50, p99] = cells;
        table.row(&[name, &clients.to_string(), &rates, &p50, &p99, &format!("{:.2}", rate / echo)]);
    }
    section.table(table);
}

/// The server and an echo, in a thread that ends with this.
struct Server {
    names: SocketAddr,
    echo: SocketAddr,
    _end: oneshot::Sender<()>,
}

impl Server {
    async fn start() -> Result<Self> {
        let (end, ended) = oneshot::channel();
        let (tell, told) = oneshot::channel();
        thread::spawn(move || -> Result<()> {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
            runtime.block_on(async move {
                let (names, udp, tcp) = sockets().await?;
                let echo = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await?;
                let _ = tell.send((names, echo.local_addr()?));
                let upstream = UpstreamOptions { file: PathBuf::from("/nonexistent"), ..UpstreamOptions::default() };
                let responder = Arc::new(Responder::new(Arc::new(RwLock::new(tables()?)), Upstream::new(upstream)));
                tokio::select! {
                    outcome = serve(udp, tcp, responder) => Ok(outcome?),
                    outcome = reflect(echo) => outcome,
                    _ = ended => Ok(()),
                }
            })
        });
        let (names, echo) = told.await.context("the server did not start")?;
        Ok(Self { names, echo, _end: end })
    }

    /// Milliseconds of each question.
    async fn load(&self, answers: Answers, clients: usize, seconds: f64) -> Result<Vec<f64>> {
        let end = Instant::now() + Duration::from_secs_f64(seconds);
        let at = if answers == Answers::Echo { self.echo } else { self.names };
        let mut tasks = JoinSet::new();
        for number in 0..clients {
            tasks.spawn(client(at, answers, number, end));
        }
        let mut latencies = Vec::new();
        while let Some(done) = tasks.join_next().await {
            latencies.extend(done.context("a client panicked")??);
        }
        Ok(latencies)
    }
}

async fn sockets() -> Result<(SocketAddr, UdpSocket, TcpListener)> {
    loop {
        let udp = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let at = udp.local_addr()?;
        // Somebody else may have the port for TCP.
        if let Ok(tcp) = TcpListener::bind(at).await {
            return Ok((at, udp, tcp));
        }
    }
}

async fn reflect(socket: UdpSocket) -> Result<()> {
    let mut buffer = [0; 512];
    loop {
        let (length, client) = socket.recv_from(&mut buffer).await?;
        socket.send_to(buffer.get(..length).unwrap_or_default(), client).await?;
    }
}

fn name(number: usize) -> String {
    format!("service-{number}.default.svc.cluster.local.")
}

fn tables() -> Result<Tables> {
    let origin: LowerName = "cluster.local.".parse()?;
    let mut table = Names::new(vec![Zone { origin, negative_ttl: 5, fallthrough: false }]);
    for number in 0..SERVICES {
        let [high, low] = u16::try_from(number)?.to_be_bytes();
        let data = vec![RData::A(A::new(10, 96, high, low))];
        table.set(name(number).parse()?, vec![RecordSet { kind: RecordType::A, ttl: 5, data }]);
    }
    let mut tables = Tables::new(1);
    tables.replace(0, table);
    Ok(tables)
}

/// Asks until the end.
async fn client(at: SocketAddr, answers: Answers, seed: usize, end: Instant) -> Result<Vec<f64>> {
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await?;
    socket.connect(at).await?;
    let mut questions = Vec::new();
    for number in 0..64 {
        // Neighbours in time are no neighbours in the table.
        let number = (seed * 37 + number * 619) % SERVICES;
        let missing = if answers == Answers::Missing { SERVICES } else { 0 };
        let mut message = Message::query();
        message.metadata.recursion_desired = true;
        message.add_query(Query::query(Name::from_ascii(name(number + missing))?, RecordType::A));
        questions.push(message.to_vec()?);
    }
    let (mut latencies, mut buffer) = (Vec::new(), [0; 512]);
    for question in questions.iter().cycle() {
        let begun = Instant::now();
        if begun >= end {
            break;
        }
        socket.send(question).await?;
        let length = tokio::time::timeout(PATIENCE, socket.recv(&mut buffer)).await.context("no answer")??;
        latencies.push(begun.elapsed().as_secs_f64() * 1e3);
        check(answers, buffer.get(..length).unwrap_or_default())?;
    }
    Ok(latencies)
}

/// By the header alone, so that it costs the client little: the code is in the fourth byte, the count of answers in the eighth.
fn check(answers: Answers, message: &[u8]) -> Result<()> {
    let said = (message.get(3).map(|byte| byte & 15), message.get(7));
    let right = match answers {
        Answers::Echo => true,
        Answers::Found => said == (Some(0), Some(&1)),
        Answers::Missing => said == (Some(3), Some(&0)),
    };
    ensure!(right, "a wrong answer: {said:?}");
    Ok(())
}
