//! NetworkPolicies on the real stack: default deny, what labels open, and a pod's very first packet; also by way
//! of a Service; what is refused; and that nothing starts unguarded while policies can't be in force.
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use std::fs;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use gantry_tests::case::text;
use gantry_tests::manifests::{deployment, pod, with};
use gantry_tests::{Case, Suite, scenarios};
use serde_json::{Value, json};

#[test]
fn policies() -> Result<()> {
    Suite::start("policies")?.run(scenarios![
        default_deny_and_allow_by_label,
        a_pod_is_closed_from_its_first_packet,
        namespaces_services_and_egress,
        what_cannot_be_is_refused,
    ])
}

fn policy(name: &str, spec: Value) -> Value {
    json!({"apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy", "metadata": {"name": name}, "spec": spec})
}

fn deny() -> Value {
    policy("deny", json!({"podSelector": {}, "policyTypes": ["Ingress"]}))
}

/// A server that is ready; gives its address and port.
fn serve(case: &Case) -> Result<String> {
    case.apply(&deployment("web", 1))?;
    case.line("rollout status deployment/web --timeout=120s")?;
    let pods = case.list("pods -l app=web")?;
    let ip = text(pods.first().context("no pod")?, "/status/podIP");
    Ok(format!("{ip}:8080"))
}

fn client(case: &Case, name: &str) -> Result<()> {
    case.apply(&pod(name, "sleep 3600"))?;
    case.until_is(&format!("pod {name}"), "/status/phase", "Running").map(drop)
}

/// Whether a pod can connect.
fn reaches(case: &Case, from: &str, to: &str) -> Result<bool> {
    let output = case.kubectl.output(&["exec", from, "--", "/web", "reach", to], "")?;
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    ensure!(output.status.success() || said.contains("exit code 1"), "exec in {from}: {said}");
    Ok(output.status.success())
}

fn until_reaches(case: &Case, from: &str, to: &str, wanted: bool) -> Result<()> {
    case.until(&format!("{from} reaching {to} to be {wanted}"), || {
        ensure!(reaches(case, from, to)? == wanted, "it is not");
        Ok(())
    })
}

fn default_deny_and_allow_by_label(case: &Case) -> Result<()> {
    let web = serve(case)?;
    client(case, "client")?;
    ensure!(reaches(case, "client", &web)?, "without policies everybody talks");
    case.apply(&deny())?;
    until_reaches(case, "client", &web, false)?;
    let ports = json!([{"port": "http"}]);
    let from = json!([{"podSelector": {"matchLabels": {"role": "friend"}}}]);
    let select = json!({"matchLabels": {"app": "web"}});
    case.apply(&policy("friends", json!({"podSelector": select, "ingress": [{"from": from, "ports": ports}]})))?;
    case.stays(Duration::from_secs(1), || {
        ensure!(!reaches(case, "client", &web)?, "it has no such label");
        Ok(())
    })?;
    case.line("label pod client role=friend")?;
    until_reaches(case, "client", &web, true)?;
    case.line("label pod client role-")?;
    until_reaches(case, "client", &web, false)?;
    // Probes of the node are not concerned.
    case.until_is("deployment web", "/status/readyReplicas", 1)?;
    for kubectl in case.kubectl.extremes() {
        let shown = kubectl.run(&["get", "networkpolicy"])?;
        ensure!(shown.contains("POD-SELECTOR") && shown.contains("app=web") && shown.contains("<none>"), "{shown}");
        let described = kubectl.run(&["describe", "networkpolicy", "friends"])?;
        for part in ["PodSelector:     app=web", "To Port: http/TCP", "role=friend", "Policy Types: Ingress"] {
            ensure!(described.contains(part), "no {part:?}: {described}");
        }
        let short = kubectl.run(&["get", "netpol", "deny", "-o", "jsonpath={.spec.policyTypes[*]}"])?;
        ensure!(short == "Ingress", "{short}");
    }
    case.line("delete networkpolicy --all")?;
    until_reaches(case, "client", &web, true)
}

fn a_pod_is_closed_from_its_first_packet(case: &Case) -> Result<()> {
    let web = serve(case)?;
    case.apply(&policy(
        "closed",
        json!({
            "podSelector": {"matchLabels": {"closed": "yes"}}, "policyTypes": ["Ingress", "Egress"],
        }),
    ))?;
    // SYNs at once, after one second and after three.
    let hasty = |name: &str| pod(name, &format!("reach {web} 3500"));
    for number in 0..5 {
        let name = format!("closed-{number}");
        case.apply(&with(hasty(&name), "/metadata/labels", json!({"closed": "yes"})))?;
        case.apply(&hasty(&format!("open-{number}")))?;
    }
    for number in 0..5 {
        case.until_is(&format!("pod open-{number}"), "/status/phase", "Succeeded")?;
        case.until_is(&format!("pod closed-{number}"), "/status/phase", "Failed")?;
    }
    Ok(())
}

