//! Several nodes: pods reach pods and nodes everywhere, Services lead to any node from any node and from outside; a node
//! that is cut off goes on serving, one that dies is left out in time and taken back; another network takes the place of
//! the one that runs without a pod noticing; and nothing is left when all is gone.
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use std::fs::File;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use gantry_tests::case::text;
use gantry_tests::manifests::{deployment, pod, with};
use gantry_tests::suite::patience;
use gantry_tests::{Case, Fleet, Watch, fleet, left, netns, suite};
use nix::sched::{CloneFlags, setns};
use serde_json::{Value, json};

/// Silence after which a node counts as gone, in seconds.
const GRACE: u64 = 6;

#[test]
fn a_fleet_of_three() -> Result<()> {
    netns::enter()?;
    let mut fleet = Fleet::start(options("fleet")?, |_| ())?;
    let outcome = play(&mut fleet).with_context(|| fleet.logs());
    let data = fleet.kubeconfig();
    let stopped = fleet.stop();
    outcome.and(stopped)?;
    std::fs::remove_dir_all(data.parent().context("a folder")?)?;
    let left = netns::ip("-brief link")?;
    ensure!(!left.lines().any(|line| line.starts_with("fl")), "links are left: {left}");
    Ok(())
}

fn options(name: &str) -> Result<fleet::Options> {
    let gantry_tests::stack::Options { gantry, plugins, bundle, data, images, .. } = suite::options(name)?;
    Ok(fleet::Options {
        gantry,
        plugins,
        bundle,
        network: "network-routes".to_owned(),
        data,
        nodes: 3,
        zones: 2,
        images,
        server: vec!["--node-grace".into(), GRACE.to_string().into()],
        agent: vec!["--lease".into(), (GRACE - 2).to_string().into()],
    })
}

fn play(fleet: &mut Fleet) -> Result<()> {
    let before = traces(fleet)?;
    let case = fleet.case("spread")?;
    let zones = case.names("nodes -l topology.kubernetes.io/zone=zone-1")?;
    ensure!(zones == ["node-1", "node-3"], "{zones:?}");
    pods_reach_each_other(fleet, &case, "1500")?;
    services_lead_to_other_nodes(fleet, &case)?;
    cut_off_and_serving(fleet, &case)?;
    dead_and_alive(fleet, &case)?;
    another_network(fleet, &case)?;
    twice_is_once(fleet)?;
    case.line("delete deployment,service,pod --all --timeout=60s")?;
    for node in fleet.nodes() {
        case.until(&format!("{} to be as it was", node.name()), || {
            let now = trace(node)?;
            let (was, now) = (&before, without_tunnel(&now));
            ensure!(was.contains(&now), "it was one of {was:#?}\nand is\n{now}");
            Ok(())
        })?;
    }
    Ok(())
}

/// A pod on that node, which serves.
fn serving(name: &str, node: &str) -> Value {
    let pod = with(pod(name, "serve"), "/spec/nodeName", node);
    with(pod, "/metadata/labels/app", "spread")
}

/// One pod a node; each reaches every other, and every node reaches every pod.
fn pods_reach_each_other(fleet: &Fleet, case: &Case, mtu: &str) -> Result<()> {
    for node in fleet.nodes() {
        case.apply(&serving(&format!("on-{}", node.name()), node.name()))?;
    }
    case.line("wait pod -l app=spread --for=condition=Ready --timeout=60s")?;
    everybody_reaches_everybody(fleet, case)?;
    let links = case.until("the pod's link", || fleet.nodes()[0].within(&["ip", "link", "show", "type", "veth"]))?;
    ensure!(links.contains(&format!("mtu {mtu} ")), "{links}");
    Ok(())
}

fn everybody_reaches_everybody(fleet: &Fleet, case: &Case) -> Result<()> {
    for to in fleet.nodes() {
        let pod = format!("on-{}", to.name());
        let address = text(&case.get(&format!("pod {pod}"))?, "/status/podIP");
        for from in fleet.nodes() {
            let at: SocketAddr = format!("{address}:8080").parse()?;
            let answer = case.until(&format!("{pod} to answer {}", from.name()), || fetch(&from.place(), at))?;
            ensure!(answer.contains(&pod), "{answer}");
            let page = format!("exec on-{} -- /web get {at} /", from.name());
            let answer = case.until(&format!("{pod} to answer a pod of {}", from.name()), || case.line(&page))?;
            ensure!(answer.contains(&pod), "{answer}");
        }
    }
    Ok(())
}

