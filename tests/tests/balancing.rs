//! What a node's load balancer owes to clients beyond a connection: that they stay where they were led while they are to,
//! and are led elsewhere when nobody is there any more; and what load balancers outside count on.
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use std::net::SocketAddr;
use std::process::Command;

use anyhow::{Context, Result, ensure};
use gantry_tests::case::{number, text};
use gantry_tests::manifests::{deployment, pod, with};
use gantry_tests::traffic::{Asker, Stream, page, who};
use gantry_tests::{Case, Outside, Suite, netns, scenarios};
use serde_json::{Value, json};

#[test]
fn balancing() -> Result<()> {
    Suite::start("balancing")?.run(scenarios![clients_stay_as_others_come, connections_of_pods_that_go_end_in_peace])
}

fn service(name: &str, spec: Value) -> Value {
    json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": name}, "spec": spec})
}

fn serve(case: &Case, name: &str, replicas: u32) -> Result<()> {
    case.apply(&deployment(name, replicas))?;
    case.line(&format!("rollout status deployment/{name} --timeout=120s")).map(drop)
}

fn address(case: &Case, service: &str, port: u16) -> Result<SocketAddr> {
    case.until(&format!("an address of {service}"), || {
        Ok(SocketAddr::new(text(&case.get(&format!("service {service}"))?, "/spec/clusterIP").parse()?, port))
    })
}

fn until_endpoints(case: &Case, service: &str, wanted: usize) -> Result<()> {
    case.until(&format!("{wanted} endpoints of {service}"), || {
        let slices = case.list(&format!("endpointslices -l kubernetes.io/service-name={service}"))?;
        let all = slices.iter().filter_map(|s| s["endpoints"].as_array()).flatten();
        let ready = all.filter(|e| e["conditions"]["ready"] == true).count();
        ensure!(ready == wanted, "{ready} are ready: {slices:?}");
        Ok(())
    })
}

/// How many clients the node remembers.
fn remembered() -> Result<usize> {
    let output = Command::new("nft").args(["-j", "list", "table", "ip", "gantry-services"]).output()?;
    let listed: Value = serde_json::from_slice(&output.stdout)?;
    let sets = listed["nftables"].as_array().into_iter().flatten().filter_map(|object| object.get("set"));
    let clients = sets.filter(|set| text(set, "/name").starts_with("a-"));
    Ok(clients.filter_map(|set| set.get("elem")?.as_array()).map(Vec::len).sum())
}

/// On port 80, for clients that are to stay so long.
fn loyal(name: &str, seconds: u32) -> Value {
    service(
        name,
        json!({
            "selector": {"app": "loyal"}, "ports": [{"port": 80, "targetPort": 8080}], "sessionAffinity": "ClientIP",
            "sessionAffinityConfig": {"clientIP": {"timeoutSeconds": seconds}},
        }),
    )
}

fn clients_stay_as_others_come(case: &Case) -> Result<()> {
    serve(case, "loyal", 1)?;
    // So long that nobody is forgotten for being slow.
    case.apply(&loyal("loyal", 600))?;
    let at = address(case, "loyal", 80)?;
    let first = case.until("an answer", || who(at))?;
    ensure!(remembered()? > 0, "nobody is remembered");
    case.line("scale deployment loyal --replicas=5")?;
    until_endpoints(case, "loyal", 5)?;
    for _ in 0..50 {
        let now = case.until("an answer", || who(at))?;
        ensure!(now == first, "it was {first} and is {now}");
    }
    // One that left is nobody's backend any more, however lately it was used.
    case.line(&format!("delete pod {first} --now --timeout=30s"))?;
    case.until("another one to answer", || {
        let now = who(at)?;
        ensure!(now != first, "{first} answers");
        Ok(())
    })?;
    case.line("delete service loyal")?;
    clients_are_forgotten(case)
}

fn clients_are_forgotten(case: &Case) -> Result<()> {
    case.apply(&loyal("fickle", 3))?;
    let at = address(case, "fickle", 80)?;
    case.until("the client to be remembered", || {
        who(at)?;
        ensure!(remembered()? > 0, "it is not");
        Ok(())
    })?;
    case.until("the client to be forgotten", || {
        ensure!(remembered()? == 0, "it is still remembered");
        Ok(())
    })
}

