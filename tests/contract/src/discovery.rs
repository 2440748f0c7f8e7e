use gantry_plugin::family::discovery as host;
use gantry_sdk::discovery::{Change, Data, Delta, Description, Document, NodeInfo, Service, Source, Zone};
use gantry_sdk::{Config, Error, Result};

use crate::stage::{Stage, configured};
use crate::words;

/// The component on this thread's stage, as a source of names.
#[derive(Default)]
pub struct Discovery {
    instance: Option<Box<dyn gantry_plugin::Discovery>>,
}

impl gantry_sdk::Discovery for Discovery {
    fn configure(&mut self, config: Config, node: NodeInfo) -> Result<Description> {
        let stage = Stage::current();
        let instance = stage.load(&config)?.discovery().ok_or_else(|| Error::invalid("is no source of names"))?;
        let instance = self.instance.insert(instance);
        let node = host::NodeInfo { name: node.name, addresses: node.addresses, cluster_ranges: node.cluster_ranges };
        stage.call(instance.reset(node)).map(description).map_err(words::error)
    }

    fn sync(&mut self, full: bool, deltas: Vec<Delta>) -> Result<Vec<Change>> {
        let deltas: Vec<host::Delta> = deltas.into_iter().map(delta).collect();
        let changes =
            Stage::current().call(configured(&mut self.instance)?.sync(full, &deltas)).map_err(words::error)?;
        Ok(changes.into_iter().map(change).collect())
    }
}

fn description(given: host::Description) -> Description {
    let source = |source: host::Source| Source {
        kind: words::kind(source.kind),
        version: source.version,
        plural: source.plural,
    };
    let zone =
        |zone: host::Zone| Zone { name: zone.name, negative_ttl: zone.negative_ttl, fallthrough: zone.fallthrough };
    Description {
        sources: given.sources.into_iter().map(source).collect(),
        zones: given.zones.into_iter().map(zone).collect(),
        search: given.search,
        ndots: given.ndots,
        pod_domain: given.pod_domain,
    }
}

fn delta(given: Delta) -> host::Delta {
    match given {
        Delta::ObjectSet(Document { of, json }) => {
            host::Delta::ObjectSet(host::Document { of: words::to_reference(&of), json })
        }
        Delta::ObjectGone(of) => host::Delta::ObjectGone(words::to_reference(&of)),
    }
}

fn change(given: host::Change) -> Change {
    Change { name: given.name, ttl: given.ttl, data: given.data.into_iter().map(data).collect() }
}

fn data(given: host::Data) -> Data {
    match given {
        host::Data::A(address) => Data::A(address),
        host::Data::Aaaa(address) => Data::Aaaa(address),
        host::Data::Cname(name) => Data::Cname(name),
        host::Data::Ptr(name) => Data::Ptr(name),
        host::Data::Srv(host::Service { priority, weight, port, target }) => {
            Data::Srv(Service { priority, weight, port, target })
        }
        host::Data::Txt(texts) => Data::Txt(texts),
        host::Data::Other(text) => Data::Other(text),
    }
}
