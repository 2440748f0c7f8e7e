//! What tests share: the plugin's plans in an interpreter of the part of nftables that they use, and what policies mean,
//! said in the plainest way.
#![allow(
    dead_code,
    unused_imports,
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "not every test uses all"
)]

pub mod meaning;
pub mod random;
pub mod ruleset;

use gantry_sdk::network_policy::{
    Delta, NamedPort, Namespace, NetworkPolicy, NodeInfo, Operation, Pod, Policy, Protocol,
};
use gantry_sdk::{Config, KindRef, Label, Value};
use network_policy::Policies;

pub use meaning::World;
pub use ruleset::{Packet, Ruleset};

/// A node of a cluster with both address families.
pub fn plugin() -> Policies {
    let mut plugin = Policies::default();
    let node = NodeInfo {
        name: "n1".into(),
        addresses: vec!["192.0.2.1".into()],
        cluster_ranges: vec!["10.64.0.0/16".into(), "fd00:64::/48".into()],
    };
    plugin.configure(Config::from_text("{}"), node).unwrap();
    plugin
}

/// The one transaction of a plan.
pub fn text(plan: Vec<Operation>) -> Option<String> {
    match plan.as_slice() {
        [] => None,
        [Operation::Nftables(text)] => Some(text.clone()),
        other => panic!("one transaction, and not {other:?}"),
    }
}

pub fn labels(text: &str) -> Vec<Label> {
    let pairs = text.split(',').filter(|pair| !pair.is_empty());
    pairs.map(|pair| pair.split_once('=').unwrap()).map(|(key, value)| Label::new(key, value)).collect()
}

/// `10.64.0.N` and `fd00:64::N` on this node; named `http` is what it serves.
pub fn pod(namespace: &str, name: &str, last: u8, text: &str) -> Pod {
    Pod {
        id: format!("{namespace}-{name}"),
        namespace: namespace.into(),
        name: name.into(),
        labels: labels(text),
        addresses: vec![format!("10.64.0.{last}"), format!("fd00:64::{last}")],
        ports: vec![NamedPort { name: "http".into(), protocol: Protocol::Tcp, port: 8080 }],
        local: true,
        host_network: false,
    }
}

pub fn namespace(name: &str, text: &str) -> Delta {
    let name = name.to_owned();
    let own = Label::new("kubernetes.io/metadata.name", name.clone());
    Delta::NamespaceSet(Namespace { labels: labels(text).into_iter().chain([own]).collect(), name })
}

pub fn kind() -> KindRef {
    KindRef::new("networking.k8s.io", "NetworkPolicy")
}

pub fn policy(namespace: &str, name: &str, spec: &Value) -> Delta {
    let spec = spec.to_string().into_bytes();
    Delta::PolicySet(Policy { kind: kind(), namespace: namespace.into(), name: name.into(), spec })
}
