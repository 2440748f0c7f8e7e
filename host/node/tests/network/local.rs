//! What pods ask at a link-local address of their node: from their own networks, through the bridge.

use std::collections::HashMap;
use std::io::{self, Read, Write};
use std::net::{IpAddr, SocketAddr, TcpStream};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use bytes::Bytes;
use gantry_model::Caller;
use gantry_model::caller::Usage;
use gantry_node::cluster::PodRef;
use gantry_node::local::{Answers, Away, Local, Options, Pods, link, remove_link};
use gantry_node::network::PodNetwork;
use gantry_node::network::netns::within;
use http::{Request, Response};

use crate::sockets::run;
use crate::world::{World, attach};

const AT: &str = "169.254.170.2:80";
const PATIENCE: Duration = Duration::from_secs(20);

struct Records(HashMap<IpAddr, &'static str>);

#[async_trait]
impl Pods for Records {
    fn at(&self, address: IpAddr) -> Option<PodRef> {
        let name = *self.0.get(&address)?;
        Some(PodRef { namespace: "default".into(), name: name.into(), uid: name.into() })
    }

    async fn usage(&self, _: &PodRef) -> Option<Usage> {
        None
    }
}

struct Names;

#[async_trait]
impl Answers for Names {
    async fn answer(&self, caller: &Caller, request: Request<Bytes>) -> Result<Response<Bytes>, Away> {
        Ok(Response::new(format!("{} on {} asks for {}", caller.name, caller.node, request.uri()).into()))
    }
}

/// The answer to a request that is sent from a namespace, as soon as somebody listens.
async fn ask(place: &Path, path: &'static str) -> String {
    let at: SocketAddr = AT.parse().unwrap();
    let begun = Instant::now();
    loop {
        let asked = within(Some(place), move || {
            let mut stream = TcpStream::connect_timeout(&at, Duration::from_secs(5))?;
            stream.set_read_timeout(Some(PATIENCE))?;
            write!(stream, "GET {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n")?;
            let mut answer = String::new();
            stream.read_to_string(&mut answer)?;
            Ok::<_, io::Error>(answer)
        });
        match asked.await {
            Ok(answer) => return answer,
            Err(error) => assert!(begun.elapsed() < PATIENCE, "{error}"),
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn pods_are_told_apart_and_the_node_is_none() {
    let world = World::new().await;
    let network = world.start().await;
    let mut records = HashMap::new();
    for name in ["a", "b"] {
        records.insert(attach(&network, name, &[]).await.parse().unwrap(), name);
    }
    let before = world.traces().await;
    let at = AT.parse().unwrap();
    let local = Local::start(Options {
        node: "n1".into(),
        addresses: vec![at],
        pods: Arc::new(Records(records)),
        answers: Arc::new(Names),
        node_netns: Some(world.node.clone()),
    });
    for name in ["a", "b"] {
        let answer = ask(&world.pod(name), "/v4/x").await;
        assert!(answer.ends_with(&format!("\r\n\r\n{name} on n1 asks for /v4/x")), "{answer}");
    }
    let answer = ask(&world.node, "/").await;
    assert!(answer.starts_with("HTTP/1.1 403") && answer.contains("hostNetwork"), "{answer}");
    let name = link(*at.ip());
    assert!(run(&world.node, "ip -br -4 addr").await.contains(&name));
    // It outlives its listener, as an agent that comes back finds it.
    drop(local);
    assert!(run(&world.node, "ip -br link").await.contains(&name));
    for _ in 0..2 {
        remove_link(&name, Some(&world.node)).await.unwrap();
    }
    assert_eq!(world.traces().await, before, "nothing is left");
    network.detach("a").await.unwrap();
}
