//! A fleet with the default leases, under traffic: agents that start anew cut no connection, clients stay in their zone where
//! they are to, and a node that dies is left out in time.
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use gantry_tests::case::{number, text};
use gantry_tests::manifests::{pod, with};
use gantry_tests::traffic::{Asker, Stream, who, within};
use gantry_tests::{Case, Fleet, fleet, netns, suite, wait_for};
use serde_json::{Value, json};

#[test]
fn a_fleet_under_traffic() -> Result<()> {
    netns::enter()?;
    let fleet = Fleet::start(options()?, |_| ())?;
    let outcome = play(&fleet).with_context(|| fleet.logs());
    let data = fleet.kubeconfig();
    let stopped = fleet.stop();
    outcome.and(stopped)?;
    std::fs::remove_dir_all(data.parent().context("a folder")?)?;
    Ok(())
}

fn options() -> Result<fleet::Options> {
    let gantry_tests::stack::Options { gantry, plugins, bundle, data, images, .. } = suite::options("traffic")?;
    Ok(fleet::Options {
        gantry,
        plugins,
        bundle,
        network: "network-routes".to_owned(),
        data,
        nodes: 2,
        zones: 2,
        images,
        server: Vec::new(),
        agent: Vec::new(),
    })
}

fn play(fleet: &Fleet) -> Result<()> {
    let case = fleet.case("traffic")?;
    for node in fleet.nodes() {
        let pod = with(pod(&format!("on-{}", node.name()), "serve"), "/spec/nodeName", node.name());
        case.apply(&with(pod, "/metadata/labels/app", "web"))?;
    }
    case.line("wait pod -l app=web --for=condition=Ready --timeout=60s")?;
    clients_stay_in_their_zone(fleet, &case)?;
    agents_start_anew(fleet, &case)?;
    datagrams_after_a_start(fleet, &case)?;
    a_node_dies(fleet, &case)
}

fn service(name: &str, annotations: Value, more: Value) -> Value {
    let mut service = json!({
        "apiVersion": "v1", "kind": "Service", "metadata": {"name": name, "annotations": annotations},
        "spec": {"selector": {"app": "web"}, "ports": [{"port": 80, "targetPort": 8080}]},
    });
    let spec = service["spec"].as_object_mut().unwrap();
    spec.extend(more.as_object().cloned().unwrap_or_default());
    service
}

fn address(case: &Case, service: &str, port: u16) -> Result<SocketAddr> {
    let found = text(&case.get(&format!("service {service}"))?, "/spec/clusterIP");
    Ok(SocketAddr::new(found.parse()?, port))
}

/// Everybody who answers a node, of some connections.
fn answering(fleet: &Fleet, node: &str, at: SocketAddr) -> Result<Vec<String>> {
    let mut all = within(&fleet.node(node)?.place(), || (0..20).map(|_| who(at)).collect::<Result<Vec<_>>>())?;
    all.sort();
    all.dedup();
    Ok(all)
}

fn clients_stay_in_their_zone(fleet: &Fleet, case: &Case) -> Result<()> {
    case.apply(&service("auto", json!({"service.kubernetes.io/topology-mode": "Auto"}), json!({})))?;
    case.apply(&service("close", json!({}), json!({"trafficDistribution": "PreferClose"})))?;
    case.apply(&service("any", json!({}), json!({})))?;
    for name in ["auto", "close"] {
        let at = case.until("an address", || address(case, name, 80))?;
        case.until(&format!("hints of {name}"), || {
            let slices = case.list(&format!("endpointslices -l kubernetes.io/service-name={name}"))?;
            let endpoints = slices.first().and_then(|s| s["endpoints"].as_array()).context("no endpoints")?;
            let own =
                endpoints.iter().all(|e| e.pointer("/hints/forZones/0/name") == e.get("zone") && e["zone"].is_string());
            ensure!(endpoints.len() == 2 && own, "{endpoints:?}");
            Ok(())
        })?;
        for node in ["node-1", "node-2"] {
            case.until(&format!("{node} to use its own zone for {name}"), || {
                let found = answering(fleet, node, at)?;
                ensure!(found == [format!("on-{node}")], "{found:?}");
                Ok(())
            })?;
        }
    }
    let at = case.until("an address", || address(case, "any", 80))?;
    case.until("both to answer where nothing is said", || {
        let found = answering(fleet, "node-1", at)?;
        ensure!(found.len() == 2, "{found:?}");
        Ok(())
    })?;
    // A zone without endpoints uses the others'.
    case.line("label pod on-node-1 app=none --overwrite")?;
    for name in ["auto", "close"] {
        let at = address(case, name, 80)?;
        case.until(&format!("another zone's endpoint of {name}"), || {
            let found = answering(fleet, "node-1", at)?;
            ensure!(found == ["on-node-2"], "{found:?}");
            Ok(())
        })?;
    }
    case.line("label pod on-node-1 app=web --overwrite").map(drop)
}

