//! Pods' networks by the stock bridge plugin, in namespaces of their own: pods reach each other, the outside and, by host
//! ports, are reached; a restart disturbs nobody; whatever step a crash comes after, no address is given twice and
//! nothing stays behind; plans outside of the grants touch nothing. Needs root, `ip` and `nft`.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod local;
mod native;
mod nodes;
mod policies;
mod sockets;
mod world;

use std::io::Write;

use gantry_node::network::{Absent, Leavings, NetError, PodNetwork, clean};
use gantry_plugin::family::network::{Operation, Place};
use sockets::{connect, line, run, seen, serve};
use world::{NODE, OUTSIDE, World, attach, grants, ready, sandbox};

/// Fails when it is applied, and changes nothing.
fn fails() -> Operation {
    Operation::LinkUp((Place::Node, "gtr-none".into()))
}

#[tokio::test(flavor = "multi_thread")]
async fn pods_reach_each_other_and_the_outside() {
    let world = World::new().await;
    let network = world.start().await;
    network.status().await.unwrap();
    let (a, b) = (sandbox("a", &[]), sandbox("b", &[]));
    let (a, b) = tokio::join!(network.attach(&a), network.attach(&b));
    let (a, b) = (a.unwrap(), b.unwrap());
    assert_eq!(a.netns_path, Some(world.pod("a")));
    let (a, b) = (a.addresses[0].to_string(), b.addresses[0].to_string());
    assert_ne!(a, b);
    serve(&world.pod("a"), 80).await;
    serve(&world.outside, 80).await;
    assert_eq!(seen(&world.pod("b"), &a, 80).await, b);
    assert_eq!(seen(&world.pod("a"), &a, 80).await, a);
    assert_eq!(seen(&world.pod("a"), "127.0.0.1", 80).await, "127.0.0.1");
    assert_eq!(seen(&world.node, &a, 80).await, "10.64.1.1");
    assert_eq!(seen(&world.pod("b"), OUTSIDE, 80).await, NODE, "what leaves the cluster has the node's address");
    assert!(run(&world.pod("b"), "ip -br addr show dev eth0").await.contains(&format!("{b}/24")));
}