/// By its virtual address from every node and from pods, by its port of every node from outside.
fn services_lead_to_other_nodes(fleet: &Fleet, case: &Case) -> Result<()> {
    case.line("expose pod on-node-2 --name far --port 80 --target-port 8080 --type NodePort --selector run=far")?;
    case.line("label pod on-node-2 run=far")?;
    let at = virtual_address(case, "far")?;
    let port = case.until("a node port", || {
        case.get("service far")?["spec"]["ports"][0]["nodePort"].as_u64().context("it has none")
    })?;
    for node in fleet.nodes() {
        let answer = case.until(&format!("the service to answer {}", node.name()), || fetch(&node.place(), at))?;
        ensure!(answer.contains("on-node-2"), "{answer}");
        let page = format!("exec on-{} -- /web get {at} /", node.name());
        let answer = case.until(&format!("the service to answer a pod of {}", node.name()), || case.line(&page))?;
        ensure!(answer.contains("on-node-2"), "{answer}");
        let outside: SocketAddr = format!("{}:{port}", node.address()).parse()?;
        let answer = case.until(&format!("the port of {} to answer", node.name()), || here(outside))?;
        ensure!(answer.contains("on-node-2"), "{answer}");
    }
    Ok(())
}

/// A node without its server goes on: who is there reaches who was there.
fn cut_off_and_serving(fleet: &Fleet, case: &Case) -> Result<()> {
    let at = virtual_address(case, "far")?;
    fleet.cut("node-3", false)?;
    fleet.until_ready("node-3", "Unknown", patience())?;
    // Nobody leads it anywhere new: an answer that is slow to come is still one of what was there.
    let answer = case.until("an answer to the node that is cut off", || fetch(&fleet.node("node-3")?.place(), at))?;
    ensure!(answer.contains("on-node-2"), "{answer}");
    let address = text(&case.get("pod on-node-3")?, "/status/podIP");
    let at: SocketAddr = format!("{address}:8080").parse()?;
    let answer = case.until("an answer of the node that is cut off", || fetch(&fleet.node("node-1")?.place(), at))?;
    ensure!(answer.contains("on-node-3"), "{answer}");
    fleet.heal("node-3")?;
    fleet.until_ready("node-3", "True", patience())
}

/// Pods of a node that died serve no more within ten seconds, and again once it is back.
fn dead_and_alive(fleet: &Fleet, case: &Case) -> Result<()> {
    case.apply(&deployment("web", 6))?;
    case.line("rollout status deployment/web --timeout=120s")?;
    case.line("expose deployment web --port 80 --target-port 8080")?;
    let at = virtual_address(case, "web")?;
    let on_node = |pod: &&Value| text(pod, "/spec/nodeName") == "node-2";
    let count = case.list("pods -l app=web")?.iter().filter(on_node).count();
    ensure!(count > 0, "the scheduler left node-2 out");
    case.until("an answer", || fetch(&fleet.node("node-1")?.place(), at))?;
    // Told of as they change: a look from time to time would count its own time too.
    let slices = Watch::start(&case.kubectl, READY)?;
    let ready = |line: &str| line.split(' ').filter(|ready| *ready == "true").count();
    slices.until("all of them", |line| ready(line) == 6)?;
    fleet.kill("node-2")?;
    let killed = Instant::now();
    let gone = slices.until("its endpoints to go", |line| ready(line) == 6 - count)?.saturating_duration_since(killed);
    println!("endpoints of a dead node went {:.1} s after its death, at a grace of {GRACE} s", gone.as_secs_f32());
    ensure!(gone < Duration::from_secs(10), "only after {gone:?}");
    case.until("every connection to be answered", || {
        for _ in 0..30 {
            fetch(&fleet.node("node-1")?.place(), at)?;
        }
        Ok(())
    })?;
    fleet.revive("node-2")?;
    fleet.until_ready("node-2", "True", patience())?;
    case.line("rollout status deployment/web --timeout=120s")?;
    // Its pod of no controller ended with it.
    case.line("delete pod on-node-2 --timeout=60s --ignore-not-found")?;
    case.apply(&serving("on-node-2", "node-2"))?;
    case.line("wait pod -l app=spread --for=condition=Ready --timeout=60s").map(drop)
}

/// A second agent used to be started beside one that runs, which ended at once, and nothing said so.
fn twice_is_once(fleet: &Fleet) -> Result<()> {
    let data = fleet.kubeconfig().parent().context("a folder")?.to_owned();
    let note = data.join("node-1.pid");
    let before = std::fs::read_to_string(&note)?;
    let refused = fleet.revive("node-1").err().context("a node was started twice")?;
    ensure!(format!("{refused:#}").contains("node-1 runs already"), "{refused:#}");
    ensure!(std::fs::read_to_string(&note)? == before, "it was noted as another process");
    // Also beside one that nobody has written down.
    std::fs::remove_file(&note)?;
    let refused = fleet.revive("node-1");
    std::fs::write(&note, before)?;
    let refused = refused.err().context("a second agent runs")?;
    ensure!(format!("{refused:#}").contains("node-1 runs already"), "{refused:#}");
    let left = left::nothing(&data, &[]).err().context("nothing runs")?;
    ensure!(format!("{left:#}").contains("(gantry)"), "{left:#}");
    Ok(())
}

