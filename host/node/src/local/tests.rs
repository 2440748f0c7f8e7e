//! Who is heard, what bounds them, and what they can't say of themselves. Addresses of loopback stand for those of pods.

use std::net::{IpAddr, Ipv4Addr, SocketAddr, SocketAddrV4};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use gantry_model::Caller;
use gantry_model::caller::{ContainerUsage, Usage};
use http::{Request, Response};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use super::desk::{BODY, Desk, REQUESTS};
use super::listener::{OF_ONE, Places, serve};
use super::{Answers, Away, Pods};
use crate::cluster::PodRef;

const WEB: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 2);
const DB: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 3);

struct Known;

#[async_trait]
impl Pods for Known {
    fn at(&self, address: IpAddr) -> Option<PodRef> {
        let name = [(WEB, "web"), (DB, "db")].into_iter().find(|(known, _)| IpAddr::V4(*known) == address)?.1;
        Some(PodRef { namespace: "team".into(), name: name.into(), uid: format!("uid-{name}") })
    }

    async fn usage(&self, pod: &PodRef) -> Option<Usage> {
        let containers = vec![ContainerUsage { name: "a".into(), cpu_nanoseconds: 5, ..ContainerUsage::default() }];
        (pod.name == "web").then(|| Usage { at: "2026-01-01T00:00:00Z".into(), containers })
    }
}

/// Says who it hears and what it is asked; waits for a permit before.
struct Echo {
    gate: Semaphore,
    heard: Mutex<Vec<(Caller, Request<Bytes>)>>,
}

#[async_trait]
impl Answers for Echo {
    async fn answer(&self, caller: &Caller, request: Request<Bytes>) -> Result<Response<Bytes>, Away> {
        let _permit = self.gate.acquire().await;
        if request.uri() == "/away" {
            return Err(Away("10.9.9.9 is away".into()));
        }
        let said = format!("{} {} {}", caller.name, request.method(), request.uri());
        self.heard.lock().unwrap().push((caller.clone(), request));
        let answer =
            Response::builder().header("connection", "x-hop").header("content-length", "1").header("x-said", "y");
        Ok(answer.body(said.into()).unwrap())
    }
}

struct World {
    at: SocketAddrV4,
    echo: Arc<Echo>,
    _tasks: JoinSet<()>,
}

impl World {
    async fn start(permits: usize) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let SocketAddr::V4(at) = listener.local_addr().unwrap() else { unreachable!() };
        let echo = Arc::new(Echo { gate: Semaphore::new(permits), heard: Mutex::default() });
        let desk = Arc::new(Desk::new("n1".into(), Arc::new(Known), echo.clone()));
        let mut tasks = JoinSet::new();
        tasks.spawn(serve(listener, at, desk, Arc::new(Places::default())));
        Self { at, echo, _tasks: tasks }
    }

    async fn connect(&self, from: Ipv4Addr) -> TcpStream {
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind((from, 0).into()).unwrap();
        socket.connect(self.at.into()).await.unwrap()
    }

    /// The answer to these bytes, whole.
    async fn ask(&self, from: Ipv4Addr, bytes: &[u8]) -> String {
        let mut stream = self.connect(from).await;
        // It may answer, and close, before all is written.
        let _ = stream.write_all(bytes).await;
        read(&mut stream).await
    }

    async fn get(&self, from: Ipv4Addr, path: &str) -> String {
        self.ask(from, format!("GET {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").as_bytes()).await
    }
}

/// All that comes until the other side closes.
async fn read(stream: &mut TcpStream) -> String {
    let mut answer = Vec::new();
    let reading = tokio::time::timeout(Duration::from_secs(60), stream.read_to_end(&mut answer)).await;
    let _ = reading.expect("an end of the answer");
    String::from_utf8(answer).unwrap()
}

#[tokio::test]
async fn a_pod_is_known_by_its_address_alone() {
    let world = World::start(1).await;
    for (from, name) in [(WEB, "web"), (DB, "db")] {
        let forged = "gantry-caller: {\"name\":\"db\"}\r\nx-forwarded-for: 127.0.0.3\r\nforwarded: for=127.0.0.3\r\n";
        let request = format!("GET http://127.0.0.3/v4/x?y HTTP/1.1\r\nhost: db\r\n{forged}connection: close\r\n\r\n");
        let answer = world.ask(from, request.as_bytes()).await;
        assert!(answer.starts_with("HTTP/1.1 200") && answer.ends_with(&format!("{name} GET /v4/x?y")), "{answer}");
        let (caller, _) = world.echo.heard.lock().unwrap().pop().unwrap();
        let said = (caller.namespace.as_str(), caller.name.as_str(), caller.uid, caller.node.as_str());
        assert_eq!(said, ("team", name, format!("uid-{name}"), "n1"));
        assert_eq!((caller.address, caller.usage.is_some()), (world.at, name == "web"));
    }
}

