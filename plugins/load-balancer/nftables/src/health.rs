//! What load balancers outside ask a node: whether it has backends of its own, by which they choose nodes for Frontends
//! whose external policy is `Local`. The answer is a fixed one, which changes with the backends: kube-proxy's.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use gantry_sdk::load_balancer::{Endpoint, Frontend, Operation};
use gantry_sdk::proxy::{Action, Condition, KeptProxies, Listener, Response, Rule};
use gantry_sdk::{Value, json};

/// Whom somebody has asked about, by frontend.
#[derive(Debug, Default)]
pub struct Healths {
    told: BTreeMap<String, (u16, usize)>,
}

impl Healths {
    /// The change that follows from what a frontend and its backends are now.
    pub fn set(&mut self, frontend: &Frontend, backends: &BTreeMap<String, Vec<Endpoint>>) -> Option<Operation> {
        if frontend.health_port == 0 {
            return self.remove(&frontend.id);
        }
        let now = (frontend.health_port, local(backends));
        if self.told.insert(frontend.id.clone(), now) == Some(now) {
            return None;
        }
        Some(Operation::EnsureListener(listener(&frontend.id, now)))
    }

    /// The change that follows from its end.
    pub fn remove(&mut self, id: &str) -> Option<Operation> {
        self.told.remove(id).map(|_| Operation::DeleteListener(name(id)))
    }

    /// Whatever else listens goes.
    pub fn keep(&self) -> Operation {
        let listeners = self.told.keys().map(|id| name(id)).collect();
        Operation::KeepProxies(KeptProxies { listeners, pools: Vec::new() })
    }
}

fn name(id: &str) -> String {
    format!("health of {id}")
}

/// How many are ready here: one that serves several ports is one.
fn local(backends: &BTreeMap<String, Vec<Endpoint>>) -> usize {
    let ready = backends.values().flatten().filter(|endpoint| endpoint.local && endpoint.ready);
    let addresses = ready.filter_map(|endpoint| endpoint.addresses.iter().find_map(|text| text.parse::<IpAddr>().ok()));
    addresses.collect::<BTreeSet<_>>().len()
}

fn listener(id: &str, (port, count): (u16, usize)) -> Listener {
    let condition = Condition {
        hosts: Vec::new(),
        paths: Vec::new(),
        methods: Vec::new(),
        headers: Vec::new(),
        queries: Vec::new(),
        sources: Vec::new(),
    };
    let response = Response {
        status: if count == 0 { 503 } else { 200 },
        content_type: "application/json".to_owned(),
        body: body(id, count).to_string(),
    };
    Listener {
        name: name(id),
        port,
        tls: false,
        certificates: Vec::new(),
        rules: vec![Rule { condition, action: Action::Respond(response) }],
        frontends: vec![id.to_owned()],
        access_log: false,
    }
}

fn body(id: &str, count: usize) -> Value {
    let (namespace, name) = id.split_once('/').unwrap_or(("", id));
    // So the Frontends of Services are called.
    let name = name.strip_prefix("service-").unwrap_or(name);
    json!({"service": {"namespace": namespace, "name": name}, "localEndpoints": count, "serviceProxyHealthy": true})
}

#[cfg(test)]
mod tests {
    use super::*;
    use gantry_sdk::load_balancer::Policy;

    #[test]
    fn a_node_without_backends_of_its_own_says_so() {
        let mut frontend = Frontend {
            id: "a/service-web".into(),
            class: "cluster".into(),
            created: 0,
            addresses: Vec::new(),
            external_addresses: Vec::new(),
            balanced_addresses: Vec::new(),
            source_ranges: Vec::new(),
            health_port: 30_500,
            ports: Vec::new(),
            affinity_seconds: 0,
            internal: Policy::Cluster,
            external: Policy::Local,
            http: None,
        };
        let backends = |local: &[bool]| -> BTreeMap<String, Vec<Endpoint>> {
            let one = |port: u16| {
                let endpoint = move |(n, local): (usize, &bool)| Endpoint {
                    addresses: vec![format!("10.64.0.{n}")],
                    port,
                    ready: true,
                    serving: true,
                    terminating: false,
                    local: *local,
                    zones: Vec::new(),
                };
                local.iter().enumerate().map(endpoint).collect()
            };
            [("a".to_owned(), one(80)), ("b".to_owned(), one(81))].into()
        };
        let mut healths = Healths::default();
        let said = |operation: Option<Operation>| match operation {
            Some(Operation::EnsureListener(listener)) => match &listener.rules[0].action {
                Action::Respond(response) => (listener.port, response.status, response.body.clone()),
                other => panic!("{other:?}"),
            },
            other => panic!("{other:?}"),
        };
        let body = |count: u32| {
            format!(
                "{{\"localEndpoints\":{count},\"service\":{{\"name\":\"web\",\"namespace\":\"a\"}},\"serviceProxyHealthy\":true}}"
            )
        };
        assert_eq!(said(healths.set(&frontend, &backends(&[false]))), (30_500, 503, body(0)));
        assert_eq!(said(healths.set(&frontend, &backends(&[true, true, false]))), (30_500, 200, body(2)));
        assert!(healths.set(&frontend, &backends(&[true, true])).is_none(), "the same again is no change");
        frontend.health_port = 0;
        assert!(matches!(healths.set(&frontend, &backends(&[true])), Some(Operation::DeleteListener(_))));
        assert!(healths.remove("a/service-web").is_none());
    }
}
