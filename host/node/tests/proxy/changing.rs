//! Endpoints, rules and ports that come and go under traffic.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use gantry_plugin::family::network::Operation;
use gantry_plugin::family::proxy::{HealthCheck, Manner, Pool};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

use crate::endpoint::Endpoint;
use crate::world::{Port, World, connect, forward, keep, manner, parsed, pool, rule, until};

/// Clients that ask without end, and fail at the first answer that is not good.
struct Traffic {
    over: Arc<AtomicBool>,
    answers: Arc<AtomicUsize>,
    clients: JoinSet<()>,
}

impl Traffic {
    fn start(port: u16, clients: usize) -> Self {
        let (over, answers) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
        let mut set = JoinSet::new();
        for number in 0..clients {
            let (over, answers) = (over.clone(), answers.clone());
            set.spawn(async move {
                let mut stream = connect(port).await;
                while !over.load(Ordering::SeqCst) {
                    let method = if number % 2 == 0 { "GET" } else { "POST" };
                    let said = ask(&mut stream, method).await;
                    assert_eq!(parsed(&said).0, 200, "{said}");
                    answers.fetch_add(1, Ordering::SeqCst);
                }
            });
        }
        Self { over, answers, clients: set }
    }

    /// Until so many more were answered.
    async fn more(&self, count: usize) {
        let begun = self.answers.load(Ordering::SeqCst);
        until("more answers", || async { (self.answers.load(Ordering::SeqCst) >= begun + count).then_some(()) }).await;
    }

    async fn end(mut self) -> usize {
        self.over.store(true, Ordering::SeqCst);
        while let Some(ended) = self.clients.join_next().await {
            ended.unwrap();
        }
        self.answers.load(Ordering::SeqCst)
    }
}

