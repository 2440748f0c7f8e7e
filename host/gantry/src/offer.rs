//! What nodes get of this server's bundle: the plugins that act on nodes, and its sinks.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, Result};
use async_trait::async_trait;
use bytes::Bytes;
use gantry_link::{Backing, BundleOffer, Delivery, Verdict};
use gantry_model::Caller;
use gantry_node::records::{Fate, Outlet};
use gantry_plugin::{Family, Loaded};
use http::{Request, Response};
use toml::{Table, Value};

use crate::control::Control;
use crate::delivery;
use crate::local::Desk;

/// Families that act on nodes.
const ON_NODES: [Family; 4] = [Family::Discovery, Family::Network, Family::LoadBalancer, Family::NetworkPolicy];

/// The part of a bundle that goes to nodes.
pub struct Offer {
    offer: BundleOffer,
    /// Components by digest.
    files: HashMap<String, PathBuf>,
    sinks: Vec<Arc<dyn Outlet>>,
    desk: Desk,
}

impl Offer {
    /// Of a bundle and what runs by it, and the addresses of all pods.
    pub fn new(bundle: &Path, control: &Control, cluster_ranges: Vec<String>) -> Result<Self> {
        let (loaded, sinks) = (control.loaded(), control.outlets());
        let failed = || format!("can't read bundle {}", bundle.display());
        let text = std::fs::read_to_string(bundle).with_context(failed)?;
        let table: Table = toml::from_str(&text).with_context(failed)?;
        let acts = |loaded: &&Arc<Loaded>| loaded.manifest().families.iter().any(|family| ON_NODES.contains(family));
        let chosen: Vec<&Arc<Loaded>> = loaded.iter().filter(acts).collect();
        let names: Vec<&str> = chosen.iter().map(|loaded| loaded.name()).collect();
        let sink_names = sinks.iter().map(|sink| sink.name().to_owned()).collect();
        let absent = others(&table, &names);
        Ok(Self {
            offer: BundleOffer {
                bundle: part(table, &names)?,
                sinks: sink_names,
                cluster_ranges,
                absent,
                local: control.local(),
            },
            sinks,
            desk: control.desk(),
            files: chosen.iter().map(|loaded| (loaded.digest().to_owned(), loaded.file().to_owned())).collect(),
        })
    }
}

/// The names of a bundle's plugins but for these.
fn others(bundle: &Table, names: &[&str]) -> Vec<String> {
    let plugins = bundle.get("plugin").and_then(Value::as_array).into_iter().flatten();
    let all = plugins.filter_map(|plugin| plugin.get("name")?.as_str());
    all.filter(|name| !names.contains(name)).map(str::to_owned).collect()
}

/// The bundle with these plugins only, as text. Where their components lie is the node's own business.
fn part(mut bundle: Table, names: &[&str]) -> Result<String> {
    let plugins = bundle.get("plugin").and_then(Value::as_array).into_iter().flatten();
    let chosen = plugins
        .filter_map(Value::as_table)
        .filter(|plugin| plugin.get("name").and_then(Value::as_str).is_some_and(|name| names.contains(&name)));
    let chosen: Vec<Value> = chosen
        .map(|plugin| {
            let mut plugin = plugin.clone();
            plugin.remove("source");
            Value::Table(plugin)
        })
        .collect();
    bundle.retain(|key, _| key == "name");
    bundle.insert("plugin".to_owned(), Value::Array(chosen));
    Ok(toml::to_string(&bundle)?)
}

#[async_trait]
impl Backing for Offer {
    fn bundle(&self) -> BundleOffer {
        self.offer.clone()
    }

    fn component(&self, digest: &str) -> Option<PathBuf> {
        self.files.get(digest).cloned()
    }

    async fn deliver(&self, delivery: Delivery) -> Result<Verdict, String> {
        let sink = self.sinks.iter().find(|sink| sink.name() == delivery.sink).cloned();
        let sink = sink.ok_or_else(|| format!("this server has no sink {:?} now", delivery.sink))?;
        let batch = match delivery::from_wire(delivery) {
            Ok(batch) => batch,
            Err(why) => return Ok(Verdict::Rejected(why)),
        };
        match sink.deliver(Arc::new(batch)).await {
            Ok(Fate::Accepted) => Ok(Verdict::Accepted),
            Ok(Fate::Rejected(why)) => Ok(Verdict::Rejected(why)),
            Err(away) => Err(away.to_string()),
        }
    }

    async fn ask(&self, caller: Caller, request: Request<Bytes>) -> Response<Bytes> {
        self.desk.ask(&caller, request).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use gantry_plugin::Bundle;

    #[test]
    fn a_part_of_a_bundle_is_a_bundle() {
        let text = "name = \"all\"\n[[plugin]]\nname = \"brain\"\n[[plugin]]\nname = \"wires\"\nsource = \"/x/w.wasm\"\n\
                    memory = \"64Mi\"\n[plugin.config]\nmtu = 1400\n[plugin.grants]\nplans = [\"network\"]\n";
        assert_eq!(others(&toml::from_str(text).unwrap(), &["wires"]), ["brain"]);
        let part = part(toml::from_str(text).unwrap(), &["wires"]).unwrap();
        let bundle = Bundle::parse(&part, Path::new("part")).unwrap();
        assert_eq!((bundle.name.as_str(), bundle.plugins.len()), ("all", 1));
        let wires = bundle.plugin("wires").unwrap();
        assert_eq!((wires.config["mtu"].as_i64(), wires.source.as_ref()), (Some(1400), None));
        assert_eq!(wires.memory.map(|size| size.bytes()), Some(64 << 20));
    }
}