/// New connections go elsewhere at once; one that is there lasts until the pod ends.
fn connections_of_pods_that_go_end_in_peace(case: &Case) -> Result<()> {
    let slow = |name: &str| {
        let pod = with(pod(name, "serve"), "/metadata/labels/app", "slow");
        let pod = with(pod, "/spec/terminationGracePeriodSeconds", 60);
        let hook = json!({"preStop": {"exec": {"command": ["/web", "sleep", "25"]}}});
        with(pod, "/spec/containers/0/lifecycle", hook)
    };
    case.apply(&slow("slow-1"))?;
    case.line("wait pod/slow-1 --for=condition=Ready --timeout=60s")?;
    case.apply(&service("slow", json!({"selector": {"app": "slow"}, "ports": [{"port": 80, "targetPort": 8080}]})))?;
    let at = address(case, "slow", 80)?;
    case.until("an answer", || who(at))?;
    let stream = Stream::open(at)?;
    case.apply(&slow("slow-2"))?;
    until_endpoints(case, "slow", 2)?;
    case.line("delete pod slow-1 --wait=false")?;
    until_endpoints(case, "slow", 1)?;
    case.until("new connections to go elsewhere", || {
        for _ in 0..20 {
            ensure!(who(at)? == "slow-2");
        }
        Ok(())
    })?;
    let before = stream.count();
    ensure!(stream.is_open() && !case.is_gone("pod slow-1")?, "it ended too early");
    case.until("more on the old connection", || {
        ensure!(stream.count() > before + 20, "{} came back", stream.count());
        Ok(())
    })?;
    ensure!(!case.is_gone("pod slow-1")?, "the pod was gone before it was looked at");
    case.until_gone("pod slow-1")?;
    case.until("the connection to end with its pod", || {
        ensure!(!stream.is_open());
        Ok(())
    })
}

#[test]
fn outside() -> Result<()> {
    let mut suite = Suite::start("outside")?;
    let outside = Outside::new()?;
    let case = suite.case("balanced")?;
    a_load_balancer_outside(&case, &outside)?;
    let case = suite.case("datagrams")?;
    datagrams_from_outside(&mut suite, &case, &outside)?;
    suite.stop()
}

fn a_load_balancer_outside(case: &Case, outside: &Outside) -> Result<()> {
    serve(case, "lb", 2)?;
    let spec = json!({
        "type": "LoadBalancer", "externalTrafficPolicy": "Local", "allocateLoadBalancerNodePorts": false,
        "selector": {"app": "lb"}, "ports": [{"port": 80, "targetPort": 8080}],
    });
    case.apply(&service("lb", spec))?;
    let check = case.until("a port for health checks", || {
        let number = number(&case.get("service lb")?, "/spec/healthCheckNodePort");
        ensure!((30_000..=32_767).contains(&number), "it is {number}");
        Ok(u16::try_from(number)?)
    })?;
    ensure!(!case.is_gone(&format!("nodeport {check}"))?);
    ensure!(case.get("service lb")?.pointer("/spec/ports/0/nodePort").is_none());
    let stolen = json!({"type": "NodePort", "ports": [{"port": 80, "nodePort": check}]});
    ensure!(case.refused(&service("thief", stolen))?.contains("already allocated"));
    // The node says that it serves, and how many.
    let healthy = |status: u16, count: i64| {
        let at: SocketAddr = format!("{}:{check}", netns::ADDRESS).parse()?;
        let (found, body) = outside.within(|| page(at, "/healthz"))?;
        let body: Value = serde_json::from_str(&body)?;
        ensure!(found == status && number(&body, "/localEndpoints") == count, "{found} {body}");
        ensure!(text(&body, "/service/name") == "lb" && text(&body, "/service/namespace") == case.namespace, "{body}");
        Ok(())
    };
    case.until("a healthy node", || healthy(200, 2))?;
    // What a controller of load balancers would write.
    let ingress = json!({"status": {"loadBalancer": {"ingress": [{"ip": "192.0.2.201"}, {"ip": "192.0.2.202", "ipMode": "Proxy"}]}}});
    case.run(&["patch", "service", "lb", "--subresource=status", "--type=merge", "-p", &ingress.to_string()])?;
    outside.within(|| {
        netns::ip("route add 192.0.2.201/32 via 192.0.2.2")?;
        netns::ip("route add 192.0.2.202/32 via 192.0.2.2")
    })?;
    let (kept, proxied): (SocketAddr, SocketAddr) = ("192.0.2.201:80".parse()?, "192.0.2.202:80".parse()?);
    ensure!(case.until("an answer by the address", || outside.within(|| who(kept)))?.starts_with("lb-"));
    ensure!(case.line("get service lb --no-headers")?.contains("192.0.2.201"));
    ensure!(outside.within(|| who(proxied)).is_err(), "an address of the mode Proxy leads here");
    let ranges = |range: &str| {
        let patch = json!({"spec": {"loadBalancerSourceRanges": [range]}}).to_string();
        case.run(&["patch", "service", "lb", "--type=merge", "-p", &patch])
    };
    ranges("198.51.100.0/24")?;
    case.until("others to be kept away", || {
        ensure!(outside.within(|| who(kept)).is_err());
        Ok(())
    })?;
    ranges("192.0.2.0/24")?;
    case.until("this one to be let through", || outside.within(|| who(kept)))?;
    case.line("scale deployment lb --replicas=0")?;
    case.until("a node that does not serve", || healthy(503, 0))?;
    // With another policy nobody asks.
    case.line("patch service lb --type=merge -p {\"spec\":{\"externalTrafficPolicy\":\"Cluster\"}}")?;
    case.until_gone(&format!("nodeport {check}"))?;
    case.until("nobody to answer", || {
        ensure!(healthy(503, 0).is_err());
        ensure!(case.get("service lb")?.pointer("/spec/healthCheckNodePort").is_none());
        Ok(())
    })
}

