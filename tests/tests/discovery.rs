//! Names on the real stack, asked of the node's DNS server from pods, as C libraries do it, and from the node: Services,
//! headless ones, external names, reverse names; what is outside; resolv.conf by policy.
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use std::collections::BTreeSet;
use std::fs;
use std::process::Command;

use anyhow::{Context, Result, ensure};
use gantry_tests::case::text;
use gantry_tests::dns::{self, By, NODE, Said, World};
use gantry_tests::manifests::{deployment, pod, with};
use gantry_tests::stack::Options;
use gantry_tests::{Case, Suite, netns, scenarios};
use hickory_proto::op::ResponseCode;
use hickory_proto::rr::RecordType;
use serde_json::{Value, json};

#[test]
fn discovery() -> Result<()> {
    let mut world = None;
    let suite = Suite::start_with("discovery", |options| {
        let started = world.insert(World::start()?);
        options.args.extend(["--dns-upstream".into(), started.at().to_string().into()]);
        with_cloudmap(options)
    })?;
    suite.run(scenarios![
        services_have_names,
        a_headless_service_is_its_pods,
        many_addresses_come_by_tcp,
        names_outside_are_asked_outside,
        resolvers_are_set_up_by_policy,
        names_work_where_all_else_is_denied,
        instances_have_names_of_other_schemes,
    ])
}

/// A second source of names.
fn with_cloudmap(options: &mut Options) -> Result<()> {
    let entry = r#"
[[plugin]]
name = "discovery-cloudmap"
grants = "asked"
[plugin.config]
namespaces = [{ name = "corp.local" }]
consul = {}
"#;
    let text = fs::read_to_string(&options.bundle)? + entry;
    options.bundle = options.data.join("bundle.toml");
    fs::write(&options.bundle, text)?;
    let mut pin = Command::new(&options.gantry);
    pin.args(["bundle", "pin"]).arg(&options.bundle).arg("--plugins").arg(&options.plugins);
    let done = pin.output()?;
    ensure!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    Ok(())
}

fn service(name: &str, spec: Value) -> Value {
    json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": name}, "spec": spec})
}

/// A Service's virtual address, which it is given some time after it was made.
fn address(case: &Case, service: &str) -> Result<String> {
    case.until(&format!("an address of {service}"), || {
        let address = text(&case.get(&format!("service {service}"))?, "/spec/clusterIP");
        ensure!(!address.is_empty(), "it has none");
        Ok(address)
    })
}

/// A pod to ask from.
fn client(case: &Case) -> Result<()> {
    case.apply(&pod("client", "sleep 3600"))?;
    case.until_is("pod client", "/status/phase", "Running").map(drop)
}

/// What a pod's own resolver finds.
fn resolve(case: &Case, from: &str, name: &str) -> Result<BTreeSet<String>> {
    let found = case.line(&format!("exec {from} -- /web resolve {name}"))?;
    Ok(found.lines().map(str::to_owned).collect())
}

/// What the node's server says, the same by both transports.
fn said(name: &str, kind: RecordType) -> Result<Said> {
    let by_udp = dns::ask(NODE, By::Udp, name, kind)?;
    let by_tcp = dns::ask(NODE, By::Tcp, name, kind)?;
    ensure!(by_udp == by_tcp, "{by_udp:?} by UDP, {by_tcp:?} by TCP");
    Ok(by_udp)
}

fn answers(name: &str, kind: RecordType) -> Result<Vec<String>> {
    let said = said(name, kind)?;
    ensure!(said.code == ResponseCode::NoError, "{name}: {said:?}");
    Ok(said.answers)
}

/// Waits until a name has just these records.
fn until(case: &Case, name: &str, kind: RecordType, want: &[String]) -> Result<()> {
    let want = want.iter().collect::<BTreeSet<_>>();
    case.until(&format!("{name} to be {want:?}"), || {
        let found = said(name, kind)?.answers;
        ensure!(found.iter().collect::<BTreeSet<_>>() == want, "it is {found:?}");
        Ok(())
    })
}

fn reverse(address: &str) -> String {
    let parts: Vec<&str> = address.split('.').rev().collect();
    format!("{}.in-addr.arpa.", parts.join("."))
}