/// In order, and as by a crash, on the client's node and on the backend's.
fn agents_start_anew(fleet: &Fleet, case: &Case) -> Result<()> {
    let more = json!({"type": "NodePort", "selector": {"on": "node-2"}});
    case.apply(&service("far", json!({}), more))?;
    case.line("label pod on-node-2 on=node-2")?;
    let at = case.until("an address", || address(case, "far", 80))?;
    let port = case.until("a node port", || {
        let port = number(&case.get("service far")?, "/spec/ports/0/nodePort");
        ensure!(port != 0, "it has none");
        Ok(u16::try_from(port)?)
    })?;
    let door: SocketAddr = format!("{}:{port}", fleet.node("node-1")?.address()).parse()?;
    let place = fleet.node("node-1")?.place();
    case.until("an answer by the address", || within(&place, || who(at)))?;
    case.until("an answer by the port", || who(door))?;
    let streams = [within(&place, || Stream::open(at))?, Stream::open(door)?];
    for name in ["node-1", "node-2"] {
        for crash in [false, true] {
            let node = fleet.node(name)?;
            if crash {
                node.crash()?
            } else {
                node.stop()?
            }
            // New ones are led too while it is away.
            let (inside, outside) =
                (case.until("an answer", || within(&place, || who(at)))?, case.until("an answer", || who(door))?);
            ensure!(inside == "on-node-2" && outside == "on-node-2", "{inside}, {outside}");
            fleet.revive(name)?;
            let before = streams.each_ref().map(Stream::count);
            case.until("more on both connections", || {
                let now = streams.each_ref().map(Stream::count);
                ensure!(
                    streams.iter().all(Stream::is_open),
                    "a connection broke when the agent of {name} started anew"
                );
                ensure!(now.iter().zip(before).all(|(now, before)| *now > before + 20), "{before:?}, then {now:?}");
                Ok(())
            })?;
        }
    }
    for stream in streams {
        println!("{} messages came back over four starts of agents", stream.close()?);
    }
    Ok(())
}

/// A backend that went while the client's agent was away.
fn datagrams_after_a_start(fleet: &Fleet, case: &Case) -> Result<()> {
    let echoes = |name: &str| {
        let pod = with(pod(name, "echo-udp 5353"), "/spec/nodeName", "node-2");
        case.apply(&with(pod, "/metadata/labels/app", "udp"))?;
        case.line(&format!("wait pod/{name} --for=condition=Ready --timeout=60s"))
    };
    echoes("udp-1")?;
    let ports = json!([{"port": 53, "protocol": "UDP", "targetPort": 5353}]);
    case.apply(&service("udp", json!({}), json!({"selector": {"app": "udp"}, "ports": ports})))?;
    let at = case.until("an address", || address(case, "udp", 53))?;
    let node = fleet.node("node-1")?;
    let asker = within(&node.place(), || Asker::to(at))?;
    case.until("an answer", || asker.ask())?;
    node.crash()?;
    echoes("udp-2")?;
    case.line("delete pod udp-1 --now --timeout=30s")?;
    ensure!(asker.ask().is_err(), "somebody answers whom nothing leads to");
    fleet.revive("node-1")?;
    case.until("the other one to answer", || {
        let now = asker.ask()?;
        ensure!(now == "udp-2", "{now} answers");
        Ok(())
    })
}

/// Without any option that makes it faster.
fn a_node_dies(fleet: &Fleet, case: &Case) -> Result<()> {
    let at = address(case, "any", 80)?;
    case.until("both to answer", || {
        let found = answering(fleet, "node-1", at)?;
        ensure!(found.len() == 2, "{found:?}");
        Ok(())
    })?;
    fleet.kill("node-2")?;
    let killed = Instant::now();
    wait_for("only the living one to be led to", Duration::from_secs(60), || {
        let found = answering(fleet, "node-1", at)?;
        ensure!(found == ["on-node-1"], "{found:?}");
        Ok(())
    })?;
    let gone = killed.elapsed();
    println!("a dead node left its Frontends {:.1} s after its death, by default", gone.as_secs_f32());
    ensure!(gone < Duration::from_secs(45), "only after {gone:?}");
    fleet.revive("node-2")
}
