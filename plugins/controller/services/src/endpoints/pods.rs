//! From pods to endpoints.

use gantry_sdk::Result;
use gantry_sdk::api::{Container, IntOrString, LabelSelector, Pod, Resource, Time};
use gantry_sdk::objects::{self, Query};
use serde::Deserialize;

use super::Zones;
use super::listed::Listed;
use crate::object::{Endpoint, EndpointConditions, EndpointPort, Service, ServicePort, TargetRef, or_default};

/// Where the columns are that every Service needs; `Row` has its fields in this order.
const COLUMNS: [&str; 9] = [
    "/metadata/name",
    "/metadata/uid",
    "/metadata/deletionTimestamp",
    "/status/phase",
    "/status/podIP",
    "/status/conditions/type=Ready/status",
    "/spec/nodeName",
    "/spec/hostname",
    "/spec/subdomain",
];

/// Where those are that only a Service with named target ports needs.
const PORT_COLUMNS: [&str; 2] = ["/spec/containers", "/spec/initContainers"];

#[derive(Clone, Debug, Default, Deserialize)]
struct Row(
    #[serde(deserialize_with = "or_default")] String,
    #[serde(deserialize_with = "or_default")] String,
    Option<Time>,
    #[serde(deserialize_with = "or_default")] String,
    #[serde(deserialize_with = "or_default")] String,
    #[serde(deserialize_with = "or_default")] String,
    #[serde(deserialize_with = "or_default")] String,
    #[serde(deserialize_with = "or_default")] String,
    #[serde(deserialize_with = "or_default")] String,
    #[serde(default, deserialize_with = "or_default")] Vec<Container>,
    #[serde(default, deserialize_with = "or_default")] Vec<Container>,
);

impl Row {
    /// Whether it has an address that its containers still use.
    fn serves(&self) -> bool {
        let Row(.., address, _, _, _, _, _, _) = self;
        !address.is_empty() && !matches!(self.3.as_str(), "Succeeded" | "Failed")
    }

    fn conditions(&self, publish_not_ready: bool) -> EndpointConditions {
        let (serving, terminating) = (self.5 == "True", self.2.is_some());
        let ready = publish_not_ready || (serving && !terminating);
        EndpointConditions { ready: Some(ready), serving: Some(serving), terminating: Some(terminating) }
    }

    /// The number behind a name; sidecars among the init containers have ports too.
    fn named_port(&self, name: &str, protocol: &str) -> Option<u16> {
        let sidecars = self.10.iter().filter(|container| container.restart_policy == "Always");
        let ports = self.9.iter().chain(sidecars).flat_map(|container| &container.ports);
        let mut fitting = ports.filter(|port| {
            let spoken = if port.protocol.is_empty() { "TCP" } else { &port.protocol };
            spoken == protocol && port.other.get("name").and_then(|n| n.as_str()) == Some(name)
        });
        fitting.next().map(|port| port.container_port)
    }

    /// Ports that this pod has; one whose name it does not know is left out.
    fn ports(&self, ports: &[ServicePort]) -> Vec<EndpointPort> {
        let number = |port: &ServicePort| match &port.target_port {
            None => Some(port.port),
            Some(IntOrString::Int(0)) => Some(port.port),
            Some(IntOrString::Int(number)) => u16::try_from(*number).ok(),
            Some(IntOrString::String(name)) => self.named_port(name, port.protocol()),
        };
        let listed = ports.iter().filter_map(|port| {
            Some(EndpointPort {
                name: port.name.clone(),
                protocol: port.protocol().to_owned(),
                port: Some(number(port)?),
                app_protocol: port.app_protocol.clone(),
            })
        });
        listed.collect()
    }
}

/// Every pod that a Service selects and that has an address.
pub fn listed(service: &Service, zones: &mut Zones) -> Result<Vec<Listed>> {
    let selector = LabelSelector::labels(service.spec.selector.clone());
    let query = Query::of::<Pod>().namespace(service.namespace()).labels(selector);
    let named = service.spec.ports.iter().any(|port| matches!(port.target_port, Some(IntOrString::String(_))));
    let more = if named { PORT_COLUMNS.as_slice() } else { &[] };
    let rows: Vec<Row> = objects::rows(&query, COLUMNS.into_iter().chain(more.iter().copied()))?;
    rows.iter().filter(|row| row.serves()).map(|row| one(service, row, zones)).collect()
}

fn one(service: &Service, row: &Row, zones: &mut Zones) -> Result<Listed> {
    let Row(name, uid, _, _, address, _, node, hostname, subdomain, ..) = row;
    let some = |text: &String| Some(text.clone()).filter(|text| !text.is_empty());
    let zone = if node.is_empty() { None } else { zones.of(node)? };
    let endpoint = Endpoint {
        addresses: vec![address.clone()],
        conditions: row.conditions(service.spec.publish_not_ready_addresses),
        hostname: some(hostname).filter(|_| subdomain == service.name()),
        node_name: some(node),
        zone,
        target_ref: Some(TargetRef {
            kind: "Pod".to_owned(),
            namespace: service.namespace().to_owned(),
            name: name.clone(),
            uid: uid.clone(),
        }),
        hints: None,
    };
    Ok(Listed { ports: row.ports(&service.spec.ports), endpoint })
}
