use super::*;
use gantry_model::Key;
use gantry_model::key::Resource;
use gantry_model::record::Draft;
use serde_json::{Value, json};

fn record(plural: &str, object: &Value) -> Arc<Record> {
    let text = |field: &str| object["metadata"][field].as_str().unwrap_or_default().to_owned();
    let key = Key::new(Resource::new("", plural), &text("namespace"), &text("name"));
    Arc::new(Draft::new(key, object.clone(), &[]).commit(1))
}

fn pod(uid: &str, node: &str, address: &str, phase: &str) -> Arc<Record> {
    record(
        "pods",
        &json!({
            "apiVersion": "v1", "kind": "Pod",
            "metadata": {"name": uid, "namespace": "a", "uid": uid, "labels": {"app": "web"}},
            "spec": {
                "nodeName": node,
                "initContainers": [
                    {"name": "once", "ports": [{"name": "once", "containerPort": 1}]},
                    {"name": "side", "restartPolicy": "Always", "ports": [{"name": "side", "containerPort": 2}]},
                ],
                "containers": [{"name": "c", "ports": [
                    {"name": "http", "containerPort": 8080}, {"containerPort": 9},
                    {"name": "dns", "containerPort": 53, "protocol": "UDP"},
                ]}],
            },
            "status": {"phase": phase, "podIPs": [{"ip": address}]},
        }),
    )
}

fn policy(namespace: &str, name: &str, spec: Value) -> Arc<Record> {
    let metadata = json!({"name": name, "namespace": namespace});
    record("networkpolicies", &json!({"kind": "NetworkPolicy", "metadata": metadata, "spec": spec}))
}

fn table() -> Table {
    Table::new("n1", vec![KindRef { group: "networking.k8s.io".into(), kind: "NetworkPolicy".into() }])
}

fn placed(uid: &str, address: &str) -> Pod {
    Pod {
        id: uid.into(),
        namespace: "a".into(),
        name: uid.into(),
        labels: Vec::new(),
        addresses: vec![address.into()],
        ports: Vec::new(),
        local: true,
        host_network: false,
    }
}

/// What is told, in short.
fn told(deltas: Vec<Delta>) -> Vec<String> {
    let line = |delta| match delta {
        Delta::PodSet(p) => {
            let ports: Vec<String> = p.ports.iter().map(|port| format!("{}={}", port.name, port.port)).collect();
            format!(
                "pod {} {} {} {}",
                p.id,
                p.addresses.join("+"),
                ports.join(","),
                if p.local { "here" } else { "there" }
            )
        }
        Delta::PodGone(id) => format!("gone {id}"),
        Delta::NamespaceSet(n) => format!("namespace {} {}", n.name, n.labels.len()),
        Delta::NamespaceGone(name) => format!("no namespace {name}"),
        Delta::PolicySet(p) => format!("policy {}/{} {}", p.namespace, p.name, String::from_utf8(p.spec).unwrap()),
        Delta::PolicyGone(p) => format!("no policy {}/{} of {}", p.namespace, p.name, p.kind.kind),
    };
    deltas.into_iter().map(line).collect()
}

#[test]
fn only_what_changes_for_policies_is_told() {
    let mut table = table();
    table.pods(vec![PodEvent::Snapshot(vec![pod("u1", "n1", "10.0.0.1", "Running"), pod("u2", "n2", "10.0.0.2", "")])]);
    let ports = "side=2,http=8080,dns=53";
    let want = [format!("pod u1 10.0.0.1 {ports} here"), format!("pod u2 10.0.0.2 {ports} there")];
    assert_eq!(told(table.take(false)), want);
    table.pods(vec![PodEvent::Applied(pod("u1", "n1", "10.0.0.1", "Unknown"))]);
    assert!(!table.is_dirty(), "another phase is nothing new");
    assert_eq!(told(table.take(true)), want, "everything is everything");
    table.pods(vec![PodEvent::Applied(pod("u1", "n1", "10.0.0.1", "Succeeded"))]);
    assert_eq!(told(table.take(false)), ["gone u1"], "one that has ended is none");
    table.pods(vec![PodEvent::Snapshot(Vec::new())]);
    assert_eq!(told(table.take(false)), ["gone u2"]);
    assert_eq!(told(table.take(true)), [""; 0]);
}

#[test]
fn policies_and_namespaces_are_told_by_what_they_say() {
    let mut table = table();
    let namespace = |labels: Value| {
        record("namespaces", &json!({"kind": "Namespace", "metadata": {"name": "a", "labels": labels}}))
    };
    table.namespaces(vec![PodEvent::Snapshot(vec![namespace(json!({"team": "x"}))])]);
    table.policies(0, vec![PodEvent::Snapshot(vec![policy("a", "p", json!({"podSelector": {}}))])]);
    assert_eq!(told(table.take(false)), ["namespace a 1", "policy a/p {\"podSelector\":{}}"]);
    assert!(table.guards("a") && !table.guards("b"));
    table.policies(0, vec![PodEvent::Applied(policy("a", "p", json!({"podSelector": {}})))]);
    table.namespaces(vec![PodEvent::Applied(namespace(json!({"team": "x"})))]);
    assert!(!table.is_dirty());
    table.policies(0, vec![PodEvent::Gone(policy("a", "p", json!({})))]);
    table.namespaces(vec![PodEvent::Gone(namespace(json!({})))]);
    assert_eq!(told(table.take(false)), ["no namespace a", "no policy a/p of NetworkPolicy"]);
    assert!(!table.guards("a"));
}

#[test]
fn a_pod_is_known_from_its_address_to_its_end() {
    let mut table = table();
    // Before its object says so.
    table.place(placed("u1", "10.0.0.1"));
    assert_eq!(told(table.take(false)), ["pod u1 10.0.0.1  here"]);
    table.pods(vec![PodEvent::Snapshot(Vec::new())]);
    assert!(!table.is_dirty(), "an old list does not know it, and it stays");
    // The object's address may be that of a sandbox before.
    table.pods(vec![PodEvent::Applied(pod("u1", "n1", "10.0.0.9", "Pending"))]);
    assert_eq!(told(table.take(false)), ["pod u1 10.0.0.1 side=2,http=8080,dns=53 here"]);
    table.displace("u1");
    assert_eq!(told(table.take(false)), ["gone u1"]);
    table.pods(vec![PodEvent::Applied(pod("u1", "n1", "10.0.0.1", "Running"))]);
    assert!(!table.is_dirty(), "what its object says of an address is over");
    table.place(placed("u1", "10.0.0.2"));
    assert_eq!(told(table.take(false)), ["pod u1 10.0.0.2 side=2,http=8080,dns=53 here"]);
    table.pods(vec![PodEvent::Gone(pod("u1", "n1", "", ""))]);
    assert_eq!(told(table.take(false)).len(), 1, "its object is gone, and its containers may not be");
    table.displace("u1");
    assert_eq!(told(table.take(false)), ["gone u1"]);
}
