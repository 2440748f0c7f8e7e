//! Services in real packets: a virtual address from a pod, from the node and from outside, balance, readiness, node ports,
//! what a crash of the host changes (nothing), and what deletion leaves (nothing).
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use std::collections::{BTreeMap, BTreeSet};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use gantry_tests::case::{at, number, text};
use gantry_tests::manifests::{deployment, pod, with};
use gantry_tests::{Case, Outside, Suite, Watch, netns, scenarios};
use serde_json::{Value, json};

#[test]
fn services() -> Result<()> {
    Suite::start("services")?.run(scenarios![
        a_deployment_is_exposed,
        connections_spread_evenly,
        a_pod_reaches_itself,
        clients_stay_with_their_backend,
        nobody_serving_is_refused_at_once,
        deletion_leaves_nothing,
        datagrams_find_another_backend,
        endpoints_by_hand,
        what_cannot_be_is_refused,
        a_replacement_keeps_what_was_given,
        kubectl_makes_every_type,
    ])
}

/// Fetches a page over a connection of its own.
fn fetch(to: SocketAddr) -> Result<String> {
    let mut stream = TcpStream::connect_timeout(&to, Duration::from_secs(2))?;
    stream.set_read_timeout(Some(Duration::from_secs(5)))?;
    stream.write_all(b"GET / HTTP/1.1\r\nHost: service\r\n\r\n")?;
    stream.shutdown(std::net::Shutdown::Write)?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    let line = answer.lines().find(|line| line.starts_with("hello from")).context("no hello in the answer")?;
    Ok(line.trim().to_owned())
}

/// A Deployment that is ready.
fn serve(case: &Case, name: &str, replicas: u32) -> Result<()> {
    case.apply(&deployment(name, replicas))?;
    case.line(&format!("rollout status deployment/{name} --timeout=120s")).map(drop)
}

/// A pod to ask from.
fn client(case: &Case) -> Result<()> {
    case.apply(&pod("client", "sleep 3600"))?;
    case.until_is("pod client", "/status/phase", "Running").map(drop)
}

/// Exposes a Deployment on port 80; gives the virtual address.
fn expose(case: &Case, name: &str, more: &str) -> Result<SocketAddr> {
    case.line(&format!("expose deployment {name} --port 80 --target-port 8080 {more}"))?;
    address(case, name)
}

fn address(case: &Case, service: &str) -> Result<SocketAddr> {
    case.until(&format!("an address of {service}"), || {
        let found = text(&case.get(&format!("service {service}"))?, "/spec/clusterIP");
        Ok(format!("{found}:80").parse()?)
    })
}

fn node_port(case: &Case, service: &str) -> Result<u16> {
    case.until(&format!("a node port of {service}"), || {
        let port = number(&case.get(&format!("service {service}"))?, "/spec/ports/0/nodePort");
        ensure!(port != 0, "it has none");
        Ok(u16::try_from(port)?)
    })
}

fn service(name: &str, spec: Value) -> Value {
    json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": name}, "spec": spec})
}

fn a_deployment_is_exposed(case: &Case) -> Result<()> {
    serve(case, "web", 3)?;
    client(case)?;
    let at = expose(case, "web", "")?;
    let from_node = case.until("an answer to the node", || fetch(at))?;
    ensure!(from_node.contains("hello from web-"), "{from_node}");
    let from_pod = case.line(&format!("exec client -- /web get {at} /"))?;
    ensure!(from_pod.contains("hello from web-"), "{from_pod}");
    let shown = case.line("get service web --no-headers")?;
    ensure!(shown.contains("ClusterIP") && shown.contains("80/TCP") && shown.contains("<none>"), "{shown}");
    case.until("all three endpoints", || {
        let slices = case.list("endpointslices -l kubernetes.io/service-name=web")?;
        ensure!(slices.len() == 1 && slices[0]["endpoints"].as_array().is_some_and(|e| e.len() == 3), "{slices:?}");
        let endpoints = case.get("endpoints web")?;
        ensure!(endpoints["subsets"][0]["addresses"].as_array().is_some_and(|a| a.len() == 3), "{endpoints}");
        Ok(())
    })?;
    let described = case.line("describe service web")?;
    ensure!(described.contains(":8080,"), "{described}");
    // The name stays as the pods change.
    case.line("scale deployment web --replicas=1")?;
    case.until("two endpoints less", || {
        let slices = case.list("endpointslices -l kubernetes.io/service-name=web")?;
        let count: usize = slices.iter().filter_map(|s| s["endpoints"].as_array()).map(Vec::len).sum();
        ensure!(count == 1, "{count} endpoints");
        Ok(())
    })?;
    case.until("an answer of the one that is left", || fetch(at)).map(drop)
}