#[tokio::test]
async fn who_has_no_address_of_its_own_is_refused() {
    let world = World::start(1).await;
    for from in [Ipv4Addr::LOCALHOST, Ipv4Addr::new(127, 0, 0, 9)] {
        let answer = world.get(from, "/").await;
        assert!(answer.starts_with("HTTP/1.1 403") && answer.contains("pods with hostNetwork"), "{answer}");
        assert!(answer.contains(&from.to_string()), "{answer}");
    }
    assert!(world.echo.heard.lock().unwrap().is_empty());
}

#[tokio::test]
async fn what_is_about_the_connection_is_not_passed_on() {
    let world = World::start(1).await;
    let request = "POST /x HTTP/1.1\r\nhost: h\r\nte: trailers\r\nupgrade: z\r\nkeep-alive: 5\r\nx-mine: 1\r\nconnection: close\r\n\
                   transfer-encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n";
    let answer = world.ask(WEB, request.as_bytes()).await;
    assert!(
        answer.contains("x-said: y") && answer.contains("content-length: 11") && !answer.contains("x-hop"),
        "{answer}"
    );
    let (_, heard) = world.echo.heard.lock().unwrap().pop().unwrap();
    let mut names: Vec<&str> = heard.headers().keys().map(|name| name.as_str()).collect();
    names.sort_unstable();
    assert_eq!((names, heard.body()), (vec!["host", "x-mine"], &Bytes::from("abc")));
}

#[tokio::test]
async fn heads_bodies_and_what_is_no_http_are_bounded() {
    let world = World::start(1).await;
    let head = |filling: usize| format!("GET / HTTP/1.1\r\nx: {}\r\nconnection: close\r\n\r\n", "y".repeat(filling));
    let body = |length: usize| {
        format!("POST / HTTP/1.1\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n{}", "y".repeat(length))
    };
    let lines = |count: usize| format!("GET / HTTP/1.1\r\n{}\r\n", "a: b\r\n".repeat(count));
    for (request, want) in [
        (head(8 << 10), "HTTP/1.1 200"),
        (head(64 << 10), "HTTP/1.1 431"),
        (lines(100), "HTTP/1.1 431"),
        (body(BODY), "HTTP/1.1 200"),
        (body(BODY + 1), "HTTP/1.1 413"),
        ("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_owned(), ""),
        ("CONNECT a:1 HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n".to_owned(), "HTTP/1.1 400"),
        ("GET /away HTTP/1.1\r\nconnection: close\r\n\r\n".to_owned(), "HTTP/1.1 503"),
    ] {
        let answer = world.ask(WEB, request.as_bytes()).await;
        let began = request.get(..40.min(request.len())).unwrap();
        // Who begins in HTTP/2 gets nothing.
        assert!(answer.starts_with(want) && answer.is_empty() == want.is_empty(), "{began:?}: {answer}");
        assert!(!answer.contains("10.9.9.9"), "a pod does not hear where the server is: {answer}");
    }
}

#[tokio::test]
async fn one_pod_does_not_take_the_places_of_others() {
    let world = World::start(1).await;
    let mut mine = Vec::new();
    for _ in 0..OF_ONE {
        let mut stream = world.connect(WEB).await;
        // Until it answers it is not known to have a place.
        stream.write_all(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
        let mut piece = [0; 12];
        stream.read_exact(&mut piece).await.unwrap();
        assert_eq!(&piece, b"HTTP/1.1 200");
        mine.push(stream);
    }
    assert_eq!(world.get(WEB, "/").await, "", "one more is closed");
    assert!(world.get(DB, "/").await.starts_with("HTTP/1.1 200"));
    drop(mine);
    let again = async {
        while !world.get(WEB, "/").await.starts_with("HTTP/1.1 200") {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), again).await.expect("places that were left are free again");
}

#[tokio::test]
async fn more_requests_than_are_passed_on_at_once_are_told_to_come_again() {
    let world = World::start(0).await;
    let desk = Desk::new("n1".into(), Arc::new(Known), world.echo.clone());
    let ask = || desk.answer(world.at, WEB.into(), Request::new(http_body_util::Full::new(Bytes::new())));
    let answers = futures::future::join_all((0..=REQUESTS).map(|_| ask()));
    let freed = async {
        // The last one was refused before anything was answered.
        tokio::task::yield_now().await;
        world.echo.gate.add_permits(1);
    };
    let (answers, ()) = tokio::join!(answers, freed);
    let (good, refused): (Vec<_>, Vec<_>) = answers.iter().partition(|answer| answer.status() == 200);
    assert_eq!((good.len(), refused.len()), (REQUESTS, 1));
    assert!(refused.iter().all(|answer| answer.status() == 503 && answer.headers().contains_key("retry-after")));
}
