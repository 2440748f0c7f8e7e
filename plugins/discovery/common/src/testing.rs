//! For tests: a node's table, kept by what a plugin says of objects that come and go.
#![allow(clippy::expect_used, clippy::indexing_slicing, missing_docs, reason = "a failure here is a failed test")]

use std::collections::BTreeMap;

use gantry_sdk::discovery::{Change, Data, Delta, Discovery, Document, NodeInfo};
use gantry_sdk::{Config, KindRef, ObjectRef, Value, json};

/// By name its records, as text.
pub type Table = BTreeMap<String, Vec<String>>;

pub struct World<P> {
    plugin: P,
    pub table: Table,
}

pub fn node() -> NodeInfo {
    let texts = |text: &str| vec![text.to_owned()];
    NodeInfo { name: "n1".to_owned(), addresses: texts("192.0.2.1"), cluster_ranges: texts("10.64.0.0/16") }
}

impl<P: Discovery> World<P> {
    pub fn new(config: Value) -> Self {
        let mut plugin = P::default();
        plugin.configure(Config::from(config), node()).expect("takes its configuration");
        let mut world = Self { plugin, table: Table::new() };
        world.sync(true, Vec::new());
        world
    }

    /// What changes; how many names that were.
    pub fn sync(&mut self, full: bool, deltas: Vec<Delta>) -> usize {
        let changes = self.plugin.sync(full, deltas).expect("takes what there is");
        if full {
            self.table.clear();
        }
        let count = changes.len();
        for Change { name, data, .. } in changes {
            match data.as_slice() {
                [] => drop(self.table.remove(&name)),
                data => drop(self.table.insert(name, data.iter().map(shown).collect())),
            }
        }
        count
    }

    pub fn set(&mut self, object: &Value) -> usize {
        self.sync(false, vec![set(object)])
    }

    pub fn gone(&mut self, object: &Value) -> usize {
        self.sync(false, vec![gone(object)])
    }

    /// All records of a name, in their order, with commas.
    pub fn has(&self, name: &str) -> String {
        self.table.get(name).map(|records| records.join(", ")).unwrap_or_default()
    }
}

fn shown(data: &Data) -> String {
    match data {
        Data::A(address) | Data::Aaaa(address) => address.clone(),
        Data::Cname(name) => format!("CNAME {name}"),
        Data::Ptr(name) => format!("PTR {name}"),
        Data::Srv(srv) => format!("SRV {} {} {} {}", srv.priority, srv.weight, srv.port, srv.target),
        Data::Txt(texts) => format!("TXT {}", texts.join(" ")),
        Data::Other(text) => text.clone(),
    }
}

pub fn set(object: &Value) -> Delta {
    Delta::ObjectSet(Document { of: reference(object), json: object.to_string().into_bytes() })
}

pub fn gone(object: &Value) -> Delta {
    Delta::ObjectGone(reference(object))
}

fn reference(object: &Value) -> ObjectRef {
    let text = |pointer: &str| object.pointer(pointer).and_then(Value::as_str).unwrap_or_default().to_owned();
    let group = if text("/kind") == "Service" { "" } else { "discovery.k8s.io" };
    let kind = KindRef::new(group, text("/kind"));
    ObjectRef { kind, namespace: text("/metadata/namespace"), name: text("/metadata/name") }
}

pub fn service(name: &str, spec: Value) -> Value {
    json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": name, "namespace": "shop"}, "spec": spec})
}

/// A slice of a Service, of which all endpoints have the port `http`.
pub fn slice(name: &str, service: &str, endpoints: Value) -> Value {
    json!({
        "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "addressType": "IPv4",
        "metadata": {"name": name, "namespace": "shop", "labels": {"kubernetes.io/service-name": service}},
        "ports": [{"name": "http", "port": 8080, "protocol": "TCP"}],
        "endpoints": endpoints,
    })
}

pub fn endpoint(address: &str, ready: bool, hostname: &str) -> Value {
    let mut endpoint = json!({"addresses": [address], "conditions": {"ready": ready}});
    if !hostname.is_empty() {
        endpoint["hostname"] = json!(hostname);
    }
    endpoint
}