fn connections_spread_evenly(case: &Case) -> Result<()> {
    serve(case, "even", 3)?;
    client(case)?;
    let at = expose(case, "even", "")?;
    case.until("an answer", || fetch(at))?;
    // Every one is in place before it is counted.
    case.until("all three to answer", || {
        let tally = tally(case, 60, at)?;
        ensure!(tally.len() == 3, "{tally:?}");
        Ok(())
    })?;
    let tally = tally(case, 3_000, at)?;
    println!("3,000 connections over 3 pods: {tally:?}");
    ensure!(tally.values().sum::<u32>() == 3_000, "{tally:?}");
    ensure!(tally.values().all(|count| (900..=1_100).contains(count)), "{tally:?}");
    Ok(())
}

/// Who answered a pod how often, over that many connections.
fn tally(case: &Case, count: u32, at: SocketAddr) -> Result<BTreeMap<String, u32>> {
    let said = case.line(&format!("exec client -- /web tally {count} {at} /"))?;
    let line = |line: &str| {
        let (count, who) = line.trim().split_once(' ')?;
        Some((who.to_owned(), count.parse().ok()?))
    };
    said.lines().map(|l| line(l).with_context(|| format!("{l:?} is no count"))).collect()
}

/// Not beside other scenarios, whose work would be measured too; the best of some tries, since others use the machine.
fn an_unready_pod_gets_no_new_connection(case: &Case) -> Result<()> {
    serve(case, "moody", 3)?;
    let at = expose(case, "moody", "")?;
    let name = text(&case.list("pods -l app=moody")?[0], "/metadata/name");
    let conditions = ["pod", &name, "-o", "jsonpath={.status.conditions[?(@.type==\"Ready\")].status}{\"\\n\"}"];
    let seen = Watch::start(&case.kubectl, &conditions)?;
    let mut after = Vec::new();
    for _ in 0..3 {
        case.until("all three to answer", || {
            ensure!((0..60).map(|_| fetch(at)).collect::<Result<BTreeSet<_>>>()?.len() == 3, "not yet");
            Ok(())
        })?;
        turn(case, &name, "/ready/no")?;
        let unready = seen.until("the pod to be unready", |line| line == "False")?;
        after.push(last_answer_of(case, &name, at)?.saturating_duration_since(unready));
        turn(case, &name, "/ready/yes")?;
        seen.until("the pod to be ready", |line| line == "True")?;
    }
    println!("out of rotation {after:?} after it was seen to be unready");
    after.sort_unstable();
    let median = after.get(1).copied().unwrap_or(Duration::MAX);
    ensure!(median < Duration::from_secs(1), "{name} got connections for {median:?} after it was seen to be unready");
    Ok(())
}

/// When a pod last answered, once it answers no more. With three pods, 60 connections miss one by chance once in 10^10
/// times.
fn last_answer_of(case: &Case, name: &str, at: SocketAddr) -> Result<Instant> {
    let mut last = Instant::now();
    case.until(&format!("connections without {name}"), || {
        for _ in 0..60 {
            if fetch(at)?.contains(name) {
                last = Instant::now();
                bail!("{name} still answers");
            }
        }
        Ok(())
    })?;
    Ok(last)
}

/// Turns what a server of the test image says of itself.
fn turn(case: &Case, name: &str, path: &str) -> Result<()> {
    let ip = text(&case.get(&format!("pod {name}"))?, "/status/podIP");
    let mut stream = TcpStream::connect((ip.as_str(), 8080))?;
    write!(stream, "POST {path} HTTP/1.1\r\nHost: pod\r\nContent-Length: 0\r\n\r\n")?;
    stream.shutdown(std::net::Shutdown::Write)?;
    stream.read_to_string(&mut String::new())?;
    Ok(())
}

fn a_pod_reaches_itself(case: &Case) -> Result<()> {
    serve(case, "alone", 1)?;
    let at = expose(case, "alone", "")?;
    case.until("an answer", || fetch(at))?;
    let said = case.line(&format!("exec deployment/alone -- /web get {at} /"))?;
    ensure!(said.contains("hello from alone-"), "{said}");
    Ok(())
}