fn echoes(case: &Case, name: &str) -> Result<()> {
    case.apply(&with(pod(name, "echo-udp 5353"), "/metadata/labels/app", "udp"))?;
    case.line(&format!("wait pod/{name} --for=condition=Ready --timeout=60s")).map(drop)
}

/// Each client keeps its port throughout.
fn datagrams_from_outside(suite: &mut Suite, case: &Case, outside: &Outside) -> Result<()> {
    let spec = json!({
        "type": "NodePort", "externalTrafficPolicy": "Local", "internalTrafficPolicy": "Local", "selector": {"app": "udp"},
        "ports": [{"port": 53, "protocol": "UDP", "targetPort": 5353, "nodePort": 30_053}],
    });
    case.apply(&service("udp", spec))?;
    let at = address(case, "udp", 53)?;
    let node: SocketAddr = format!("{}:30053", netns::ADDRESS).parse()?;
    // However slow this machine is: the kernel forgets nobody for being silent.
    for name in ["udp_timeout", "udp_timeout_stream"] {
        std::fs::write(format!("/proc/sys/net/netfilter/nf_conntrack_{name}"), "600")?;
    }
    let far = outside.within(|| Asker::to(node))?;
    let (near, inside) = (Asker::to(node)?, Asker::to(at)?);
    let all = [("from outside", &far), ("from the node", &near), ("to the virtual address", &inside)];
    let refused = |(what, asker): &(&str, &Asker)| {
        let error = asker.ask().err().context("somebody answers")?;
        let refused = error.downcast_ref::<std::io::Error>().map(std::io::Error::kind);
        ensure!(refused == Some(std::io::ErrorKind::ConnectionRefused), "{what}: {error:#}");
        Ok(())
    };
    // Nobody serves: they are refused, and the kernel remembers nothing of it.
    for asker in &all {
        case.until("a refusal", || refused(asker))?;
    }
    let all_reach = |name: &str| {
        for (what, asker) in &all {
            case.until(&format!("{name} to answer {what}"), || {
                let now = asker.ask()?;
                ensure!(now == name, "{now} answers");
                Ok(())
            })?;
        }
        anyhow::Ok(())
    };
    echoes(case, "udp-1")?;
    all_reach("udp-1")?;
    // While there is the first one, it keeps its clients.
    echoes(case, "udp-2")?;
    until_endpoints(case, "udp", 2)?;
    all_reach("udp-1")?;
    case.line("delete pod udp-1 --now --timeout=30s")?;
    all_reach("udp-2")?;
    // Also over a start of the host: what was led rightly stays.
    suite.stack()?.crash_gantry()?;
    all_reach("udp-2")?;
    suite.stack()?.start_gantry()?;
    echoes(case, "udp-3")?;
    until_endpoints(case, "udp", 2)?;
    all_reach("udp-2")?;
    case.line("delete pod udp-2 --now --timeout=30s")?;
    all_reach("udp-3")?;
    case.line("delete service udp")?;
    for asker in &all {
        case.until("a refusal again", || asker.1.ask().is_err().then_some(()).context("somebody answers"))?;
    }
    Ok(())
}
