//! The plugin.

use std::collections::{BTreeMap, BTreeSet};

use gantry_sdk::network::{Place, Sysctl};
use gantry_sdk::network_policy::{Delta, NetworkPolicy, NodeInfo, Operation, Policy};
use gantry_sdk::{Config, Error, Result, Value, json, serde_json, warn};
use ipnet::IpNet;

use crate::compile::{Compiled, compile};
use crate::groups::{Group, Groups};
use crate::isolation::{Id, Isolation, Side, Under, chain};
use crate::kernel::Kernel;
use crate::object::{Direction, Spec};
use crate::options::Options;
use crate::table::{self, Family};
use crate::tables::Tables;

/// NetworkPolicies of one node.
#[derive(Default)]
pub struct Policies {
    options: Options,
    families: Vec<Family>,
    tables: Tables,
    policies: BTreeMap<Id, Spec>,
    groups: Groups,
    isolation: Isolation,
    /// What is in the kernel because of a policy.
    installed: BTreeMap<Side, Vec<Group>>,
    kernel: Kernel,
}

/// What one call is about.
#[derive(Default)]
struct Touched {
    /// With their namespaces.
    pods: BTreeSet<(String, String)>,
    namespaces: BTreeSet<String>,
    policies: BTreeSet<Id>,
}

impl NetworkPolicy for Policies {
    fn configure(&mut self, config: Config, node: NodeInfo) -> Result<()> {
        self.options = config.parse()?;
        for text in &node.cluster_ranges {
            let range: IpNet =
                text.parse().map_err(|_| Error::invalid(format!("cluster range {text:?} is not in CIDR notation")))?;
            let family = Family::of(range.addr());
            if !self.families.contains(&family) {
                self.families.push(family);
            }
        }
        self.families.sort();
        self.groups = Groups::new(self.families.clone());
        Ok(())
    }

    fn node(&mut self) -> Result<Vec<Operation>> {
        if !self.options.bridged {
            return Ok(Vec::new());
        }
        let show = |name: &str| {
            let name = format!("net.bridge.bridge-nf-call-{name}");
            Operation::SetSysctl(Sysctl { place: Place::Node, name, value: "1".to_owned() })
        };
        Ok(vec![show("iptables"), show("ip6tables")])
    }

    fn sync(&mut self, full: bool, deltas: Vec<Delta>) -> Result<Vec<Operation>> {
        let mut commands = Vec::new();
        if full {
            let (options, families) = (self.options.clone(), self.families.clone());
            *self = Self { options, groups: Groups::new(families.clone()), families, ..Self::default() };
            commands = table::fresh();
        }
        let mut touched = Touched::default();
        for delta in deltas {
            self.take(delta, &mut touched);
        }
        self.regroup(&touched);
        self.isolate(&touched);
        self.install(&touched);
        commands.extend(self.kernel.finish());
        Ok(plan(&commands))
    }
}

fn plan(commands: &[Value]) -> Vec<Operation> {
    let rules = (!commands.is_empty()).then(|| Operation::Nftables(json!({ "nftables": commands }).to_string()));
    rules.into_iter().collect()
}

impl Policies {
    fn take(&mut self, delta: Delta, touched: &mut Touched) {
        match delta {
            Delta::PodSet(pod) => {
                touched.pods.insert((pod.namespace.clone(), pod.id.clone()));
                self.tables.set_pod(pod);
            }
            Delta::PodGone(id) => {
                touched.pods.extend(self.tables.pod(&id).map(|pod| (pod.namespace.clone(), id.clone())));
                self.tables.remove_pod(&id);
            }
            Delta::NamespaceSet(namespace) => {
                touched.namespaces.insert(namespace.name.clone());
                self.tables.set_namespace(namespace);
            }
            Delta::NamespaceGone(name) => {
                self.tables.remove_namespace(&name);
                touched.namespaces.insert(name);
            }
            Delta::PolicySet(policy) => {
                let id = (policy.namespace.clone(), policy.name.clone());
                let spec = read(&policy);
                if self.policies.get(&id) != Some(&spec) {
                    touched.policies.insert(id.clone());
                    self.policies.insert(id, spec);
                }
            }
            Delta::PolicyGone(policy) => {
                let id = (policy.namespace, policy.name);
                if self.policies.remove(&id).is_some() {
                    touched.policies.insert(id);
                }
            }
        }
    }

