//! The plugin: objects in, records out.

use gantry_sdk::discovery::{Change, Data, Delta, Description, Discovery, Document, NodeInfo, Source, Zone};
use gantry_sdk::{Config, KindRef, ObjectRef, Result, serde_json, warn};
use ipnet::IpNet;
use serde::de::DeserializeOwned;

use crate::names::{self, REVERSE};
use crate::object::{Service, Slice};
use crate::options::Options;
use crate::table::Table;

/// The version of the schema.
const VERSION: &str = "1.1.0";

/// Services in DNS.
#[derive(Default)]
pub struct Names {
    options: Options,
    table: Table,
}

impl Discovery for Names {
    fn configure(&mut self, config: Config, node: NodeInfo) -> Result<Description> {
        self.options = config.parse::<Options>()?.checked()?;
        let Options { zone, negative_ttl, .. } = &self.options;
        let zone_of = |name: String, fallthrough| Zone { name, negative_ttl: *negative_ttl, fallthrough };
        let mut zones = vec![zone_of(zone.clone(), false)];
        // Of pods nobody else knows a name.
        let ranges = node.cluster_ranges.iter().filter_map(|range| range.parse::<IpNet>().ok());
        zones.extend(ranges.flat_map(names::reverse_zones).map(|name| zone_of(name, false)));
        for name in REVERSE {
            if !zones.iter().any(|zone| zone.name == name) {
                zones.push(zone_of(name.to_owned(), true));
            }
        }
        Ok(Description {
            sources: vec![
                source("", "Service", "services"),
                source("discovery.k8s.io", "EndpointSlice", "endpointslices"),
            ],
            zones,
            search: vec![format!("{{namespace}}.svc.{zone}"), format!("svc.{zone}"), zone.clone()],
            ndots: 5,
            pod_domain: format!("{{subdomain}}.{{namespace}}.svc.{zone}"),
        })
    }

    fn sync(&mut self, full: bool, deltas: Vec<Delta>) -> Result<Vec<Change>> {
        let Options { zone, ttl, .. } = &self.options;
        let mut changes = Vec::new();
        if full {
            self.table = Table::default();
            let version = vec![Data::Txt(vec![VERSION.to_owned()])];
            changes.push(Change { name: format!("dns-version.{zone}"), ttl: *ttl, data: version });
        }
        for delta in deltas {
            match delta {
                Delta::ObjectSet(Document { of, json }) => note(&mut self.table, of, Some(&json)),
                Delta::ObjectGone(of) => note(&mut self.table, of, None),
            }
        }
        changes.extend(self.table.changes(zone, *ttl));
        Ok(changes)
    }
}

fn source(group: &str, kind: &str, plural: &str) -> Source {
    Source { kind: KindRef::new(group, kind), version: "v1".to_owned(), plural: plural.to_owned() }
}

/// An object that can't be read has no names.
fn note(table: &mut Table, of: ObjectRef, json: Option<&[u8]>) {
    let ObjectRef { kind, namespace, name } = &of;
    let id = (namespace.clone(), name.clone());
    match (kind.group.as_str(), kind.kind.as_str()) {
        ("", "Service") => table.service(id, json.and_then(|json| read::<Service>(&of, json))),
        ("discovery.k8s.io", "EndpointSlice") => table.slice(id, json.and_then(|json| read::<Slice>(&of, json))),
        _ => {}
    }
}

fn read<T: DeserializeOwned>(of: &ObjectRef, json: &[u8]) -> Option<T> {
    let read = serde_json::from_slice(json);
    read.inspect_err(|error| warn!("{of} can't be read, so it has no names: {error}")).ok()
}
