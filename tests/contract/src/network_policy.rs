use gantry_plugin::family::network_policy as host;
use gantry_sdk::network_policy::{Delta, NodeInfo, Operation, Pod, Policy, PolicyRef, Protocol};
use gantry_sdk::{Config, Error, Result};

use crate::network::operation;
use crate::stage::{Stage, configured};
use crate::words;

/// The component on this thread's stage, as network policies.
#[derive(Default)]
pub struct NetworkPolicy {
    instance: Option<Box<dyn gantry_plugin::NetworkPolicy>>,
}

impl gantry_sdk::NetworkPolicy for NetworkPolicy {
    fn configure(&mut self, config: Config, node: NodeInfo) -> Result<()> {
        let stage = Stage::current();
        let instance = stage.load(&config)?.network_policy().ok_or_else(|| Error::invalid("is no network policy"))?;
        let instance = self.instance.insert(instance);
        let node = host::NodeInfo { name: node.name, addresses: node.addresses, cluster_ranges: node.cluster_ranges };
        stage.call(instance.reset(node)).map_err(words::error)
    }

    fn node(&mut self) -> Result<Vec<Operation>> {
        let plan = Stage::current().call(configured(&mut self.instance)?.node()).map_err(words::error)?;
        Ok(plan.into_iter().map(operation).collect())
    }

    fn sync(&mut self, full: bool, deltas: Vec<Delta>) -> Result<Vec<Operation>> {
        let deltas: Vec<host::Delta> = deltas.into_iter().map(delta).collect();
        let plan = Stage::current().call(configured(&mut self.instance)?.sync(full, &deltas)).map_err(words::error)?;
        Ok(plan.into_iter().map(operation).collect())
    }
}

fn delta(given: Delta) -> host::Delta {
    match given {
        Delta::PodSet(given) => host::Delta::PodSet(pod(given)),
        Delta::PodGone(id) => host::Delta::PodGone(id),
        Delta::NamespaceSet(given) => {
            host::Delta::NamespaceSet(host::Namespace { name: given.name, labels: words::to_labels(given.labels) })
        }
        Delta::NamespaceGone(name) => host::Delta::NamespaceGone(name),
        Delta::PolicySet(Policy { kind, namespace, name, spec }) => {
            host::Delta::PolicySet(host::Policy { kind: words::to_kind(&kind), namespace, name, spec })
        }
        Delta::PolicyGone(PolicyRef { kind, namespace, name }) => {
            host::Delta::PolicyGone(host::PolicyRef { kind: words::to_kind(&kind), namespace, name })
        }
    }
}

fn pod(given: Pod) -> host::Pod {
    let ports = given.ports.into_iter().map(|port| host::NamedPort {
        name: port.name,
        protocol: match port.protocol {
            Protocol::Tcp => host::Protocol::Tcp,
            Protocol::Udp => host::Protocol::Udp,
            Protocol::Sctp => host::Protocol::Sctp,
        },
        port: port.port,
    });
    host::Pod {
        ports: ports.collect(),
        id: given.id,
        namespace: given.namespace,
        name: given.name,
        labels: words::to_labels(given.labels),
        addresses: given.addresses,
        local: given.local,
        host_network: given.host_network,
    }
}