fn clients_stay_with_their_backend(case: &Case) -> Result<()> {
    serve(case, "sticky", 3)?;
    client(case)?;
    let at = expose(case, "sticky", "--session-affinity=ClientIP")?;
    case.until("an answer", || fetch(at))?;
    case.until("one that always answers", || {
        let tally = tally(case, 50, at)?;
        ensure!(tally.len() == 1, "{tally:?}");
        Ok(())
    })?;
    let service = case.get("service sticky")?;
    ensure!(number(&service, "/spec/sessionAffinityConfig/clientIP/timeoutSeconds") == 10_800, "{service}");
    Ok(())
}

fn nobody_serving_is_refused_at_once(case: &Case) -> Result<()> {
    serve(case, "gone", 1)?;
    client(case)?;
    let at = expose(case, "gone", "")?;
    case.until("an answer", || fetch(at))?;
    case.line("scale deployment gone --replicas=0")?;
    case.until("connections of the node to be refused", || refused(at))?;
    // Refused, which a client is told at once, and not left without an answer until it gives up.
    let said = case.fail(&format!("exec client -- /web get {at} /"))?;
    ensure!(said.contains("refused"), "{said}");
    // So is a port that the Service does not have.
    refused(SocketAddr::new(at.ip(), 81))?;
    case.line("scale deployment gone --replicas=1")?;
    case.until("an answer again", || fetch(at)).map(drop)
}

fn refused(at: SocketAddr) -> Result<()> {
    match TcpStream::connect_timeout(&at, Duration::from_secs(2)) {
        Err(error) if error.kind() == std::io::ErrorKind::ConnectionRefused => Ok(()),
        other => bail!("{at}: {other:?}"),
    }
}

fn rules() -> Result<String> {
    let output = Command::new("nft").args(["list", "table", "ip", "gantry-services"]).output()?;
    ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    Ok(String::from_utf8(output.stdout)?)
}

fn deletion_leaves_nothing(case: &Case) -> Result<()> {
    serve(case, "brief", 2)?;
    let at = expose(case, "brief", "--type NodePort")?;
    case.until("an answer", || fetch(at))?;
    let port = node_port(case, "brief")?.to_string();
    let ip = at.ip().to_string();
    let mentions =
        |what: &str| rules().map(|rules| rules.split(|c: char| !c.is_ascii_digit() && c != '.').any(|w| w == what));
    case.until("the rules to be there", || {
        ensure!(mentions(&ip)? && mentions(&port)?, "{}", rules()?);
        Ok(())
    })?;
    ensure!(!case.is_gone(&format!("ipaddress {ip}"))? && !case.is_gone(&format!("nodeport {port}"))?);
    case.line("delete service brief")?;
    case.until("the rules to go", || {
        ensure!(!mentions(&ip)? && !mentions(&port)?, "{}", rules()?);
        Ok(())
    })?;
    for object in [
        format!("ipaddress {ip}"),
        format!("nodeport {port}"),
        "frontend service-brief".to_owned(),
        "endpoints brief".to_owned(),
    ] {
        case.until_gone(&object)?;
    }
    case.until("the slices to go", || {
        let left = case.names("endpointslices -l kubernetes.io/service-name=brief")?;
        ensure!(left.is_empty(), "{left:?}");
        Ok(())
    })
}

/// A client that keeps sending from one port is led elsewhere when its backend goes.
fn datagrams_find_another_backend(case: &Case) -> Result<()> {
    for name in ["udp-1", "udp-2"] {
        let object = with(pod(name, "echo-udp 5353"), "/metadata/labels/app", "udp");
        case.apply(&object)?;
        case.until_is(&format!("pod {name}"), "/status/phase", "Running")?;
    }
    case.apply(&service(
        "udp",
        json!({"selector": {"app": "udp"}, "ports": [{"port": 53, "protocol": "UDP", "targetPort": 5353}]}),
    ))?;
    let ip = address(case, "udp")?.ip();
    case.until("two endpoints", || {
        let slices = case.list("endpointslices -l kubernetes.io/service-name=udp")?;
        let ready = slices
            .iter()
            .filter_map(|s| s["endpoints"].as_array())
            .flatten()
            .filter(|e| e["conditions"]["ready"] == true);
        ensure!(ready.count() == 2, "{slices:?}");
        Ok(())
    })?;
    case.apply(&pod("asker", &format!("ask-udp {ip}:53 60")))?;
    let first = case.until("an answer", || {
        let log = case.line("logs asker")?;
        log.lines().find(|line| line.starts_with("udp-")).map(str::to_owned).context(log.clone())
    })?;
    case.line(&format!("delete pod {first} --now --timeout=30s"))?;
    let other = if first == "udp-1" { "udp-2" } else { "udp-1" };
    case.until_log("asker", other)?;
    case.line("delete pod asker --now").map(drop)
}