fn services_have_names(case: &Case) -> Result<()> {
    case.apply(&deployment("web", 1))?;
    client(case)?;
    let ports = json!([{"name": "http", "port": 80, "targetPort": "http"}]);
    case.apply(&service("web", json!({"selector": {"app": "web"}, "ports": ports})))?;
    case.line("rollout status deployment/web --timeout=120s")?;
    let address = address(case, "web")?;
    let full = format!("web.{}.svc.cluster.local", case.namespace);
    until(case, &format!("{full}."), RecordType::A, std::slice::from_ref(&address))?;
    for name in
        ["web".to_owned(), format!("web.{}", case.namespace), format!("web.{}.svc", case.namespace), full.clone()]
    {
        ensure!(resolve(case, "client", &name)? == BTreeSet::from([address.clone()]), "{name}");
    }
    let page = case.until("an answer by name", || case.line("exec client -- /web get web:80 /"))?;
    ensure!(page.contains("hello from web-"), "{page}");
    let srv = answers(&format!("_http._tcp.{full}."), RecordType::SRV)?;
    ensure!(srv == [format!("0 100 80 {full}.")], "{srv:?}");
    ensure!(answers(&reverse(&address), RecordType::PTR)? == [format!("{full}.")]);
    ensure!(answers("dns-version.cluster.local.", RecordType::TXT)? == ["1.1.0"]);
    let no_such_type = said(&format!("{full}."), RecordType::AAAA)?;
    ensure!(no_such_type.code == ResponseCode::NoError && no_such_type.answers.is_empty(), "{no_such_type:?}");
    ensure!(no_such_type.authorities == ["cluster.local. SOA"], "{no_such_type:?}");
    case.line("delete service web")?;
    case.until("its names to go", || {
        let gone = said(&format!("{full}."), RecordType::A)?;
        ensure!(gone.code == ResponseCode::NXDomain && gone.authorities == ["cluster.local. SOA"], "{gone:?}");
        Ok(())
    })
}

/// A pod that says its name and subdomain.
fn peer(number: u8) -> Value {
    let name = format!("peer-{number}");
    let probe = json!({"httpGet": {"path": "/ready", "port": 8080}, "periodSeconds": 1});
    let peer = with(pod(&name, "serve 8080"), "/metadata/labels/app", "peers");
    let peer = with(with(peer, "/spec/hostname", name), "/spec/subdomain", "peers");
    with(peer, "/spec/containers/0/readinessProbe", probe)
}

fn a_headless_service_is_its_pods(case: &Case) -> Result<()> {
    let ports = json!([{"name": "http", "port": 8080}]);
    case.apply(&service("peers", json!({"clusterIP": "None", "selector": {"app": "peers"}, "ports": ports})))?;
    for number in 0..2 {
        case.apply(&peer(number))?;
    }
    case.line("wait pod/peer-0 pod/peer-1 --for=condition=Ready --timeout=120s")?;
    let address = |name: &str| anyhow::Ok(text(&case.get(&format!("pod {name}"))?, "/status/podIP"));
    let (zero, one) = (address("peer-0")?, address("peer-1")?);
    let full = format!("peers.{}.svc.cluster.local", case.namespace);
    until(case, &format!("{full}."), RecordType::A, &[zero.clone(), one.clone()])?;
    ensure!(resolve(case, "peer-0", "peers")? == BTreeSet::from([zero.clone(), one.clone()]));
    ensure!(resolve(case, "peer-0", "peer-1.peers")? == BTreeSet::from([one.clone()]));
    let srv = answers(&format!("_http._tcp.{full}."), RecordType::SRV)?;
    ensure!(srv == [0, 1].map(|n| format!("0 100 8080 peer-{n}.{full}.")), "{srv:?}");
    ensure!(answers(&reverse(&one), RecordType::PTR)? == [format!("peer-1.{full}.")]);
    let hosts = case.line("exec peer-0 -- /web cat /etc/hosts")?;
    ensure!(hosts.contains(&format!("{zero}\tpeer-0.{full}\tpeer-0")), "{hosts}");
    // Who is not ready leaves, unless the Service says otherwise.
    unready(&zero)?;
    until(case, &format!("{full}."), RecordType::A, std::slice::from_ref(&one))?;
    ensure!(said(&format!("peer-0.{full}."), RecordType::A)?.code == ResponseCode::NXDomain);
    case.line("patch service peers --type=merge -p {\"spec\":{\"publishNotReadyAddresses\":true}}")?;
    until(case, &format!("{full}."), RecordType::A, &[zero, one])
}

/// Makes a server of the test image say that it is not ready.
fn unready(address: &str) -> Result<()> {
    use std::io::{Read, Write};
    let mut stream = std::net::TcpStream::connect((address, 8080))?;
    stream.set_read_timeout(Some(std::time::Duration::from_secs(5)))?;
    stream.write_all(b"POST /ready/no HTTP/1.1\r\nHost: pod\r\nContent-Length: 0\r\n\r\n")?;
    stream.shutdown(std::net::Shutdown::Write)?;
    stream.read_to_string(&mut String::new())?;
    Ok(())
}

