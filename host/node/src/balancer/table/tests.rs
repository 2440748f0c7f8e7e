use super::*;
use gantry_model::Key;
use gantry_model::key::Resource;
use gantry_model::record::Draft;
use serde_json::{Value, json};

fn record(group: &str, plural: &str, object: &Value) -> Arc<Record> {
    let name = object["metadata"]["name"].as_str().unwrap();
    let key = Key::new(Resource::new(group, plural), "a", name);
    Arc::new(Draft::new(key, object.clone(), &[]).commit(1))
}

fn frontend(name: &str, class: &str, service: &str) -> Arc<Record> {
    record(
        "gantry.dev",
        "frontends",
        &json!({
            "apiVersion": "gantry.dev/v1alpha1", "kind": "Frontend", "metadata": {"name": name, "namespace": "a"},
            "spec": {
                "class": class, "addresses": ["10.96.0.1"], "ports": [{"name": "http", "port": 80, "nodePort": 30080}],
                "backends": {"selector": {"matchLabels": {"service": service}}},
                "sessionAffinity": {"type": "ClientIP", "timeoutSeconds": 60}, "trafficPolicy": {"external": "Local"},
            },
        }),
    )
}

fn slice(name: &str, service: &str, endpoints: Value) -> Arc<Record> {
    record(
        "discovery.k8s.io",
        "endpointslices",
        &json!({
            "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "addressType": "IPv4",
            "metadata": {"name": name, "namespace": "a", "labels": {"service": service}},
            "ports": [{"name": "http", "port": 8080, "protocol": "TCP"}], "endpoints": endpoints,
        }),
    )
}

fn table() -> Table {
    let mut table = Table::new("n1");
    table.serve(vec!["cluster".to_owned()]);
    table
}

/// What is told, in short.
fn told(deltas: Vec<Delta>) -> Vec<String> {
    let endpoint = |e: &Endpoint| {
        let flags = [(e.ready, 'r'), (e.serving, 's'), (e.terminating, 't'), (e.local, 'l')];
        let flags: String = flags.iter().filter(|(on, _)| *on).map(|(_, flag)| *flag).collect();
        format!("{}:{} {flags}", e.addresses.join("+"), e.port)
    };
    deltas
        .iter()
        .map(|delta| match delta {
            Delta::FrontendSet(f) => format!("set {} {} {:?}", f.id, f.affinity_seconds, f.external),
            Delta::FrontendGone(id) => format!("gone {id}"),
            Delta::BackendsSet(b) => {
                format!(
                    "{} {}: {}",
                    b.frontend,
                    b.port,
                    b.endpoints.iter().map(endpoint).collect::<Vec<_>>().join(", ")
                )
            }
        })
        .collect()
}

#[test]
fn only_what_changed_is_told() {
    let mut table = table();
    table.frontends(vec![PodEvent::Snapshot(vec![frontend("f", "cluster", "web"), frontend("g", "cluster", "db")])]);
    let one = json!([{"addresses": ["10.64.0.1"], "nodeName": "n1"}]);
    table.slices(vec![PodEvent::Snapshot(vec![slice("s", "web", one.clone()), slice("t", "other", one)])]);
    assert_eq!(
        told(table.take(true)),
        ["set a/f 60 Policy::Local", "set a/g 60 Policy::Local", "a/f http: 10.64.0.1:8080 rsl", "a/g http: ",]
    );
    assert!(!table.is_dirty());
    let two = json!([
        {"addresses": ["10.64.0.1"], "nodeName": "n1", "conditions": {"ready": false, "serving": true, "terminating": true}},
        {"addresses": ["10.64.0.2"], "nodeName": "n2", "conditions": {"ready": true}},
    ]);
    table.slices(vec![PodEvent::Applied(slice("s", "web", two))]);
    assert_eq!(told(table.take(false)), ["a/f http: 10.64.0.1:8080 stl, 10.64.0.2:8080 rs"]);
    // A slice that another Service has now is one less for the first.
    table.slices(vec![PodEvent::Applied(slice("s", "db", json!([{"addresses": ["10.64.0.3"]}])))]);
    assert_eq!(told(table.take(false)), ["a/f http: ", "a/g http: 10.64.0.3:8080 rs"]);
    table.slices(vec![PodEvent::Snapshot(vec![])]);
    assert_eq!(told(table.take(false)), ["a/g http: "]);
    table.frontends(vec![PodEvent::Gone(frontend("g", "cluster", "db"))]);
    table.frontends(vec![PodEvent::Snapshot(vec![])]);
    assert_eq!(told(table.take(false)), ["gone a/f", "gone a/g"]);
}

