use gantry_plugin::family::load_balancer as host;
use gantry_sdk::load_balancer::{
    Backend, Backends, Certificate, Delta, Description, Endpoint, Frontend, Http, Listener, NodeInfo, Operation,
    Policy, Port, Protocol, Route,
};
use gantry_sdk::{Config, Error, Result};

use crate::network::operation;
use crate::proxy;
use crate::stage::{Stage, configured};
use crate::words;

/// The component on this thread's stage, as a load balancer.
#[derive(Default)]
pub struct LoadBalancer {
    instance: Option<Box<dyn gantry_plugin::LoadBalancer>>,
}

impl gantry_sdk::LoadBalancer for LoadBalancer {
    fn configure(&mut self, config: Config, node: NodeInfo) -> Result<Description> {
        let stage = Stage::current();
        let instance = stage.load(&config)?.load_balancer().ok_or_else(|| Error::invalid("is no load balancer"))?;
        let instance = self.instance.insert(instance);
        let NodeInfo { name, addresses, cluster_ranges, zone } = node;
        let node = host::NodeInfo { name, addresses, cluster_ranges, zone };
        let description = stage.call(instance.reset(node)).map_err(words::error)?;
        Ok(Description { classes: description.classes })
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
        Delta::FrontendSet(given) => host::Delta::FrontendSet(frontend(given)),
        Delta::FrontendGone(id) => host::Delta::FrontendGone(id),
        Delta::BackendsSet(given) => host::Delta::BackendsSet(backends(given)),
    }
}

fn frontend(given: Frontend) -> host::Frontend {
    let port = |port: Port| host::Port {
        name: port.name,
        protocol: match port.protocol {
            Protocol::Tcp => host::Protocol::Tcp,
            Protocol::Udp => host::Protocol::Udp,
            Protocol::Sctp => host::Protocol::Sctp,
        },
        port: port.port,
        node_port: port.node_port,
    };
    host::Frontend {
        id: given.id,
        class: given.class,
        created: given.created,
        addresses: given.addresses,
        external_addresses: given.external_addresses,
        balanced_addresses: given.balanced_addresses,
        source_ranges: given.source_ranges,
        health_port: given.health_port,
        ports: given.ports.into_iter().map(port).collect(),
        affinity_seconds: given.affinity_seconds,
        internal: policy(given.internal),
        external: policy(given.external),
        http: given.http.map(http),
    }
}

fn http(given: Http) -> host::Http {
    let certificate = |c: Certificate| host::Certificate { hosts: c.hosts, secret: c.secret };
    let listener = |l: Listener| host::Listener {
        name: l.name,
        port: l.port,
        tls: l.tls,
        certificates: l.certificates.into_iter().map(certificate).collect(),
    };
    let route =
        |r: Route| host::Route { listeners: r.listeners, priority: r.priority, rule: proxy::to_host::rule(r.rule) };
    let backend = |b: Backend| host::Backend { name: b.name, manner: proxy::to_host::manner(b.manner) };
    host::Http {
        listeners: given.listeners.into_iter().map(listener).collect(),
        routes: given.routes.into_iter().map(route).collect(),
        backends: given.backends.into_iter().map(backend).collect(),
    }
}

fn policy(given: Policy) -> host::Policy {
    match given {
        Policy::Cluster => host::Policy::Cluster,
        Policy::Local => host::Policy::Local,
    }
}

fn backends(given: Backends) -> host::Backends {
    let endpoint = |endpoint: Endpoint| host::Endpoint {
        addresses: endpoint.addresses,
        port: endpoint.port,
        ready: endpoint.ready,
        serving: endpoint.serving,
        terminating: endpoint.terminating,
        local: endpoint.local,
        zones: endpoint.zones,
    };
    host::Backends {
        frontend: given.frontend,
        port: given.port,
        endpoints: given.endpoints.into_iter().map(endpoint).collect(),
    }
}