/// More than a datagram holds: the C library comes back by TCP.
fn many_addresses_come_by_tcp(case: &Case) -> Result<()> {
    client(case)?;
    case.apply(&service("many", json!({"clusterIP": "None", "ports": [{"port": 80}]})))?;
    let endpoints: Vec<Value> = (1..=90).map(|n| json!({"addresses": [format!("198.51.100.{n}")]})).collect();
    case.apply(&json!({
        "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "addressType": "IPv4",
        "metadata": {"name": "many-by-hand", "labels": {"kubernetes.io/service-name": "many"}},
        "ports": [{"port": 80}], "endpoints": endpoints,
    }))?;
    let name = format!("many.{}.svc.cluster.local.", case.namespace);
    case.until("all of them by TCP", || {
        let by_tcp = dns::ask(NODE, By::Tcp, &name, RecordType::A)?;
        ensure!(by_tcp.answers.len() == 90, "{by_tcp:?}");
        Ok(())
    })?;
    let by_udp = dns::ask(NODE, By::Udp, &name, RecordType::A)?;
    ensure!(by_udp.truncated && (1..90).contains(&by_udp.answers.len()), "{by_udp:?}");
    let found = resolve(case, "client", "many")?;
    ensure!(found.len() == 90, "{} addresses: {found:?}", found.len());
    Ok(())
}

fn names_outside_are_asked_outside(case: &Case) -> Result<()> {
    client(case)?;
    let outside = BTreeSet::from([World::ADDRESS.to_string()]);
    ensure!(resolve(case, "client", World::NAME)? == outside);
    let none = said("none.test.", RecordType::A)?;
    ensure!(none.code == ResponseCode::NXDomain && none.authorities == ["test. SOA"], "{none:?}");
    case.apply(&service("out", json!({"type": "ExternalName", "externalName": World::NAME})))?;
    let alias = format!("out.{}.svc.cluster.local.", case.namespace);
    until(case, &alias, RecordType::A, &[World::ADDRESS.to_string(), format!("{}.", World::NAME)])?;
    ensure!(answers(&alias, RecordType::CNAME)? == [format!("{}.", World::NAME)]);
    ensure!(resolve(case, "client", "out")? == outside);
    // What is ours is not asked outside, and what pods have is nobody else's.
    let none = said(&format!("none.{}.svc.cluster.local.", case.namespace), RecordType::A)?;
    ensure!(none.code == ResponseCode::NXDomain && none.authorities == ["cluster.local. SOA"], "{none:?}");
    let failed = case.fail(&format!("exec client -- /web resolve none.{}", case.namespace))?;
    ensure!(failed.contains("web resolve"), "{failed}");
    Ok(())
}

fn resolvers_are_set_up_by_policy(case: &Case) -> Result<()> {
    let servers = json!(["198.51.100.53"]);
    let config =
        json!({"nameservers": servers, "searches": ["example.com"], "options": [{"name": "ndots", "value": "2"}]});
    let host = |pod: Value| with(pod, "/spec/hostNetwork", true);
    let policy = |pod: Value, policy: &str| with(pod, "/spec/dnsPolicy", policy);
    let sleeper = |name: &str| pod(name, "sleep 3600");
    let pods = [
        sleeper("first"),
        policy(sleeper("default"), "Default"),
        with(policy(sleeper("none"), "None"), "/spec/dnsConfig", config),
        host(sleeper("host")),
        host(policy(sleeper("host-first"), "ClusterFirstWithHostNet")),
        with(
            with(with(sleeper("full"), "/spec/hostname", "a"), "/spec/subdomain", "b"),
            "/spec/setHostnameAsFQDN",
            true,
        ),
    ];
    for pod in &pods {
        case.apply(pod)?;
    }
    for pod in &pods {
        case.until_is(&format!("pod {}", text(pod, "/metadata/name")), "/status/phase", "Running")?;
    }
    let file = |name: &str| case.line(&format!("exec {name} -- /web cat /etc/resolv.conf"));
    let node = std::fs::read_to_string("/etc/resolv.conf")?;
    let own = node.lines().find(|line| line.starts_with("nameserver")).context("no nameserver in /etc/resolv.conf")?;
    let search = format!("search {0}.svc.cluster.local svc.cluster.local cluster.local", case.namespace);
    for name in ["first", "host-first"] {
        let found = file(name)?;
        let cluster = found.starts_with(&search)
            && found.contains("nameserver 169.254.20.10\n")
            && found.contains("options ndots:5");
        ensure!(cluster && !found.contains(own), "{name}: {found}");
    }
    for name in ["default", "host"] {
        let found = file(name)?;
        ensure!(found.contains(own) && !found.contains("169.254.20.10"), "{name}: {found}");
    }
    ensure!(file("none")?.trim() == "search example.com\nnameserver 198.51.100.53\noptions ndots:2");
    let hostname = case.line("exec full -- /web cat /etc/hostname")?;
    ensure!(hostname.trim() == format!("a.b.{}.svc.cluster.local", case.namespace), "{hostname}");
    // A pod in the node's network asks as the node does.
    ensure!(resolve(case, "host-first", World::NAME)? == BTreeSet::from([World::ADDRESS.to_string()]));
    Ok(())
}

