//! Where Ingresses are reached: every node that is ready has the proxy.

use gantry_sdk::api::{Node, Resource};
use gantry_sdk::objects::{self, Query, Write};
use gantry_sdk::{Result, Value, json};
use serde::Deserialize;

use crate::object::Ingress;

#[derive(Deserialize)]
struct Address {
    #[serde(rename = "type")]
    kind: String,
    address: String,
}

/// Addresses of nodes that are ready: those for the outside where they have some, in a steady order.
pub fn of_nodes() -> Result<Vec<String>> {
    let rows: Vec<(Option<Vec<Address>>, Option<String>)> =
        objects::rows(&Query::of::<Node>(), ["/status/addresses", "/status/conditions/type=Ready/status"])?;
    let ready = rows.into_iter().filter(|(_, ready)| ready.as_deref() == Some("True"));
    let mut all: Vec<String> = ready.filter_map(|(addresses, _)| best(&addresses.unwrap_or_default())).collect();
    all.sort();
    all.dedup();
    Ok(all)
}

fn best(addresses: &[Address]) -> Option<String> {
    let of = |kind: &str| addresses.iter().find(|address| address.kind == kind).map(|address| address.address.clone());
    of("ExternalIP").or_else(|| of("InternalIP"))
}

/// Says it in the Ingress.
pub fn publish(ingress: &Ingress, addresses: &[String]) -> Result<()> {
    let wanted: Vec<Value> = addresses.iter().map(|address| json!({ "ip": address })).collect();
    let known = ingress.status.pointer("/loadBalancer/ingress").and_then(Value::as_array);
    if known.map(Vec::as_slice).unwrap_or_default() == wanted {
        return Ok(());
    }
    let status = json!({"status": {"loadBalancer": {"ingress": wanted}}});
    objects::settle(Write::patch_status(ingress.reference(), &status).if_uid(ingress.uid()))
}
