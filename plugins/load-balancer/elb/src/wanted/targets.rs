//! Who serves, as AWS registers it.

use std::collections::{BTreeMap, BTreeSet};

use gantry_sdk::Result as Read;
use gantry_sdk::api::{Endpoint, EndpointSlice, LabelSelector};
use gantry_sdk::objects::{self, Query};

use crate::object::{Node, Port, Spec, instance};

/// Kubernetes' label of nodes that serve nobody from outside.
const EXCLUDED: &str = "node.kubernetes.io/exclude-from-external-load-balancers";

/// One target.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Target {
    /// An address, or an instance.
    pub id: String,
    /// Where it serves.
    pub port: u16,
}

/// What of the cluster targets are made of.
#[derive(Clone, Debug, Default)]
pub struct Members {
    slices: Vec<EndpointSlice>,
    /// Name and instance of nodes that are ready.
    nodes: Vec<(String, String)>,
}

impl Members {
    /// Endpoints of a namespace; nodes, where they are targets.
    pub fn read(namespace: &str, nodes: bool) -> Read<Self> {
        let slices: Vec<EndpointSlice> = objects::list(&Query::of::<EndpointSlice>().namespace(namespace))?;
        let nodes = if nodes { self::nodes()? } else { Vec::new() };
        Ok(Self { slices, nodes })
    }

    /// A selector that says nothing means nobody here, not everybody.
    fn matching<'a>(&'a self, selector: &'a LabelSelector) -> impl Iterator<Item = &'a EndpointSlice> {
        let chosen = |slice: &&EndpointSlice| !selector.is_empty() && selector.matches(&slice.metadata.labels);
        self.slices.iter().filter(chosen)
    }

    /// Endpoints by their addresses. All addresses of one lead to the same pod, so the first stands for it.
    pub fn addresses(&self, selector: &LabelSelector, port: &str) -> BTreeSet<Target> {
        let slices = self.matching(selector).filter(|slice| slice.address_type == "IPv4");
        let serving = slices.flat_map(|slice| serving(slice, port));
        serving.filter_map(|(endpoint, port)| Some(Target { id: endpoint.addresses.first()?.clone(), port })).collect()
    }

    /// Nodes at their port; of the policy `Local` those that have an endpoint.
    pub fn instances(&self, spec: &Spec, port: &Port) -> BTreeSet<Target> {
        let slices = self.matching(&spec.backends.selector);
        let with: BTreeSet<&str> = slices
            .flat_map(|slice| serving(slice, &port.name))
            .filter_map(|(endpoint, _)| endpoint.node_name.as_deref())
            .collect();
        let local = spec.traffic_policy.external == "Local";
        let chosen = self.nodes.iter().filter(|(name, _)| !local || with.contains(name.as_str()));
        chosen.map(|(_, id)| Target { id: id.clone(), port: port.node_port }).collect()
    }
}

/// Endpoints that take connections, and where, at the port of this name.
fn serving<'a>(slice: &'a EndpointSlice, port: &str) -> impl Iterator<Item = (&'a Endpoint, u16)> + use<'a> {
    let number = slice.ports.iter().find(|known| known.name == port).and_then(|known| known.port);
    let ready = slice.endpoints.iter().filter(|endpoint| endpoint.conditions.is_ready());
    ready.filter_map(move |endpoint| Some((endpoint, number?)))
}

/// Name, instance, readiness and labels of a node.
type Row = (String, Option<String>, Option<String>, Option<BTreeMap<String, String>>);

fn nodes() -> Read<Vec<(String, String)>> {
    let fields = ["/metadata/name", "/spec/providerID", "/status/conditions/type=Ready/status", "/metadata/labels"];
    let mut rows: Vec<Row> = objects::rows(&Query::of::<Node>(), fields)?;
    rows.retain(|(_, _, ready, labels)| {
        ready.as_deref() == Some("True") && !labels.as_ref().is_some_and(|labels| labels.contains_key(EXCLUDED))
    });
    let instance = |(name, provider, ..): Row| Some((name, instance(provider.as_deref()?)?.to_owned()));
    Ok(rows.into_iter().filter_map(instance).collect())
}

#[cfg(test)]
mod tests {
    use gantry_sdk::{Value, json, serde_json};

    use super::*;

    #[test]
    fn an_endpoint_is_one_target_of_ipv4() {
        let slice = |family: &str, addresses: Value| -> EndpointSlice {
            serde_json::from_value(json!({
                "metadata": {"name": "s", "labels": {"app": "web"}}, "addressType": family,
                "endpoints": [{"addresses": addresses, "conditions": {"ready": true}}], "ports": [{"name": "http", "port": 80}],
            }))
            .unwrap()
        };
        let web = LabelSelector::labels([("app", "web")]);
        let table = [
            ("IPv4", json!(["10.0.0.1"]), web.clone(), Some("10.0.0.1")),
            ("IPv4", json!(["10.0.0.1", "10.0.0.2"]), web.clone(), Some("10.0.0.1")),
            ("IPv4", json!([]), web.clone(), None),
            ("IPv6", json!(["fd00::1"]), web.clone(), None),
            ("FQDN", json!(["web.example"]), web, None),
            ("IPv4", json!(["10.0.0.1"]), LabelSelector::labels([("app", "other")]), None),
            ("IPv4", json!(["10.0.0.1"]), LabelSelector::default(), None),
        ];
        for (family, addresses, selector, want) in table {
            let members = Members { slices: vec![slice(family, addresses.clone())], nodes: Vec::new() };
            let got: Vec<String> = members.addresses(&selector, "http").into_iter().map(|target| target.id).collect();
            assert_eq!(got, want.into_iter().collect::<Vec<_>>(), "{family} {addresses} {selector}");
        }
    }
}
