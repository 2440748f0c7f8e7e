//! Who serves, as AWS registers it.

use std::collections::{BTreeMap, BTreeSet};

use gantry_sdk::Result as Read;
use gantry_sdk::api::{Endpoint, EndpointSlice};
use gantry_sdk::objects::{self, Query};

use crate::object::{Node, Port, Spec, instance};

/// One target.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Target {
    /// An address, or an instance.
    pub id: String,
    /// Where it serves.
    pub port: u16,
}

/// Whether labels have all that a selector asks for.
pub fn selects(selector: &BTreeMap<String, String>, labels: &BTreeMap<String, String>) -> bool {
    !selector.is_empty() && selector.iter().all(|(key, value)| labels.get(key) == Some(value))
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

    fn matching<'a>(&'a self, selector: &'a BTreeMap<String, String>) -> impl Iterator<Item = &'a EndpointSlice> {
        self.slices.iter().filter(move |slice| selects(selector, &slice.metadata.labels))
    }

    /// Endpoints by their addresses.
    pub fn addresses(&self, selector: &BTreeMap<String, String>, port: &str) -> BTreeSet<Target> {
        let slices = self.matching(selector).filter(|slice| slice.address_type != "IPv6");
        let serving = slices.flat_map(|slice| serving(slice, port));
        serving
            .flat_map(|(endpoint, port)| endpoint.addresses.iter().map(move |id| Target { id: id.clone(), port }))
            .collect()
    }

    /// Nodes at their port; of the policy `Local` those that have an endpoint.
    pub fn instances(&self, spec: &Spec, port: &Port) -> BTreeSet<Target> {
        let slices = self.matching(&spec.backends.selector.match_labels);
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

fn nodes() -> Read<Vec<(String, String)>> {
    let fields = ["/metadata/name", "/spec/providerID", "/status/conditions/type=Ready/status"];
    let rows: Vec<(String, Option<String>, Option<String>)> = objects::rows(&Query::of::<Node>(), fields)?;
    let ready = rows.into_iter().filter(|(_, _, ready)| ready.as_deref() == Some("True"));
    Ok(ready.filter_map(|(name, provider, _)| Some((name, instance(provider.as_deref()?)?.to_owned()))).collect())
}