fn endpoints_by_hand(case: &Case) -> Result<()> {
    serve(case, "real", 1)?;
    let pods = case.list("pods -l app=real")?;
    case.apply(&service("hand", json!({"ports": [{"port": 80, "targetPort": 8080}]})))?;
    let at = address(case, "hand")?;
    case.until("nobody to answer yet", || refused(at))?;
    case.apply(&json!({
        "apiVersion": "v1", "kind": "Endpoints", "metadata": {"name": "hand"},
        "subsets": [{"addresses": [{"ip": text(&pods[0], "/status/podIP")}], "ports": [{"port": 8080}]}],
    }))?;
    let said = case.until("an answer", || fetch(at))?;
    ensure!(said.contains("hello from real-"), "{said}");
    case.line("delete endpoints hand")?;
    case.until("nobody to answer any more", || refused(at))
}

fn what_cannot_be_is_refused(case: &Case) -> Result<()> {
    let said = case.refused(&service("empty", json!({"selector": {"app": "x"}})))?;
    ensure!(said.contains("spec.ports: Required value"), "{said}");
    let said = case.refused(&service("far", json!({"clusterIP": "192.0.2.77", "ports": [{"port": 80}]})))?;
    ensure!(said.contains("spec.clusterIP: Invalid value"), "{said}");
    case.apply(&service("first", json!({"clusterIP": "10.96.0.77", "ports": [{"port": 80}]})))?;
    case.until("the address to be taken", || {
        ensure!(!case.is_gone("ipaddress 10.96.0.77")?, "it is not taken");
        Ok(())
    })?;
    let said = case.refused(&service("second", json!({"clusterIP": "10.96.0.77", "ports": [{"port": 80}]})))?;
    ensure!(said.contains("spec.clusterIPs: Invalid value") && said.contains("already allocated"), "{said}");
    let said = case.fail("patch service first --type merge -p {\"spec\":{\"clusterIP\":\"10.96.0.78\"}}")?;
    ensure!(said.contains("field is immutable"), "{said}");
    Ok(())
}

/// `kubectl replace` with the manifests that the Services were made from.
fn a_replacement_keeps_what_was_given(case: &Case) -> Result<()> {
    let two = json!([{"name": "a", "port": 80}, {"name": "b", "port": 81}]);
    let manifests = [
        service("open", json!({"type": "NodePort", "ports": two})),
        service("headless", json!({"clusterIP": "None", "ports": two})),
    ];
    for manifest in &manifests {
        case.apply(manifest)?;
    }
    let given = case.until("node ports", || {
        let open = case.get("service open")?;
        ensure!(number(&open, "/spec/ports/1/nodePort") != 0, "{open}");
        Ok(open)
    })?;
    let turned = json!([{"name": "b", "port": 81}, {"name": "a", "port": 80}]);
    let bare = [with(manifests[0].clone(), "/spec/ports", turned), service("headless", json!({"ports": two}))];
    for kubectl in case.kubectl.extremes() {
        for manifest in &bare {
            kubectl.succeed(&["replace", "-f", "-"], &manifest.to_string())?;
        }
        let now = case.get("service open")?;
        for (pointer, before) in [
            ("/spec/clusterIP", "/spec/clusterIP"),
            ("/spec/ports/0/nodePort", "/spec/ports/1/nodePort"),
            ("/spec/ports/1/nodePort", "/spec/ports/0/nodePort"),
        ] {
            ensure!(at(&now, pointer) == at(&given, before), "{now}\nwas {given}");
        }
        ensure!(text(&case.get("service headless")?, "/spec/clusterIP") == "None");
    }
    let taken = number(&given, "/spec/ports/0/nodePort");
    let thief = json!({"type": "NodePort", "ports": [{"port": 80, "nodePort": taken}]});
    let said = case.refused(&service("thief", thief))?;
    ensure!(said.contains("spec.ports[0].nodePort") && said.contains("provided port is already allocated"), "{said}");
    Ok(())
}

