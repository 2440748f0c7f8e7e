//! The load balancer: Frontends of the class `ingress`, as plans for the node's proxy.

use std::collections::{BTreeMap, BTreeSet};

use gantry_sdk::load_balancer::{
    Backend, Backends, Delta, Description, Endpoint, Frontend, LoadBalancer, NodeInfo, Operation,
};
use gantry_sdk::proxy::{KeptProxies, Listener, Pool};
use gantry_sdk::{Config, Result};

use crate::listeners::{self, pool};
use crate::options::Options;

/// The class of Frontends that it serves.
pub const CLASS: &str = "ingress";

/// Frontends of one node, and what the last plans made of them.
#[derive(Default)]
pub struct Balancer {
    access_log: bool,
    frontends: BTreeMap<String, Known>,
    listeners: BTreeMap<String, Listener>,
    pools: BTreeMap<String, Pool>,
}

struct Known {
    frontend: Frontend,
    /// By the backend's name.
    endpoints: BTreeMap<String, Vec<Endpoint>>,
}

/// What one call is about.
#[derive(Default)]
struct Batch {
    /// Frontends with other pools.
    touched: BTreeSet<String>,
    /// Whether the tables may be others.
    routes: bool,
}

impl LoadBalancer for Balancer {
    fn configure(&mut self, config: Config, _node: NodeInfo) -> Result<Description> {
        let options: Options = config.parse()?;
        options.check()?;
        self.access_log = options.access_log;
        Ok(Description { classes: vec![CLASS.to_owned()] })
    }

    fn sync(&mut self, full: bool, deltas: Vec<Delta>) -> Result<Vec<Operation>> {
        if full {
            *self = Self { access_log: self.access_log, ..Self::default() };
        }
        let mut batch = Batch { routes: full, ..Batch::default() };
        deltas.into_iter().for_each(|delta| self.take(delta, &mut batch));
        let mut plan = Vec::new();
        // First those that rules lead to, and last those that no rule leads to any more.
        let over = self.renew_pools(&batch.touched, &mut plan);
        if batch.routes {
            self.renew_listeners(&mut plan);
        }
        plan.extend(over.into_iter().map(Operation::DeletePool));
        if full {
            let (listeners, pools) = (self.listeners.keys().cloned().collect(), self.pools.keys().cloned().collect());
            plan.push(Operation::KeepProxies(KeptProxies { listeners, pools }));
        }
        Ok(plan)
    }
}

impl Balancer {
    fn take(&mut self, delta: Delta, batch: &mut Batch) {
        match delta {
            Delta::FrontendSet(frontend) => {
                batch.touched.insert(frontend.id.clone());
                match self.frontends.get_mut(&frontend.id) {
                    Some(known) if known.frontend == frontend => {}
                    Some(known) => {
                        known.endpoints.retain(|name, _| backends(&frontend).any(|backend| backend.name == *name));
                        known.frontend = frontend;
                        batch.routes = true;
                    }
                    None => {
                        let known = Known { frontend, endpoints: BTreeMap::new() };
                        self.frontends.insert(known.frontend.id.clone(), known);
                        batch.routes = true;
                    }
                }
            }
            Delta::FrontendGone(id) => {
                batch.routes |= self.frontends.remove(&id).is_some();
                batch.touched.insert(id);
            }
            Delta::BackendsSet(Backends { frontend, port, endpoints }) => {
                if let Some(known) = self.frontends.get_mut(&frontend) {
                    known.endpoints.insert(port, endpoints);
                    batch.touched.insert(frontend);
                }
            }
        }
    }

    /// Plans the pools of these frontends; gives those that are over.
    fn renew_pools(&mut self, touched: &BTreeSet<String>, plan: &mut Vec<Operation>) -> Vec<String> {
        let mut over = Vec::new();
        for id in touched {
            let wanted: BTreeMap<String, Pool> = self.frontends.get(id).map(pools).unwrap_or_default();
            let prefix = pool(id, "");
            let known = self.pools.range(prefix.clone()..).map(|(name, _)| name);
            let gone = known.take_while(|name| name.starts_with(&prefix)).filter(|name| !wanted.contains_key(*name));
            let gone: Vec<String> = gone.cloned().collect();
            gone.iter().for_each(|name| drop(self.pools.remove(name)));
            over.extend(gone);
            for (name, pool) in wanted {
                if self.pools.get(&name) != Some(&pool) {
                    plan.push(Operation::EnsurePool(pool.clone()));
                    self.pools.insert(name, pool);
                }
            }
        }
        over
    }

    fn renew_listeners(&mut self, plan: &mut Vec<Operation>) {
        let wanted = listeners::merged(self.frontends.values().map(|known| &known.frontend), self.access_log);
        let gone = self.listeners.keys().filter(|name| !wanted.contains_key(*name)).cloned();
        plan.extend(gone.map(Operation::DeleteListener));
        let changed = wanted.iter().filter(|(name, listener)| self.listeners.get(*name) != Some(*listener));
        plan.extend(changed.map(|(_, listener)| Operation::EnsureListener(listener.clone())));
        self.listeners = wanted;
    }
}

fn backends(frontend: &Frontend) -> impl Iterator<Item = &Backend> {
    frontend.http.iter().flat_map(|http| &http.backends)
}

fn pools(known: &Known) -> BTreeMap<String, Pool> {
    let all = backends(&known.frontend).map(|backend| {
        let name = pool(&known.frontend.id, &backend.name);
        let endpoints = known.endpoints.get(&backend.name).map(Vec::as_slice).unwrap_or_default();
        let manner = backend.manner.clone();
        (name.clone(), Pool { name, manner, endpoints: served_by(endpoints) })
    });
    all.collect()
}

/// Those that are ready; where none is, those that still answer while they go.
fn served_by(endpoints: &[Endpoint]) -> Vec<String> {
    let pick = |wanted: fn(&Endpoint) -> bool| -> Vec<String> {
        endpoints.iter().filter(|endpoint| wanted(endpoint)).filter_map(address).collect()
    };
    let ready = pick(|endpoint| endpoint.ready);
    if ready.is_empty() { pick(|endpoint| endpoint.serving && endpoint.terminating) } else { ready }
}

fn address(endpoint: &Endpoint) -> Option<String> {
    let address = endpoint.addresses.first()?;
    Some(if address.contains(':') {
        format!("[{address}]:{}", endpoint.port)
    } else {
        format!("{address}:{}", endpoint.port)
    })
}

#[cfg(test)]
mod tests;
