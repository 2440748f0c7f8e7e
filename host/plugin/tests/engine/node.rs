//! What runs on nodes: networks and sinks, plans and directories.

use gantry_plugin::family::network::{Attachment, Lease, NodeInfo};
use gantry_plugin::family::sink::{Batch, LogRecord, Origin, Outcome};
use gantry_plugin::{Finding, Loaded};

use crate::support::Bench;

const DIRECTORY: &str = "[plugin.wasi.directories]\nrecords = \"{data}/records\"";

async fn node(grants: &str) -> (Bench, Loaded) {
    let mut bench = Bench::new();
    bench.fixture("fixture-node", grants);
    let loaded = bench.only().await;
    (bench, loaded)
}

fn info() -> NodeInfo {
    NodeInfo {
        name: "n".into(),
        pod_ranges: vec!["10.0.0.0/24".into()],
        cluster_ranges: vec![],
        addresses: vec![],
        mtu: 0,
    }
}

fn sandbox(pod: &str) -> Attachment {
    Attachment { sandbox: format!("s-{pod}"), namespace: "d".into(), pod: pod.into(), uid: pod.into(), ports: vec![] }
}

fn batch(body: &str) -> Batch {
    let record =
        LogRecord { origin: 0, time_unix_nano: 1, severity_number: 0, body: body.into(), attributes: Vec::new() };
    Batch { origins: vec![Origin { attributes: Vec::new() }], records: vec![record] }
}

#[tokio::test]
async fn a_network_gets_its_leases_back() {
    let (_bench, loaded) = node(&format!("grants = \"asked\"\n{DIRECTORY}")).await;
    let mut network = loaded.network().unwrap();
    let lease = Lease { address: "10.0.0.2".into(), sandbox: "s-old".into() };
    network.reset(info(), vec![lease]).await.unwrap().unwrap();
    assert_eq!(network.node().await.unwrap().unwrap().len(), 1);
    let added = network.add(vec![sandbox("a"), sandbox("b")]).await.unwrap();
    let address = |n: usize| added[n].as_ref().unwrap().addresses[0].as_str();
    assert_eq!((address(0), address(1)), ("10.0.0.3", "10.0.0.4"), "after the lease that was restored");
    assert_eq!(network.gc(vec!["s-a".into()]).await.unwrap().unwrap().released, ["10.0.0.2", "10.0.0.4"]);
    assert_eq!(network.del(vec![sandbox("a")]).await.unwrap().len(), 1);
    network.status().await.unwrap().unwrap();
    let fault = network.add(vec![sandbox("lie")]).await.unwrap_err();
    assert!(matches!(&fault.finding, Finding::Nonsense(what) if what == "0 attachments instead of 1"), "{fault}");
    network.reset(NodeInfo { pod_ranges: vec![], ..info() }, vec![]).await.unwrap().unwrap_err();
}

#[tokio::test]
async fn plans_need_a_grant() {
    let (_bench, loaded) = node("").await;
    let mut network = loaded.network().unwrap();
    network.reset(info(), vec![]).await.unwrap().unwrap();
    let fault = network.node().await.unwrap_err();
    assert!(matches!(&fault.finding, Finding::Nonsense(what) if what.contains("does not grant plans")), "{fault}");
}

#[tokio::test]
async fn a_sink_writes_to_its_directory_and_nowhere_else() {
    let (bench, loaded) = node(&format!("grants = \"asked\"\n{DIRECTORY}")).await;
    let mut sink = loaded.sink().unwrap();
    sink.reset().await.unwrap().unwrap();
    let outcome = sink.write(&batch("hello")).await.unwrap();
    assert!(matches!(outcome, Outcome::Accepted), "{outcome:?}");
    let data = bench.dir.path().join("data");
    assert_eq!(std::fs::read_to_string(data.join("records/out")).unwrap(), "hello\n");
    assert!(!data.join("outside").exists());
}

#[tokio::test]
async fn without_a_grant_there_is_no_directory() {
    let (bench, loaded) = node("").await;
    let mut sink = loaded.sink().unwrap();
    sink.reset().await.unwrap().unwrap();
    let outcome = sink.write(&batch("hello")).await.unwrap();
    assert!(matches!(outcome, Outcome::Rejected(_)), "{outcome:?}");
    assert!(!bench.dir.path().join("data/records").exists());
}

#[tokio::test]
async fn sockets_where_they_are_granted() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mut bench = Bench::new();
    bench.fixture("fixture-sockets", "grants = \"asked\"");
    let mut sink = bench.only().await.sink().unwrap();
    sink.reset().await.unwrap().unwrap();
    let address = listener.local_addr().unwrap().to_string();
    // The kernel takes the connection before anyone accepts it.
    let outcome = sink.write(&batch(&address)).await.unwrap();
    assert!(matches!(outcome, Outcome::Accepted), "{outcome:?}");
    listener.accept().await.unwrap();
}
