//! Random clusters and changes.

use gantry_sdk::network_policy::{Delta, NamedPort, Pod, PolicyRef, Protocol};
use gantry_sdk::{Value, json};
use proptest::prelude::*;

use super::{kind, namespace, pod, policy};

fn selector() -> impl Strategy<Value = Value> {
    let label = prop_oneof![Just("web"), Just("db")];
    prop_oneof![
        2 => Just(json!({})),
        4 => label.clone().prop_map(|app| json!({"matchLabels": {"app": app}})),
        1 => label.clone().prop_map(|app| json!({"matchExpressions": [{"key": "app", "operator": "NotIn", "values": [app]}]})),
        1 => label.prop_map(|app| json!({"matchExpressions": [{"key": "app", "operator": "In", "values": [app, "other"]}]})),
        1 => Just(json!({"matchExpressions": [{"key": "team", "operator": "Exists"}]})),
        1 => Just(json!({"matchExpressions": [{"key": "team", "operator": "DoesNotExist"}]})),
    ]
}

fn peer() -> impl Strategy<Value = Value> {
    let except = prop::collection::vec(
        prop_oneof![Just("10.64.0.2/32"), Just("10.64.0.0/30"), Just("203.0.113.0/25"), Just("10.64.0.3/32")],
        0..3,
    );
    prop_oneof![
        selector().prop_map(|pods| json!({"podSelector": pods})),
        selector().prop_map(|namespaces| json!({"namespaceSelector": namespaces})),
        (selector(), selector()).prop_map(|(n, p)| json!({"namespaceSelector": n, "podSelector": p})),
        (prop_oneof![Just("0.0.0.0/0"), Just("10.64.0.0/29")], except)
            .prop_map(|(cidr, except)| json!({"ipBlock": {"cidr": cidr, "except": except}})),
        Just(json!({"ipBlock": {"cidr": "fd00:64::/126"}})),
        Just(json!({"ipBlock": {"cidr": "::/0", "except": ["fd00:64::2/127"]}})),
    ]
}

fn port() -> impl Strategy<Value = Value> {
    prop_oneof![
        (80_u16..84).prop_map(|port| json!({"port": port})),
        (80_u16..84, 0_u16..3).prop_map(|(port, more)| json!({"port": port, "endPort": port + more})),
        Just(json!({"port": "http"})),
        Just(json!({"port": "http", "protocol": "UDP"})),
        Just(json!({"port": 81, "protocol": "UDP"})),
        Just(json!({"protocol": "UDP"})),
        Just(json!({"protocol": "SCTP", "port": 80, "endPort": 65_535})),
    ]
}

fn rules(side: &'static str) -> impl Strategy<Value = Value> {
    let rule = (prop::collection::vec(peer(), 0..3), prop::collection::vec(port(), 0..3));
    let rule = rule.prop_map(move |(peers, ports)| json!({side: peers, "ports": ports}));
    prop::collection::vec(rule, 0..3).prop_map(Value::Array)
}

fn spec() -> impl Strategy<Value = Value> {
    let types = prop_oneof![
        Just(json!(null)),
        Just(json!(["Ingress"])),
        Just(json!(["Egress"])),
        Just(json!(["Ingress", "Egress"]))
    ];
    (selector(), types, rules("from"), rules("to")).prop_map(|(pods, types, ingress, egress)| {
        json!({"podSelector": pods, "policyTypes": types, "ingress": ingress, "egress": egress})
    })
}

const NAMESPACES: [&str; 2] = ["a", "b"];
/// Pods have the addresses `10.64.0.1` to this.
pub const PODS: u8 = 6;

fn any_namespace() -> impl Strategy<Value = &'static str> {
    prop_oneof![Just("a"), Just("b")]
}

fn any_pod() -> impl Strategy<Value = Pod> {
    let text = prop_oneof![Just(""), Just("app=web"), Just("app=db"), Just("app=db,team=x")];
    (0..PODS, text, any::<bool>(), 80_u16..83, prop::bool::weighted(0.1), prop::bool::weighted(0.8)).prop_map(
        |(number, text, local, http, host_network, both)| {
            // A pod keeps its namespace for life.
            let namespace = NAMESPACES[usize::from(number % 2)];
            let mut pod = Pod { local, host_network, ..pod(namespace, &format!("p{number}"), number + 1, text) };
            pod.ports.push(NamedPort { name: "http".into(), protocol: Protocol::Udp, port: http });
            pod.ports.push(NamedPort { name: "http".into(), protocol: Protocol::Tcp, port: http });
            pod.addresses.truncate(1 + usize::from(both));
            pod
        },
    )
}

/// A change.
pub fn delta() -> impl Strategy<Value = Delta> {
    let labels = prop_oneof![Just(""), Just("team=x"), Just("app=web")];
    prop_oneof![
        5 => any_pod().prop_map(Delta::PodSet),
        1 => any_pod().prop_map(|pod| Delta::PodGone(pod.id)),
        2 => (any_namespace(), labels).prop_map(|(name, labels)| namespace(name, labels)),
        1 => any_namespace().prop_map(|name| Delta::NamespaceGone(name.into())),
        5 => (any_namespace(), 0..3, spec()).prop_map(|(of, n, spec)| policy(of, &format!("p{n}"), &spec)),
        2 => (any_namespace(), 0..3).prop_map(|(of, n)| {
            Delta::PolicyGone(PolicyRef { kind: kind(), namespace: of.into(), name: format!("p{n}") })
        }),
    ]
}