    /// Who is in which group.
    fn regroup(&mut self, touched: &Touched) {
        for (namespace, id) in &touched.pods {
            self.groups.refresh(id, namespace, &self.tables, &mut self.kernel);
        }
        for namespace in &touched.namespaces {
            for id in self.tables.pods_of(namespace) {
                self.groups.refresh(id, namespace, &self.tables, &mut self.kernel);
            }
        }
    }

    /// Who is under which policies.
    fn isolate(&mut self, touched: &Touched) {
        let namespaces: BTreeSet<&String> = touched.policies.iter().map(|(namespace, _)| namespace).collect();
        let mut pods: BTreeSet<&String> = touched.pods.iter().map(|(_, id)| id).collect();
        for namespace in namespaces {
            pods.extend(self.tables.pods_of(namespace));
        }
        for id in pods {
            let pod = self.tables.pod(id).filter(|pod| pod.local && !pod.addresses.is_empty());
            let under = pod.map(|pod| under(&self.policies, &pod.namespace, &pod.labels)).unwrap_or_default();
            let addresses = pod.map(|pod| pod.addresses.as_slice()).unwrap_or_default();
            self.isolation.renew(id, addresses, under, &mut self.kernel);
        }
    }

    /// Chains of policies that are new here, changed, or of no use any more.
    fn install(&mut self, touched: &Touched) {
        let both = |id: &Id| Direction::ALL.map(|direction| (direction, id.clone()));
        let mut sides: BTreeSet<Side> = touched.policies.iter().flat_map(both).collect();
        sides.extend(self.isolation.turned());
        for side in sides {
            let used = self.isolation.uses(&side);
            let wanted = self.policies.get(&side.1).filter(|_| used);
            let compiled = wanted.map(|spec| compile(&side.1.0, spec, side.0, &self.families));
            if compiled.is_none() && !self.installed.contains_key(&side) {
                continue;
            }
            let (rules, groups) =
                compiled.map_or((None, None), |Compiled { rules, groups }| (Some(rules), Some(groups)));
            self.kernel.set_chain(&chain(&side), rules);
            // Those that stay are never without a user.
            for group in groups.iter().flatten() {
                self.groups.acquire(group, &self.tables, &mut self.kernel);
            }
            for group in self.installed.remove(&side).iter().flatten() {
                self.groups.release(group, &mut self.kernel);
            }
            if let Some(groups) = groups {
                self.installed.insert(side, groups);
            }
        }
    }
}

/// The policies that select a pod with these labels.
fn under(policies: &BTreeMap<Id, Spec>, namespace: &str, labels: &BTreeMap<String, String>) -> Under {
    let first = (namespace.to_owned(), String::new());
    let mut under = Under::new();
    for (id, spec) in policies.range(first..).take_while(|((of, _), _)| of == namespace) {
        if spec.pod_selector.matches(labels) {
            for direction in Direction::ALL.into_iter().filter(|direction| spec.applies(*direction)) {
                under.entry(direction).or_default().insert(id.clone());
            }
        }
    }
    under
}

/// A policy that can't be read allows nothing: whoever wrote it meant to close something.
fn read(policy: &Policy) -> Spec {
    let spec = serde_json::from_slice(&policy.spec).map_err(Error::from).and_then(Spec::read);
    spec.unwrap_or_else(|error| {
        let Policy { namespace, name, .. } = policy;
        warn!("policy {namespace}/{name} can't be read, and closes its namespace: {}", error.message);
        Spec { policy_types: vec!["Ingress".to_owned(), "Egress".to_owned()], ..Spec::default() }
    })
}
