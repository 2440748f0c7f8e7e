//! What nodes ask for, and who may.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use gantry_link::{ClientError, Delivery, Label, Origin, Record, Uplink, Verdict};
use gantry_model::Caller;
use http::Request;

use crate::world::{DIGEST, Things, World};

#[tokio::test]
async fn components_come_by_digest() {
    let world = World::start().await;
    let client = world.client("system:node:n1", "system:nodes");
    assert_eq!(client.bundle().await.unwrap().sinks, ["all"]);
    assert_eq!(client.component(DIGEST).await.unwrap(), vec![7; 300_000]);
    assert!(matches!(client.component("sha256:4567").await, Err(ClientError::Missing(_))));
}

#[tokio::test]
async fn records_reach_the_sink_whole_and_its_answer_comes_back() {
    let world = World::start().await;
    let client = world.client("system:node:n1", "system:nodes");
    let label = |key: &str, value: &str| Label { key: key.into(), value: value.into() };
    let record = Record { origin: 0, time_unix_nano: 5, severity: 9, body: "x".repeat(6 << 20), attributes: vec![] };
    let delivery = |sink: &str| Delivery {
        sink: sink.into(),
        origins: vec![Origin { attributes: vec![label("k8s.pod.name", "web"), label("k8s.node.name", "n1")] }],
        records: vec![record.clone()],
    };
    assert_eq!(client.deliver(delivery("all")).await.unwrap(), Verdict::Accepted);
    assert_eq!(*world.deliveries.lock().unwrap(), [delivery("all")]);
    assert_eq!(client.deliver(delivery("no")).await.unwrap(), Verdict::Rejected("it is full".into()));
    assert_eq!(client.deliver(delivery("slow")).await, Err(ClientError::Away("slow is busy".into())));
}

#[tokio::test]
async fn what_pods_ask_is_passed_on_by_their_own_node() {
    let world = World::start().await;
    let caller = |node: &str| Caller {
        address: "169.254.170.2:80".parse().unwrap(),
        namespace: "team".into(),
        name: "web".into(),
        uid: "u".into(),
        node: node.into(),
        usage: None,
    };
    let asked = || Request::get("/v4/x").body(Bytes::new()).unwrap();
    let client = world.client("system:node:n1", "system:nodes");
    assert_eq!(client.bundle().await.unwrap().local, ["169.254.170.2:80".parse().unwrap()]);
    let answer = client.ask(&caller("n1"), asked()).await.unwrap();
    assert_eq!((answer.status().as_u16(), answer.body()), (404, &Bytes::from("web asks for /v4/x")));
    assert_eq!(answer.headers()["x-said"], "no");
    // For a pod of another node, as somebody who is no node, and with a name that is a node's and without its group.
    for (user, group, node) in [
        ("system:node:n1", "system:nodes", "n2"),
        ("system:node:n1", "others", "n1"),
        ("eve", "gantry:viewers", "n1"),
        ("eve", "system:nodes", "n1"),
    ] {
        let refused = world.client(user, group).ask(&caller(node), asked()).await;
        assert!(matches!(refused, Err(ClientError::Refused(_))), "{user} {group} {node}: {refused:?}");
    }
}

#[tokio::test]
async fn a_second_agent_of_a_name_waits_until_the_first_is_gone() {
    let world = World::start().await;
    let (first, _) = world.agent("n1", "a");
    world.until_linked("n1").await;
    let (second, _) = world.agent("n1", "b");
    let mut links = second.links();
    assert!(tokio::time::timeout(Duration::from_millis(600), links.changed()).await.is_err(), "both are linked up");
    // The same agent on a new connection takes its own place.
    let (again, _) = world.agent("n1", "a");
    again.links().changed().await.unwrap();
    first.stop().await;
    again.stop().await;
    links.changed().await.unwrap();
    second.stop().await;
}

#[tokio::test]
async fn only_nodes_may_link_up_and_only_as_themselves() {
    let world = World::start().await;
    for (user, group) in [("system:node:n2", "system:nodes"), ("eve", "gantry:viewers"), ("bob", "others")] {
        let client = world.client(user, group);
        if group != "system:nodes" {
            assert!(matches!(client.bundle().await, Err(ClientError::Refused(_))), "{user}");
            assert!(matches!(client.component(DIGEST).await, Err(ClientError::Refused(_))), "{user}");
            assert!(matches!(client.deliver(Delivery::default()).await, Err(ClientError::Refused(_))), "{user}");
        }
        let options = gantry_link::Options {
            client,
            node: "n1".into(),
            agent: String::new(),
            streams: Arc::new(Things::default()),
        };
        let uplink = Uplink::start(options);
        tokio::time::sleep(Duration::from_millis(300)).await;
        assert!(world.hub.linked().is_empty(), "{user} is taken for n1");
        uplink.stop().await;
    }
    let (_uplink, _things) = world.node("n1").await;
    assert_eq!(world.hub.linked(), ["n1"]);
}