/// One request on a connection that stays.
async fn ask(stream: &mut TcpStream, method: &str) -> String {
    stream
        .write_all(format!("{method} / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc").as_bytes())
        .await
        .unwrap();
    let (mut seen, mut left) = (Vec::new(), usize::MAX);
    while left > 0 {
        let mut part = [0; 4096];
        let length = stream.read(&mut part).await.unwrap();
        assert!(length > 0, "the connection ended: {}", String::from_utf8_lossy(&seen));
        seen.extend_from_slice(&part[..length]);
        let text = String::from_utf8_lossy(&seen);
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let length = head
                .to_ascii_lowercase()
                .split("content-length: ")
                .nth(1)
                .unwrap()
                .split("\r\n")
                .next()
                .unwrap()
                .parse::<usize>();
            left = length.unwrap().saturating_sub(body.len());
        }
    }
    String::from_utf8(seen).unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn endpoints_come_and_go_without_a_failed_request() {
    let world = World::new();
    let mut endpoints = vec![Endpoint::start("1").await, Endpoint::start("2").await];
    let addresses = |all: &[Endpoint]| all.iter().map(|endpoint| endpoint.address.clone()).collect::<Vec<_>>();
    world.pool("a", &addresses(&endpoints)).await;
    world.serve(vec![rule("", "/", forward("a"))]).await;
    let traffic = Traffic::start(world.port, 4);
    for n in 3..9 {
        endpoints.push(Endpoint::start(&n.to_string()).await);
        world.pool("a", &addresses(&endpoints)).await;
        traffic.more(50).await;
        let first = endpoints.remove(0);
        world.pool("a", &addresses(&endpoints)).await;
        // What it has under way it finishes, as a pod does in its grace.
        tokio::time::sleep(Duration::from_millis(100)).await;
        drop(first);
        traffic.more(50).await;
    }
    println!("{} answers", traffic.end().await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_that_is_not_there_costs_another_attempt() {
    let world = World::new();
    let there = Endpoint::start("a").await;
    let nobody = Port::new();
    let dead = format!("127.0.0.1:{}", nobody.number);
    world.pool("a", &[dead.clone(), there.address.clone()]).await;
    world.serve(vec![rule("", "/", forward("a"))]).await;
    let traffic = Traffic::start(world.port, 2);
    traffic.more(100).await;
    traffic.end().await;
    world.pool("a", &[dead]).await;
    assert_eq!(world.get("a", "/").await.0, 502);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rules_change_without_a_failed_request() {
    let world = World::new();
    let (a, b) = (Endpoint::start("a").await, Endpoint::start("b").await);
    world.pool("a", std::slice::from_ref(&a.address)).await;
    world.serve(vec![rule("", "/", forward("a"))]).await;
    let traffic = Traffic::start(world.port, 4);
    for n in 0..30 {
        let (new, old, endpoint) = if n % 2 == 0 { ("b", "a", &b) } else { ("a", "b", &a) };
        let listener = world.listener(vec![rule("", "/", forward(new))], None);
        let plan =
            vec![pool(new, std::slice::from_ref(&endpoint.address)), listener, Operation::DeletePool(old.into())];
        world.apply(plan).await;
        traffic.more(20).await;
    }
    assert!(traffic.end().await > 500);
    assert!(world.get("x", "/").await.1.starts_with("a "));
}

#[tokio::test]
async fn a_listener_that_goes_finishes_what_is_under_way() {
    let world = World::new();
    let a = Endpoint::start("a").await;
    world.pool("a", std::slice::from_ref(&a.address)).await;
    world.serve(vec![rule("", "/", forward("a"))]).await;
    let mut stream = connect(world.port).await;
    stream.write_all(b"GET /slow HTTP/1.1\r\nHost: a\r\n\r\n").await.unwrap();
    until("the request to be under way", || async { (a.connections.load(Ordering::SeqCst) > 0).then_some(()) }).await;
    world.apply(vec![keep(&[], &[])]).await;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    assert_eq!(parsed(&answer).0, 200, "{answer}");
    until("the port to be free", || async {
        TcpStream::connect(("127.0.0.1", world.port)).await.is_err().then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_port_that_is_taken_is_said_and_had_later() {
    let world = World::new();
    let taken = tokio::net::TcpListener::bind(("0.0.0.0", world.port)).await.unwrap();
    let a = Endpoint::start("a").await;
    world.pool("a", std::slice::from_ref(&a.address)).await;
    world.serve(vec![rule("", "/", forward("a"))]).await;
    let (whom, reason, message) = world.heard.all().pop().unwrap();
    assert_eq!((whom.as_str(), reason.as_str()), ("a/f", "PortUnavailable"));
    assert!(message.contains(&world.port.to_string()), "{message}");
    drop(taken);
    until("an answer", || async { (world.get("a", "/").await.0 == 200).then_some(()) }).await;
    assert_eq!(world.heard.all().len(), 1, "it was said once");
}

#[tokio::test]
async fn plans_of_one_plugin_leave_those_of_others_alone() {
    let world = World::new();
    world.serve(vec![]).await;
    assert_eq!(world.get("a", "/").await.0, 404);
    world.proxy.apply("other", &[keep(&[], &[])], &|_| vec![]).await.unwrap();
    world.proxy.retain(&["p", "other"]);
    assert_eq!(world.get("a", "/").await.0, 404);
    world.proxy.retain(&["other"]);
    until("the port to be free", || async {
        TcpStream::connect(("127.0.0.1", world.port)).await.is_err().then_some(())
    })
    .await;
}

#[tokio::test]
async fn who_fails_its_check_gets_no_requests() {
    let world = World::new();
    let (a, b) = (Endpoint::start("a").await, Endpoint::start("b").await);
    let check = HealthCheck {
        path: "/well".into(),
        port: 0,
        interval_ms: 20,
        timeout_ms: 500,
        healthy_after: 1,
        unhealthy_after: 2,
        good: vec![],
    };
    let manner = Manner { health_check: Some(check), ..manner() };
    let endpoints = vec![a.address.clone(), b.address.clone()];
    world.apply(vec![Operation::EnsurePool(Pool { name: "p".into(), manner, endpoints })]).await;
    world.serve(vec![rule("", "/", forward("p"))]).await;
    let only_b = || async {
        for _ in 0..6 {
            if !world.get("x", "/").await.1.starts_with("b ") {
                return None;
            }
        }
        Some(())
    };
    a.healthy.store(false, Ordering::SeqCst);
    until("a to be left alone", only_b).await;
    a.healthy.store(true, Ordering::SeqCst);
    until("a to be back", || async { world.get("x", "/").await.1.starts_with("a ").then_some(()) }).await;
    // When all fail, somebody is better than nobody: each in turn again, once both have failed as often as counts.
    for endpoint in [&a, &b] {
        endpoint.healthy.store(false, Ordering::SeqCst);
    }
    let failed = [&a, &b].map(|endpoint| endpoint.failures.load(Ordering::SeqCst) + 3);
    until("both to have failed", || async {
        let now = [&a, &b].map(|endpoint| endpoint.failures.load(Ordering::SeqCst));
        now.iter().zip(failed).all(|(now, wanted)| *now >= wanted).then_some(())
    })
    .await;
    until("both to be asked all the same", || async {
        let mut answers = Vec::new();
        for _ in 0..4 {
            let (status, body) = world.get("x", "/").await;
            assert_eq!(status, 200, "{body}");
            answers.push(body.chars().next());
        }
        (answers.contains(&Some('a')) && answers.contains(&Some('b'))).then_some(())
    })
    .await;
}
