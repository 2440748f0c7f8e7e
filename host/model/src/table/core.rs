//! Tables of the core kinds, apart from pods.

use jiff::Timestamp;
use serde_json::{Value, json};

use super::age::since;
use super::cells::{age, at, list, name, or_none, size, text};
use super::{AGE, Column, Computed, NAME, Row, column, pod};

/// How a core kind's rows are computed; `None`: as its columns say.
pub(super) fn of(group: &str, kind: &str) -> Option<Computed> {
    let (columns, row): (&'static [Column], Row) = match (group, kind) {
        ("", "Pod") => (pod::COLUMNS, pod::row),
        ("", "Node") => (NODE, node),
        ("", "Namespace") => (NAMESPACE, namespace),
        ("", "ConfigMap") => (CONFIG_MAP, config_map),
        ("", "Secret") => (SECRET, secret),
        ("", "ServiceAccount") => (SERVICE_ACCOUNT, service_account),
        ("" | "events.k8s.io", "Event") => (EVENT, event),
        ("coordination.k8s.io", "Lease") => (LEASE, lease),
        ("discovery.k8s.io", "EndpointSlice") => (ENDPOINT_SLICE, endpoint_slice),
        ("scheduling.k8s.io", "PriorityClass") => (PRIORITY_CLASS, priority_class),
        ("apiextensions.k8s.io", "CustomResourceDefinition") => (DEFINITION, definition),
        _ => return None,
    };
    Some(Computed { columns, row })
}

const NODE: &[Column] = &[
    NAME,
    column("Status", "string", 0, "Whether the node is ready and takes new pods."),
    column("Roles", "string", 0, "The roles that the node's labels give it."),
    AGE,
    column("Version", "string", 0, "The agent's version."),
    column("Internal-IP", "string", 1, "The node's address inside the cluster."),
    column("External-IP", "string", 1, "The node's address from outside."),
    column("OS-Image", "string", 1, "The operating system."),
    column("Kernel-Version", "string", 1, "The kernel."),
    column("Container-Runtime", "string", 1, "What runs the containers, and its version."),
];

fn node(node: &Value, now: Timestamp) -> Vec<Value> {
    let info = |field: &str| match text(node, &["status", "nodeInfo", field]) {
        "" => Value::from("<unknown>"),
        text => Value::from(text),
    };
    let addresses = list(node, &["status", "addresses"]);
    let address = |type_: &str| {
        let found = addresses.iter().find(|a| text(a, &["type"]) == type_);
        or_none(found.map_or("", |a| text(a, &["address"])))
    };
    vec![
        name(node),
        node_status(node),
        roles(node),
        age(node, now),
        json!(text(node, &["status", "nodeInfo", "kubeletVersion"])),
        address("InternalIP"),
        address("ExternalIP"),
        info("osImage"),
        info("kernelVersion"),
        info("containerRuntimeVersion"),
    ]
}

fn node_status(node: &Value) -> Value {
    let ready = list(node, &["status", "conditions"]).iter().find(|c| text(c, &["type"]) == "Ready");
    let mut status = match ready.map(|c| text(c, &["status"])) {
        Some("True") => "Ready",
        Some(_) => "NotReady",
        None => "Unknown",
    }
    .to_owned();
    if at(node, &["spec", "unschedulable"]) == Some(&Value::Bool(true)) {
        status.push_str(",SchedulingDisabled");
    }
    Value::from(status)
}

fn roles(node: &Value) -> Value {
    let labels = at(node, &["metadata", "labels"]).and_then(Value::as_object);
    let role = |(key, value): (&String, &Value)| match key.strip_prefix("node-role.kubernetes.io/") {
        Some(role) => Some(role.to_owned()),
        None if key == "kubernetes.io/role" => value.as_str().map(str::to_owned),
        None => None,
    };
    let mut roles: Vec<String> = labels.into_iter().flatten().filter_map(role).filter(|r| !r.is_empty()).collect();
    roles.sort();
    roles.dedup();
    or_none(&roles.join(","))
}

const NAMESPACE: &[Column] =
    &[NAME, column("Status", "string", 0, "Active, or Terminating while its objects are deleted."), AGE];

fn namespace(namespace: &Value, now: Timestamp) -> Vec<Value> {
    vec![name(namespace), json!(text(namespace, &["status", "phase"])), age(namespace, now)]
}

const CONFIG_MAP: &[Column] = &[NAME, column("Data", "integer", 0, "How many keys it has."), AGE];

fn config_map(map: &Value, now: Timestamp) -> Vec<Value> {
    vec![name(map), json!(size(map, &["data"]) + size(map, &["binaryData"])), age(map, now)]
}

const SECRET: &[Column] = &[
    NAME,
    column("Type", "string", 0, "What the secret is for."),
    column("Data", "integer", 0, "How many keys it has."),
    AGE,
];

fn secret(secret: &Value, now: Timestamp) -> Vec<Value> {
    vec![name(secret), json!(text(secret, &["type"])), json!(size(secret, &["data"])), age(secret, now)]
}

const SERVICE_ACCOUNT: &[Column] = &[NAME, column("Secrets", "integer", 0, "How many secrets it may use."), AGE];