/// A pod's own node is always allowed, and the server is there.
fn names_work_where_all_else_is_denied(case: &Case) -> Result<()> {
    client(case)?;
    let spec = json!({"podSelector": {}, "policyTypes": ["Egress", "Ingress"]});
    case.apply(&json!({
        "apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy", "metadata": {"name": "deny"}, "spec": spec,
    }))?;
    case.apply(&service("closed", json!({"selector": {"app": "none"}, "ports": [{"port": 80}]})))?;
    let address = address(case, "closed")?;
    case.until("its name", || {
        ensure!(resolve(case, "client", "closed")? == BTreeSet::from([address.clone()]));
        Ok(())
    })
}

/// What the server needs on the node goes with `gantry clean`.
#[test]
fn names_leave_nothing() -> Result<()> {
    let mut suite = Suite::start("names")?;
    let case = suite.case("names")?;
    case.apply(&service("web", json!({"ports": [{"port": 80}], "selector": {"app": "web"}})))?;
    let name = format!("web.{}.svc.cluster.local.", case.namespace);
    case.until("its name", || answers(&name, RecordType::A))?;
    let metrics = case.line("get --raw /metrics")?;
    ensure!(metrics.contains("gantry_dns_queries_total{outcome=\"answered\"}"), "{metrics}");
    let addresses = netns::ip("-o address")?;
    ensure!(addresses.contains("169.254.20.10/32"), "{addresses}");
    ensure!(addresses.matches("169.254.").count() == 1, "the bundle grants no address for pods: {addresses}");
    // Another start answers at once with what was known, and then with what is.
    suite.stack()?.crash_gantry()?;
    ensure!(dns::ask(NODE, By::Udp, &name, RecordType::A).is_err());
    suite.stack()?.start_gantry()?;
    let again = case.until("its name again", || answers(&name, RecordType::A))?;
    ensure!(again == [address(&case, "web")?], "{again:?}");
    suite.stop()?;
    let links = netns::ip("-o link")?;
    ensure!(!links.contains("gtd0"), "{links}");
    Ok(())
}

fn instances_have_names_of_other_schemes(case: &Case) -> Result<()> {
    client(case)?;
    case.apply(&deployment("web", 2))?;
    case.line("rollout status deployment/web --timeout=120s")?;
    let ports = json!([{"name": "http", "port": 80, "targetPort": "http"}]);
    case.apply(&service("web", json!({"selector": {"app": "web"}, "ports": ports})))?;
    let pods = case.line("get pods -l app=web -o jsonpath={.items[*].status.podIP}")?;
    let pods: Vec<String> = pods.split_whitespace().map(str::to_owned).collect();
    // Nobody asked for these yet.
    ensure!(said("shop.corp.local.", RecordType::A)?.code == ResponseCode::NXDomain);
    let asked = [
        "servicediscovery.gantry.dev/namespace=corp.local",
        "servicediscovery.gantry.dev/service=shop",
        "consul.hashicorp.com/service-sync=true",
        "consul.hashicorp.com/service-name=shop",
    ];
    case.line(&format!("annotate service web {}", asked.join(" ")))?;
    for name in ["shop.corp.local", "shop.service.consul", "shop.service.dc1.consul"] {
        until(case, &format!("{name}."), RecordType::A, &pods)?;
        ensure!(resolve(case, "client", name)? == pods.iter().cloned().collect(), "{name}");
    }
    let page = case.line("exec client -- /web get shop.corp.local:8080 /")?;
    ensure!(page.contains("hello from web-"), "{page}");
    // The ports of instances, whose names lead to them.
    case.line("annotate service web servicediscovery.gantry.dev/records=SRV")?;
    case.until("SRV records of each", || {
        for name in ["shop.corp.local.", "_shop._tcp.service.consul."] {
            let found = answers(name, RecordType::SRV)?;
            ensure!(found.len() == 2 && found.iter().all(|found| found.starts_with("1 1 8080 ")), "{name}: {found:?}");
            for target in found.iter().filter_map(|found| found.split(' ').next_back()) {
                let led = answers(target, RecordType::A)?;
                ensure!(led.len() == 1 && pods.contains(&led[0]), "{target}: {led:?}");
            }
        }
        Ok(())
    })?;
    case.line("scale deployment web --replicas=0")?;
    until(case, "shop.service.consul.", RecordType::A, &[])
}