fn namespaces_services_and_egress(case: &Case) -> Result<()> {
    let web = serve(case)?;
    client(case, "client")?;
    case.line("expose deployment web --port 80 --target-port 8080")?;
    let service = case.until("an address of the Service", || {
        let found = text(&case.get("service web")?, "/spec/clusterIP");
        ensure!(!found.is_empty(), "none yet");
        Ok(format!("{found}:80"))
    })?;
    until_reaches(case, "client", &service, true)?;
    let own = json!({"matchLabels": {"kubernetes.io/metadata.name": case.namespace}});
    let allow = |namespaces: Value| {
        let from = json!([{"namespaceSelector": namespaces, "podSelector": {"matchLabels": {"app": "client"}}}]);
        policy("allow", json!({"podSelector": {}, "ingress": [{"from": from}]}))
    };
    case.apply(&allow(json!({"matchLabels": {"kubernetes.io/metadata.name": "elsewhere"}})))?;
    until_reaches(case, "client", &service, false)?;
    case.apply(&allow(own))?;
    until_reaches(case, "client", &service, true)?;
    let egress = |port: u16| {
        let to = json!([{"podSelector": {"matchLabels": {"app": "web"}}}]);
        let rule = json!([{"to": to, "ports": [{"port": port}]}]);
        policy(
            "out",
            json!({"podSelector": {"matchLabels": {"app": "client"}}, "policyTypes": ["Egress"], "egress": rule}),
        )
    };
    // A Service's port is not the pod's.
    case.apply(&egress(80))?;
    until_reaches(case, "client", &service, false)?;
    case.apply(&egress(8080))?;
    until_reaches(case, "client", &service, true)?;
    until_reaches(case, "client", &web, true)
}

fn what_cannot_be_is_refused(case: &Case) -> Result<()> {
    let port = |port: Value| policy("bad", json!({"podSelector": {}, "ingress": [{"ports": [port]}]}));
    let peer = |peer: Value| policy("bad", json!({"podSelector": {}, "egress": [{"to": [peer]}]}));
    let table = [
        (
            port(json!({"port": 80, "endPort": 70})),
            "spec.ingress[0].ports[0].endPort",
            "greater than or equal to `port`",
        ),
        (port(json!({"port": "http", "endPort": 90})), "spec.ingress[0].ports[0].endPort", "non-numeric"),
        (port(json!({"port": 80, "protocol": "ICMP"})), "spec.ingress[0].ports[0].protocol", "SCTP"),
        (peer(json!({"ipBlock": {"cidr": "10.0.0.0/40"}})), "spec.egress[0].to[0].ipBlock.cidr", "valid CIDR"),
        (
            peer(json!({"ipBlock": {"cidr": "10.0.0.0/8", "except": ["192.0.2.0/24"]}})),
            "spec.egress[0].to[0].ipBlock.except[0]",
            "strict subset",
        ),
        (peer(json!({})), "spec.egress[0].to[0]", "must specify a peer"),
    ];
    for (object, field, words) in table {
        let said = case.refused(&object)?;
        ensure!(said.contains(field) && said.contains(words), "{object}: {said}");
    }
    Ok(())
}

/// A plugin whose plans are refused (no table is granted): pods of namespaces with policies wait and say why, all others
/// start; with the grant they come.
#[test]
fn nothing_starts_unguarded() -> Result<()> {
    let mut whole = None;
    let mut suite = Suite::start_with("unguarded", |options| {
        let text = fs::read_to_string(&options.bundle)?;
        let (head, entry) = text.split_once("name = \"network-policy\"").context("the plugin is not in the bundle")?;
        let review = "[{ group = \"networking.k8s.io\", kind = \"NetworkPolicy\", verbs = [\"review\", \"mutate\"] }]";
        let grants = format!("grants = {{ plans = [\"network\"], objects = {review} }}");
        let entry = entry.replacen("grants = \"asked\"", &grants, 1);
        whole = Some(std::mem::replace(&mut options.bundle, options.data.join("bundle.toml")));
        fs::write(&options.bundle, format!("{head}name = \"network-policy\"{entry}"))?;
        Ok(())
    })?;
    let case = suite.case("unguarded")?;
    let other = suite.case("free")?;
    case.apply(&deny())?;
    case.apply(&pod("waits", "echo hello"))?;
    other.apply(&pod("starts", "echo hello"))?;
    let why = case.until_event("waits", "NetworkPolicyNotReady")?;
    ensure!(why.contains("network-policy") && why.contains("gantry-policy"), "{why}");
    other.until_is("pod starts", "/status/phase", "Succeeded")?;
    ensure!(text(&case.get("pod waits")?, "/status/phase") == "Pending");
    suite.stack()?.stop_gantry()?;
    suite.stack()?.options_mut().bundle = whole.context("no bundle")?;
    suite.stack()?.start_gantry()?;
    case.until_is("pod waits", "/status/phase", "Succeeded")?;
    suite.stop()
}