fn service_account(account: &Value, now: Timestamp) -> Vec<Value> {
    vec![name(account), json!(size(account, &["secrets"])), age(account, now)]
}

const LEASE: &[Column] = &[NAME, column("Holder", "string", 0, "Who holds the lease."), AGE];

fn lease(lease: &Value, now: Timestamp) -> Vec<Value> {
    vec![name(lease), json!(text(lease, &["spec", "holderIdentity"])), age(lease, now)]
}

const PRIORITY_CLASS: &[Column] = &[
    NAME,
    column("Value", "integer", 0, "The priority that it gives."),
    column("Global-Default", "boolean", 0, "Whether pods without a class get it."),
    AGE,
    column("PreemptionPolicy", "string", 0, "Whether its pods may push others out."),
];

fn priority_class(class: &Value, now: Timestamp) -> Vec<Value> {
    vec![
        name(class),
        at(class, &["value"]).cloned().unwrap_or(json!(0)),
        at(class, &["globalDefault"]).cloned().unwrap_or(json!(false)),
        age(class, now),
        json!(text(class, &["preemptionPolicy"])),
    ]
}

const DEFINITION: &[Column] = &[NAME, column("Created At", "date", 0, "When it was created.")];

fn definition(definition: &Value, _: Timestamp) -> Vec<Value> {
    vec![name(definition), json!(text(definition, &["metadata", "creationTimestamp"]))]
}

const ENDPOINT_SLICE: &[Column] = &[
    NAME,
    column("AddressType", "string", 0, "What the addresses are."),
    column("Ports", "string", 0, "The ports of every endpoint."),
    column("Endpoints", "string", 0, "The addresses."),
    AGE,
];

fn endpoint_slice(slice: &Value, now: Timestamp) -> Vec<Value> {
    let ports = list(slice, &["ports"]).iter().filter_map(|p| Some(at(p, &["port"])?.to_string()));
    let addresses = list(slice, &["endpoints"]).iter().flat_map(|e| list(e, &["addresses"]));
    let addresses = addresses.filter_map(Value::as_str).map(str::to_owned);
    vec![
        name(slice),
        json!(text(slice, &["addressType"])),
        some_of(ports.collect()),
        some_of(addresses.collect()),
        age(slice, now),
    ]
}

/// The first three, and how many more there are.
fn some_of(all: Vec<String>) -> Value {
    const SHOWN: usize = 3;
    let shown = all.iter().take(SHOWN).cloned().collect::<Vec<_>>().join(",");
    Value::from(match all.len() {
        0 => "<unset>".to_owned(),
        n if n > SHOWN => format!("{shown} + {} more...", n - SHOWN),
        _ => shown,
    })
}

const EVENT: &[Column] = &[
    column("Last Seen", "string", 0, "How long ago it last happened."),
    column("Type", "string", 0, "Normal or Warning."),
    column("Reason", "string", 0, "Why, in one word."),
    column("Object", "string", 0, "What it is about."),
    column("Subobject", "string", 1, "The part of the object that it is about."),
    column("Source", "string", 1, "Who reports it."),
    column("Message", "string", 0, "What happened, for people."),
    column("First Seen", "string", 1, "How long ago it first happened."),
    column("Count", "string", 1, "How often it happened."),
    Column { priority: 1, ..NAME },
];

fn event(event: &Value, now: Timestamp) -> Vec<Value> {
    // The two versions of the kind name the same things differently.
    let either = |names: &[&[&str]]| names.iter().map(|path| text(event, path)).find(|t| !t.is_empty());
    let moment = |names: &[&[&str]]| either(names).map(|m| since(Some(m), now));
    let first = moment(&[&["firstTimestamp"], &["deprecatedFirstTimestamp"], &["eventTime"]]);
    let last = moment(&[&["series", "lastObservedTime"], &["lastTimestamp"], &["deprecatedLastTimestamp"]]);
    let first = first.unwrap_or_else(|| "<unknown>".to_owned());
    let count = [&["series", "count"][..], &["count"], &["deprecatedCount"]];
    let count = count.iter().find_map(|path| at(event, path)?.as_i64()).filter(|n| *n > 0).unwrap_or(1);
    let about = at(event, &["involvedObject"]).or(at(event, &["regarding"])).unwrap_or(&Value::Null);
    let target = match (text(about, &["kind"]).to_lowercase(), text(about, &["name"])) {
        (kind, "") => kind,
        (kind, name) => format!("{kind}/{name}"),
    };
    let component = [
        &["source", "component"][..],
        &["deprecatedSource", "component"],
        &["reportingComponent"],
        &["reportingController"],
    ];
    let host = either(&[&["source", "host"], &["deprecatedSource", "host"]]);
    let source = [either(&component), host].into_iter().flatten().collect::<Vec<_>>().join(", ");
    vec![
        json!(last.unwrap_or_else(|| first.clone())),
        json!(text(event, &["type"])),
        json!(text(event, &["reason"])),
        json!(target),
        json!(text(about, &["fieldPath"])),
        json!(source),
        json!(either(&[&["message"], &["note"]]).unwrap_or_default().trim()),
        json!(first),
        json!(count),
        name(event),
    ]
}
