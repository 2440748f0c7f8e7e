//! The plugin: objects in, records out.

use discovery_common::{Id, Records, Scheme, Table, Weights, sources};
use gantry_sdk::api::{EndpointSlice, Service};
use gantry_sdk::discovery::{Change, Delta, Description, Discovery, NodeInfo, Zone};
use gantry_sdk::{Config, Result};

use crate::options::Options;
use crate::{cloudmap, consul, instance};

/// Services in DNS.
#[derive(Default)]
pub struct Names {
    options: Options,
    table: Table,
}

impl Discovery for Names {
    fn configure(&mut self, config: Config, _: NodeInfo) -> Result<Description> {
        self.options = config.parse::<Options>()?.checked()?;
        let Options { namespaces, consul, negative_ttl, .. } = &self.options;
        let names = namespaces.iter().map(|namespace| &namespace.name);
        let zone = |name: &String| Zone { name: name.clone(), negative_ttl: *negative_ttl, fallthrough: false };
        let zones = names.chain(consul.iter().map(|consul| &consul.domain)).map(zone).collect();
        // Names are written in full, as in a VPC.
        Ok(Description { sources: sources(), zones, search: Vec::new(), ndots: 1, pod_domain: String::new() })
    }

    fn sync(&mut self, full: bool, deltas: Vec<Delta>) -> Result<Vec<Change>> {
        if full {
            self.table = Table::default();
        }
        Ok(self.table.sync(deltas, &self.options))
    }
}

impl Scheme for Options {
    /// Of both.
    const WEIGHTS: Weights = Weights { priority: 1, weight: 1 };

    fn records<'a>(
        &self,
        (within, name): &Id,
        service: &'a Service,
        slices: impl Iterator<Item = &'a EndpointSlice>,
    ) -> Records {
        let instances = instance::of(service, slices);
        let id = (within.as_str(), name.as_str());
        let mut records = Records::default();
        for namespace in &self.namespaces {
            cloudmap::register(&mut records, namespace, id, service, &instances);
        }
        if let Some(consul) = &self.consul {
            consul::register(&mut records, consul, id, service, &instances);
        }
        records
    }

    fn ttl(&self) -> u32 {
        self.ttl
    }
}
