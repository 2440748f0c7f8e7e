//! The plugin: objects in, records out.

use discovery_common::names::{self, REVERSE};
use discovery_common::{Table, sources};
use gantry_sdk::discovery::{Change, Data, Delta, Description, Discovery, NodeInfo, Zone};
use gantry_sdk::{Config, Result};
use ipnet::IpNet;

use crate::options::Options;

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
            sources: sources(),
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
        changes.extend(self.table.sync(deltas, &self.options));
        Ok(changes)
    }
}