#[tokio::test(flavor = "multi_thread")]
async fn host_ports_lead_to_pods_from_everywhere() {
    let world = World::new().await;
    let network = world.start().await;
    attach(&network, "a", &[(8080, 80)]).await;
    attach(&network, "b", &[]).await;
    serve(&world.pod("a"), 80).await;
    assert_eq!(seen(&world.outside, NODE, 8080).await, OUTSIDE, "the client's address is kept");
    assert_eq!(seen(&world.node, NODE, 8080).await, NODE);
    // Else the answer would go straight over the bridge, and nobody would translate it back.
    assert_eq!(seen(&world.pod("b"), NODE, 8080).await, "10.64.1.1");
    assert_eq!(seen(&world.node, "127.0.0.1", 8080).await, "10.64.1.1");
    assert_eq!(seen(&world.pod("a"), NODE, 8080).await, "10.64.1.1", "a pod reaches itself");
    let error = network.attach(&sandbox("c", &[(8080, 90)])).await.unwrap_err();
    assert!(matches!(&error, NetError::Exhausted(text) if text.contains("8080")), "{error:?}");
    assert!(!world.pod("c").exists(), "nothing is left of a refused sandbox");
    network.detach("a").await.unwrap();
    assert!(connect(&world.outside, NODE, 8080).await.is_err());
    attach(&network, "c", &[(8080, 90)]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_repeated_attach_changes_nothing_and_mends_what_is_wrong() {
    let world = World::new().await;
    let network = world.start().await;
    let a = attach(&network, "a", &[(8080, 80)]).await;
    let before = world.traces().await;
    assert_eq!(attach(&network, "a", &[(8080, 80)]).await, a);
    assert_eq!(world.traces().await, before);
    run(&world.pod("a"), "ip link set eth0 down").await;
    run(&world.pod("a"), "ip addr flush dev eth0").await;
    assert_eq!(attach(&network, "a", &[(8080, 80)]).await, a);
    serve(&world.pod("a"), 80).await;
    assert_eq!(seen(&world.node, &a, 80).await, "10.64.1.1");
    run(&world.pod("a"), "ip link del eth0").await;
    assert_eq!(attach(&network, "a", &[(8080, 80)]).await, a);
    assert_eq!(seen(&world.node, &a, 80).await, "10.64.1.1");
}

#[tokio::test(flavor = "multi_thread")]
async fn detach_leaves_nothing() {
    let world = World::new().await;
    let network = world.start().await;
    let before = world.traces().await;
    attach(&network, "a", &[(8080, 80)]).await;
    attach(&network, "b", &[(8081, 80)]).await;
    assert_ne!(world.traces().await, before);
    let (a, b) = tokio::join!(network.detach("a"), network.detach("b"));
    a.and(b).unwrap();
    assert_eq!(world.traces().await, before);
    network.detach("a").await.unwrap();
    network.detach("never-seen").await.unwrap();
    let error = network.detach("../x").await.unwrap_err();
    assert!(matches!(error, NetError::Invalid(_)), "{error:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restart_disturbs_nobody_and_forgets_nothing() {
    let world = World::new().await;
    let network = world.start().await;
    let a = attach(&network, "a", &[(8080, 80)]).await;
    let b = attach(&network, "b", &[]).await;
    serve(&world.pod("a"), 80).await;
    let (mut open, _) = connect(&world.pod("b"), &a, 80).await.unwrap();
    let before = world.traces().await;
    drop(network);

    let network = world.start().await;
    network.status().await.unwrap();
    assert_eq!(world.traces().await, before);
    open.write_all(b"still here\n").unwrap();
    assert_eq!(line(&mut open).unwrap(), "still here");
    assert_eq!(attach(&network, "a", &[(8080, 80)]).await, a);
    let c = attach(&network, "c", &[]).await;
    assert!(c != a && c != b, "{c} is in use");
    assert!(matches!(network.attach(&sandbox("d", &[(8080, 1)])).await, Err(NetError::Exhausted(_))));
    network.gc(&["a".into(), "c".into()]).await.unwrap();
    assert!(!world.pod("b").exists());
    assert!(world.pod("a").exists());
    assert_eq!(seen(&world.outside, NODE, 8080).await, OUTSIDE);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_crash_after_the_record_and_before_the_plan_loses_nothing() {
    let world = World::new().await;
    let network = world.start().await;
    let before = world.traces().await;
    world.trouble.lock().unwrap().add = vec![fails()];
    let error = network.attach(&sandbox("a", &[(8080, 80)])).await.unwrap_err().to_string();
    assert!(error.contains("link-up gtr-none: there is no link gtr-none"), "{error}");
    drop(network);
    world.trouble.lock().unwrap().add.clear();

    let network = world.start().await;
    let b = attach(&network, "b", &[]).await;
    assert_eq!(b, "10.64.1.3", "the address of the half-made sandbox is not given again");
    assert_eq!(attach(&network, "a", &[(8080, 80)]).await, "10.64.1.2");
    network.gc(&[]).await.unwrap();
    assert_eq!(world.traces().await, before);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_detach_that_fails_is_finished_by_a_repeat_or_by_the_next_start() {
    let mut world = World::new().await;
    // Five addresses for pods.
    world.range = "10.64.1.0/29".into();
    let network = world.start().await;
    let before = world.traces().await;
    for (id, port) in [("a", 8080), ("b", 8081), ("c", 8082), ("d", 8083), ("e", 8084)] {
        attach(&network, id, &[(port, 80)]).await;
    }
    world.trouble.lock().unwrap().del = vec![fails()];
    network.detach("a").await.unwrap_err();
    network.detach("b").await.unwrap_err();
    let error = network.attach(&sandbox("f", &[])).await.unwrap_err();
    assert!(matches!(&error, NetError::Exhausted(text) if text.contains("still being freed")), "{error:?}");
    world.trouble.lock().unwrap().del.clear();
    drop(network);

    let network = world.start().await;
    assert!(!world.pod("a").exists() && !world.pod("b").exists());
    attach(&network, "f", &[(8080, 80)]).await;
    network.gc(&[]).await.unwrap();
    assert_eq!(world.traces().await, before);
}

#[tokio::test(flavor = "multi_thread")]
async fn plans_outside_of_the_grants_touch_nothing() {
    let world = World::new().await;
    let network = world.start().await;
    let before = world.traces().await;
    world.trouble.lock().unwrap().add = vec![Operation::DeleteLink("out0".into())];
    let error = network.attach(&sandbox("a", &[])).await.unwrap_err().to_string();
    assert_eq!(
        error,
        "plugin bridge: delete-link out0 is refused: link \"out0\" has no granted prefix (granted: gtr, gtx)"
    );
    assert_eq!(world.traces().await, before);
    world.trouble.lock().unwrap().add.clear();
    assert_eq!(attach(&network, "b", &[]).await, "10.64.1.3");

    let other = World::new().await;
    let network = other.start_with(grants(&[])).await;
    let error = network.status().await.unwrap_err().to_string();
    assert!(error.contains("does not grant it plans of family network"), "{error}");
    assert!(!other.traces().await.contains("gantry-bridge"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_trap_costs_the_plugin_its_memory_and_nobody_an_address() {
    let world = World::new().await;
    let network = world.start().await;
    let a = attach(&network, "a", &[(8080, 80)]).await;
    world.trouble.lock().unwrap().traps = 1;
    let b = attach(&network, "b", &[]).await;
    assert_ne!(a, b);
    assert_eq!(world.trouble.lock().unwrap().resets, 2);
    assert!(matches!(network.attach(&sandbox("c", &[(8080, 1)])).await, Err(NetError::Exhausted(_))));
    // One that comes back while everything is told anew needs a start of its own.
    world.trouble.lock().unwrap().traps = 2;
    let error = network.attach(&sandbox("d", &[])).await.unwrap_err();
    assert!(matches!(&error, NetError::Unavailable(text) if text.contains("network.add")), "{error:?}");
    ready(&network).await;
    let d = attach(&network, "d", &[]).await;
    assert!(d != a && d != b);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_start_that_fails_is_tried_again_and_said_meanwhile() {
    let world = World::new().await;
    world.trouble.lock().unwrap().node = vec![fails()];
    let network = world.start().await;
    let error = network.status().await.unwrap_err().to_string();
    assert!(error.contains("could not start") && error.contains("gtr-none"), "{error}");
    assert!(matches!(network.attach(&sandbox("a", &[])).await, Err(NetError::Unavailable(_))));
    world.trouble.lock().unwrap().node.clear();
    ready(&network).await;
    attach(&network, "a", &[]).await;

    assert!(matches!(Absent.status().await, Err(NetError::Unavailable(text)) if text.contains("no network plugin")));
}

#[tokio::test(flavor = "multi_thread")]
async fn clean_leaves_only_what_is_not_ours() {
    let world = World::new().await;
    let before = world.traces().await;
    run(&world.node, "nft add table ip other").await;
    let network = world.start().await;
    attach(&network, "a", &[(8080, 80)]).await;
    drop(network);
    let (links, tables) = (["gtr".to_owned()], ["gantry".to_owned()]);
    let leavings = Leavings {
        netns_dir: &world.pods(),
        data_dir: &world.data(),
        links: &links,
        tables: &tables,
        node_netns: Some(&world.node),
    };
    clean(&leavings).await.unwrap();
    clean(&leavings).await.unwrap();
    assert!(world.traces().await.contains("table ip other"));
    run(&world.node, "nft delete table ip other").await;
    assert_eq!(world.traces().await, before);
}