fn kubectl_makes_every_type(case: &Case) -> Result<()> {
    case.line("create service clusterip one --tcp=80:8080")?;
    case.line("create service nodeport two --tcp=80:8080 --node-port=31234")?;
    case.line("create service loadbalancer three --tcp=443:8443")?;
    case.line("create service externalname four --external-name example.com")?;
    case.line("create service clusterip five --clusterip=None")?;
    address(case, "one")?;
    address(case, "two")?;
    address(case, "three")?;
    let shown = case.line("get services -o wide")?;
    for part in ["80:31234/TCP", "example.com", "None", "LoadBalancer", "app=one"] {
        ensure!(shown.contains(part), "no {part} in {shown}");
    }
    ensure!(node_port(case, "three")? >= 30_000);
    case.until("their Frontends", || {
        let frontends = case.names("frontends")?;
        ensure!(frontends == ["service-one", "service-three", "service-two"], "{frontends:?}");
        Ok(())
    })?;
    case.line("patch service two --type merge -p {\"spec\":{\"type\":\"ClusterIP\"}}")?;
    case.until("the node port to go", || {
        ensure!(case.is_gone("nodeport 31234")?, "it is still there");
        let two = case.get("service two")?;
        ensure!(two.pointer("/spec/ports/0/nodePort").is_none(), "{two}");
        Ok(())
    })
}

#[test]
fn the_node_answers_outside_and_survives_the_host() -> Result<()> {
    let mut suite = Suite::start("doors")?;
    an_unready_pod_gets_no_new_connection(&suite.case("moods")?)?;
    let case = suite.case("doors")?;
    let outside = Outside::new()?;
    serve(&case, "door", 3)?;
    client(&case)?;
    let at = expose(&case, "door", "--type NodePort --external-ip 192.0.2.200")?;
    case.until("an answer", || fetch(at))?;
    let port = node_port(&case, "door")?;
    let before = case.get("service door")?;
    let node: SocketAddr = format!("{}:{port}", netns::ADDRESS).parse()?;
    let external: SocketAddr = "192.0.2.200:80".parse()?;
    for (what, at) in [("the node's port", node), ("the loopback", format!("127.0.0.1:{port}").parse()?)] {
        ensure!(case.until(&format!("an answer of {what}"), || fetch(at))?.contains("hello from door-"));
    }
    let said = case.until("an answer to a pod", || case.line(&format!("exec client -- /web get {node} /")))?;
    ensure!(said.contains("hello from door-"), "{said}");
    ensure!(case.until("an answer outside", || outside.within(|| fetch(node)))?.contains("hello from door-"));
    outside.within(|| netns::ip("route add 192.0.2.200/32 via 192.0.2.2"))?;
    let said = case.until("an answer by the external address", || outside.within(|| fetch(external)))?;
    ensure!(said.contains("hello from door-"), "{said}");
    // With the policy Local the pod still sees who asks; this is one node, so all are local.
    case.line("patch service door --type merge -p {\"spec\":{\"externalTrafficPolicy\":\"Local\"}}")?;
    case.until("the policy to be in the rules", || {
        ensure!(rules()?.contains("fib saddr type local"), "{}", rules()?);
        Ok(())
    })?;
    ensure!(outside.within(|| fetch(node))?.contains("hello from door-"));
    ensure!(fetch(node)?.contains("hello from door-"));
    // Without the host the node goes on; with it again nothing has another address.
    suite.stack()?.crash_gantry()?;
    ensure!(fetch(at)?.contains("hello from door-") && outside.within(|| fetch(node))?.contains("hello from door-"));
    suite.stack()?.start_gantry()?;
    case.apply(&service(
        "other",
        json!({"type": "NodePort", "selector": {"app": "door"}, "ports": [{"port": 80, "targetPort": 8080}]}),
    ))?;
    let other = address(&case, "other")?;
    case.until("the new one to answer", || fetch(other))?;
    ensure!(other != at);
    let after = case.get("service door")?;
    for field in ["/spec/clusterIP", "/spec/ports/0/nodePort", "/metadata/uid"] {
        ensure!(before.pointer(field) == after.pointer(field), "{field}: {after}");
    }
    ensure!(fetch(at)?.contains("hello from door-") && outside.within(|| fetch(node))?.contains("hello from door-"));
    suite.stop()?;
    ensure!(!netns::ip("-o link")?.contains("gts0") && !netns::ip("route")?.contains("10.96"), "something is left");
    Ok(())
}