/// Tunnels in the place of routes, by another bundle: no pod is made anew.
fn another_network(fleet: &mut Fleet, case: &Case) -> Result<()> {
    let pods = || -> Result<Vec<(String, u64)>> {
        let pods = case.list("pods")?;
        let restarts = |pod: &Value| pod["status"]["containerStatuses"][0]["restartCount"].as_u64().unwrap_or_default();
        Ok(pods.iter().map(|pod| (text(pod, "/metadata/uid"), restarts(pod))).collect())
    };
    let before = pods()?;
    fleet.set_network("network-vxlan")?;
    for node in fleet.nodes() {
        case.until(&format!("a tunnel on {}", node.name()), || {
            let routes = node.within(&["ip", "route"])?;
            ensure!(routes.matches("dev gtx0").count() == 2, "{routes}");
            Ok(())
        })?;
        fleet.until_ready(node.name(), "True", patience())?;
    }
    everybody_reaches_everybody(fleet, case)?;
    let links = fleet.nodes()[0].within(&["ip", "link", "show", "type", "veth"])?;
    ensure!(links.contains("mtu 1450 "), "{links}");
    ensure!(pods()? == before, "pods were made anew");
    Ok(())
}

/// The Service's endpoints as they change: of each whether it is ready.
const READY: &[&str] = &[
    "endpointslices",
    "-l",
    "kubernetes.io/service-name=web",
    "-o",
    "jsonpath={.endpoints[*].conditions.ready}{\"\\n\"}",
];

/// It is given some time after the Service was made.
fn virtual_address(case: &Case, service: &str) -> Result<SocketAddr> {
    case.until(&format!("an address of {service}"), || {
        Ok(format!("{}:80", text(&case.get(&format!("service {service}"))?, "/spec/clusterIP")).parse()?)
    })
}

/// A page, asked for in a network namespace.
fn fetch(place: &Path, to: SocketAddr) -> Result<String> {
    let place = File::open(place)?;
    let asked = std::thread::spawn(move || {
        setns(place, CloneFlags::CLONE_NEWNET)?;
        here(to)
    });
    asked.join().unwrap()
}

/// A page, asked for in this thread's.
fn here(to: SocketAddr) -> Result<String> {
    let mut stream =
        TcpStream::connect_timeout(&to, Duration::from_secs(2)).with_context(|| format!("connect to {to}"))?;
    stream.set_read_timeout(Some(Duration::from_secs(5)))?;
    stream.write_all(b"GET / HTTP/1.1\r\nHost: fleet\r\n\r\n")?;
    stream.shutdown(std::net::Shutdown::Write)?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    Ok(answer)
}

/// What pods and services leave on each node.
fn traces(fleet: &Fleet) -> Result<Vec<String>> {
    fleet.nodes().iter().map(trace).collect()
}

fn trace(node: &fleet::Node) -> Result<String> {
    let links: Value = serde_json::from_str(&node.within(&["ip", "-json", "link"])?)?;
    let links: Vec<String> = links.as_array().into_iter().flatten().map(|link| text(link, "/ifname")).collect();
    let rules: Value = serde_json::from_str(&node.within(&["nft", "-j", "list", "ruleset"])?)?;
    // Handles count up, and the node's own addresses differ: what must be equal is how much there is of what.
    let elements = |object: &Value| object.get("elem").and_then(Value::as_array).map_or(0, Vec::len);
    let mut kinds: Vec<String> = Vec::new();
    for object in rules["nftables"].as_array().into_iter().flatten().filter_map(Value::as_object) {
        for (kind, object) in object.iter().filter(|(kind, _)| *kind != "metainfo") {
            let name = text(object, "/name");
            kinds.push(format!("{kind} {} {name} {}", text(object, "/table"), elements(object)));
        }
    }
    kinds.sort();
    let sandboxes = node.ctr(&["containers", "list", "--quiet"])?;
    Ok(format!("{}\n{}\n{}", json!(links), kinds.join("\n"), sandboxes.trim()))
}

/// The network is another one by then.
fn without_tunnel(trace: &str) -> String {
    trace.replace(",\"gtx0\"", "")
}