#[test]
fn other_classes_are_none_of_its_business() {
    let mut table = table();
    table.frontends(vec![PodEvent::Applied(frontend("f", "elb", "web"))]);
    assert_eq!(told(table.take(true)), [""; 0]);
    table.frontends(vec![PodEvent::Applied(frontend("f", "cluster", "web"))]);
    assert_eq!(told(table.take(false)), ["set a/f 60 Policy::Local", "a/f http: "]);
    table.frontends(vec![PodEvent::Applied(frontend("f", "elb", "web"))]);
    assert_eq!(told(table.take(false)), ["gone a/f"]);
}

#[test]
fn what_selects_something_else_has_other_backends() {
    let mut table = table();
    let one = json!([{"addresses": ["10.64.0.1"]}]);
    table.slices(vec![PodEvent::Applied(slice("s", "web", one))]);
    table.frontends(vec![PodEvent::Applied(frontend("f", "cluster", "db"))]);
    assert_eq!(told(table.take(false))[1], "a/f http: ");
    table.frontends(vec![PodEvent::Applied(frontend("f", "cluster", "web"))]);
    assert_eq!(told(table.take(false))[1], "a/f http: 10.64.0.1:8080 rs");
    let mut broken: Value = serde_json::from_slice(&frontend("f", "cluster", "web").json).unwrap();
    broken["spec"]["ports"] = json!("all");
    table.frontends(vec![PodEvent::Applied(record("gantry.dev", "frontends", &broken))]);
    assert_eq!(told(table.take(false)), ["gone a/f"]);
}

#[test]
fn backends_of_routes_have_selectors_of_their_own() {
    let mut table = Table::new("n1");
    table.serve(vec!["ingress".to_owned()]);
    let backend = |service: &str| json!({"name": format!("{service}:80"), "port": "http", "selector": {"matchLabels": {"service": service}}});
    let object = |services: &[&str]| {
        let backends: Vec<Value> = services.iter().map(|service| backend(service)).collect();
        let mut object = json!({
            "apiVersion": "gantry.dev/v1alpha1", "kind": "Frontend",
            "metadata": {
                "name": "f", "namespace": "a", "uid": "u-f", "creationTimestamp": "2026-01-01T00:00:00Z",
                "ownerReferences": [{"apiVersion": "networking.k8s.io/v1", "kind": "Ingress", "name": "i", "uid": "u-i", "controller": true}],
            },
            "spec": {"class": "ingress", "http": {"listeners": [{"name": "http", "port": 80}]}},
        });
        object["spec"]["http"]["backends"] = Value::from(backends);
        record("gantry.dev", "frontends", &object)
    };
    let one = json!([{"addresses": ["10.64.0.1"]}]);
    table.slices(vec![PodEvent::Snapshot(vec![slice("s", "web", one.clone()), slice("t", "api", one)])]);
    table.frontends(vec![PodEvent::Applied(object(&["web", "api"]))]);
    let set = "set a/f 0 Policy::Cluster";
    assert_eq!(told(table.take(true)), [set, "a/f web:80: 10.64.0.1:8080 rs", "a/f api:80: 10.64.0.1:8080 rs"]);
    let about = table.about("a/f");
    let named: Vec<_> =
        about.iter().map(|about| (about.kind.as_str(), about.name.as_str(), about.uid.as_str())).collect();
    assert_eq!(named, [("Frontend", "f", "u-f"), ("Ingress", "i", "u-i")]);
    // Any of them wakes it, also one that is not the first.
    table.slices(vec![PodEvent::Applied(slice("t", "api", json!([])))]);
    assert_eq!(told(table.take(false)), ["a/f web:80: 10.64.0.1:8080 rs", "a/f api:80: "]);
    table.frontends(vec![PodEvent::Applied(object(&["web"]))]);
    assert_eq!(told(table.take(false)), [set, "a/f web:80: 10.64.0.1:8080 rs"]);
    table.slices(vec![PodEvent::Applied(slice("t", "api", json!([{"addresses": ["10.64.0.2"]}])))]);
    assert!(!table.is_dirty());
}
