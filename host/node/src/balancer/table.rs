//! Frontends joined with the EndpointSlices that they select, and what of that a plugin has not been told yet.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use gantry_model::Record;
use gantry_objects::recorder::About;
use gantry_plugin::family::load_balancer::{Backends, Delta, Endpoint, Frontend, Policy, Port, Protocol};
use tracing::warn;

use super::document;
use crate::cluster::PodEvent;

/// `NAMESPACE/NAME`
type Id = String;

/// A label in a namespace: what frontends and slices meet by.
type Label = (String, String, String);

pub(super) struct Table {
    node: String,
    classes: Vec<String>,
    frontends: BTreeMap<Id, Known>,
    slices: BTreeMap<Id, Slice>,
    /// Slices with a label.
    labelled: HashMap<Label, BTreeSet<Id>>,
    /// Frontends by one label that they ask for.
    asking: HashMap<Label, BTreeSet<Id>>,
    changed: BTreeSet<Id>,
    gone: BTreeSet<Id>,
    /// Who serves these may have changed.
    moved: BTreeSet<Id>,
}

struct Known {
    frontend: Frontend,
    targets: Vec<Target>,
    /// The Frontend and whoever it stands for.
    about: Vec<About>,
}

/// A port of the frontend, or one of its backends, and who serves it.
#[derive(Clone, PartialEq)]
struct Target {
    name: String,
    /// The name of the slices' port.
    port: String,
    protocol: Protocol,
    selector: Vec<Label>,
}

struct Slice {
    labels: Vec<Label>,
    document: document::Slice,
}

impl Table {
    /// Of the node of this name.
    pub(super) fn new(node: &str) -> Self {
        Self {
            node: node.to_owned(),
            classes: Vec::new(),
            frontends: BTreeMap::new(),
            slices: BTreeMap::new(),
            labelled: HashMap::new(),
            asking: HashMap::new(),
            changed: BTreeSet::new(),
            gone: BTreeSet::new(),
            moved: BTreeSet::new(),
        }
    }

    /// Which classes of frontends the plugin serves.
    pub(super) fn serve(&mut self, classes: Vec<String>) {
        self.classes = classes;
    }

    /// Whether there is anything to tell.
    pub(super) fn is_dirty(&self) -> bool {
        !(self.changed.is_empty() && self.gone.is_empty() && self.moved.is_empty())
    }

    /// Takes in what happened to Frontends.
    pub(super) fn frontends(&mut self, events: Vec<PodEvent>) {
        for event in events {
            match event {
                PodEvent::Snapshot(records) => {
                    let there: BTreeSet<Id> = records.iter().map(|record| id(record)).collect();
                    let gone: Vec<Id> = self.frontends.keys().filter(|id| !there.contains(*id)).cloned().collect();
                    gone.iter().for_each(|id| self.remove_frontend(id));
                    records.iter().for_each(|record| self.set_frontend(record));
                }
                PodEvent::Applied(record) => self.set_frontend(&record),
                PodEvent::Gone(record) => self.remove_frontend(&id(&record)),
            }
        }
    }

    /// Takes in what happened to EndpointSlices.
    pub(super) fn slices(&mut self, events: Vec<PodEvent>) {
        for event in events {
            match event {
                PodEvent::Snapshot(records) => {
                    let there: BTreeSet<Id> = records.iter().map(|record| id(record)).collect();
                    let gone: Vec<Id> = self.slices.keys().filter(|id| !there.contains(*id)).cloned().collect();
                    gone.iter().for_each(|id| self.remove_slice(id));
                    records.iter().for_each(|record| self.set_slice(record));
                }
                PodEvent::Applied(record) => self.set_slice(&record),
                PodEvent::Gone(record) => self.remove_slice(&id(&record)),
            }
        }
    }

    fn set_frontend(&mut self, record: &Arc<Record>) {
        let id = id(record);
        let Ok(read) = serde_json::from_slice::<document::Frontend>(&record.json) else {
            warn!(frontend = id, "a Frontend can't be read; it is left out");
            return self.remove_frontend(&id);
        };
        let known = known(&id, record, read);
        if let Some(old) = self.frontends.get(&id) {
            let targets = old.targets.clone();
            // Those that are new, or all of a class that is, have backends that nobody has been told of.
            if targets != known.targets || old.frontend.class != known.frontend.class {
                self.moved.insert(id.clone());
            }
            self.unask(&id, &targets);
        } else {
            self.moved.insert(id.clone());
        }
        for label in known.targets.iter().filter_map(|target| target.selector.first()) {
            self.asking.entry(label.clone()).or_default().insert(id.clone());
        }
        self.changed.insert(id.clone());
        self.frontends.insert(id, known);
    }

    fn remove_frontend(&mut self, id: &Id) {
        let Some(old) = self.frontends.remove(id) else { return };
        self.unask(id, &old.targets);
        self.changed.remove(id);
        self.moved.remove(id);
        self.gone.insert(id.clone());
    }

    fn unask(&mut self, id: &Id, targets: &[Target]) {
        for label in targets.iter().filter_map(|target| target.selector.first()) {
            drop_from(&mut self.asking, label, id);
        }
    }

    /// Objects that hear of a frontend's trouble.
    pub(super) fn about(&self, id: &str) -> Vec<About> {
        self.frontends.get(id).map(|known| known.about.clone()).unwrap_or_default()
    }

    fn set_slice(&mut self, record: &Arc<Record>) {
        let id = id(record);
        self.remove_slice(&id);
        let Ok(document) = serde_json::from_slice::<document::Slice>(&record.json) else {
            warn!(slice = id, "an EndpointSlice can't be read; it is left out");
            return;
        };
        let namespace = &record.meta.namespace;
        let labels: Vec<Label> =
            record.meta.labels.iter().map(|(k, v)| (namespace.clone(), k.clone(), v.clone())).collect();
        for label in &labels {
            self.labelled.entry(label.clone()).or_default().insert(id.clone());
        }
        self.wake(&labels);
        self.slices.insert(id, Slice { labels, document });
    }

    fn remove_slice(&mut self, id: &Id) {
        let Some(old) = self.slices.remove(id) else { return };
        old.labels.iter().for_each(|label| drop_from(&mut self.labelled, label, id));
        self.wake(&old.labels);
    }

    /// Notes the frontends that select something with these labels.
    fn wake(&mut self, labels: &[Label]) {
        for id in labels.iter().filter_map(|label| self.asking.get(label)).flatten() {
            let all = |target: &Target| target.selector.iter().all(|label| labels.contains(label));
            let selects = |known: &Known| known.targets.iter().any(all);
            if self.frontends.get(id).is_some_and(selects) {
                self.moved.insert(id.clone());
            }
        }
    }

    /// What there is to tell; with `full` everything.
    pub(super) fn take(&mut self, full: bool) -> Vec<Delta> {
        let (changed, gone, moved) =
            (std::mem::take(&mut self.changed), std::mem::take(&mut self.gone), std::mem::take(&mut self.moved));
        let (changed, gone, moved): (BTreeSet<Id>, BTreeSet<Id>, BTreeSet<Id>) = match full {
            true => {
                (self.frontends.keys().cloned().collect(), BTreeSet::new(), self.frontends.keys().cloned().collect())
            }
            false => (changed, gone, moved),
        };
        let mut deltas: Vec<Delta> = gone.into_iter().map(Delta::FrontendGone).collect();
        let served = |id: &Id| self.frontends.get(id).filter(|known| self.classes.contains(&known.frontend.class));
        for id in &changed {
            deltas.push(match served(id) {
                Some(known) => Delta::FrontendSet(known.frontend.clone()),
                // It may have been of another class before.
                None if full => continue,
                None => Delta::FrontendGone(id.clone()),
            });
        }
        for known in moved.iter().filter_map(served) {
            deltas.extend(known.targets.iter().map(|target| Delta::BackendsSet(self.backends(known, target))));
        }
        deltas
    }

    fn backends(&self, known: &Known, target: &Target) -> Backends {
        let first = target.selector.first().and_then(|label| self.labelled.get(label));
        let selected = first.into_iter().flatten().filter_map(|id| self.slices.get(id));
        let selected = selected.filter(|slice| target.selector.iter().all(|label| slice.labels.contains(label)));
        let endpoints = selected.flat_map(|slice| self.endpoints(&slice.document, target)).collect();
        Backends { frontend: known.frontend.id.clone(), port: target.name.clone(), endpoints }
    }

    fn endpoints<'a>(&'a self, slice: &'a document::Slice, target: &Target) -> impl Iterator<Item = Endpoint> + 'a {
        let fits = |p: &&document::SlicePort| {
            p.name == target.port && document::protocol(&p.protocol) == Some(target.protocol)
        };
        let number = slice.ports.iter().find(fits).and_then(|port| port.port);
        let all = number.into_iter().flat_map(|port| slice.endpoints.iter().map(move |endpoint| (port, endpoint)));
        all.map(|(port, endpoint)| {
            let ready = endpoint.conditions.ready.unwrap_or(true);
            Endpoint {
                // Several are alternatives for the same one.
                addresses: endpoint.addresses.iter().take(1).cloned().collect(),
                port,
                ready,
                serving: endpoint.conditions.serving.unwrap_or(ready),
                terminating: endpoint.conditions.terminating.unwrap_or(false),
                local: endpoint.node_name.as_ref() == Some(&self.node),
                zones: endpoint.hints.for_zones.iter().map(|zone| zone.name.clone()).collect(),
            }
        })
    }
}

fn id(record: &Record) -> Id {
    format!("{}/{}", record.meta.namespace, record.meta.name)
}

fn drop_from(index: &mut HashMap<Label, BTreeSet<Id>>, label: &Label, id: &Id) {
    if let Some(ids) = index.get_mut(label) {
        ids.remove(id);
        if ids.is_empty() {
            index.remove(label);
        }
    }
}

fn known(id: &str, record: &Record, read: document::Frontend) -> Known {
    let document::Frontend { metadata, spec } = read;
    let port = |port: &document::Port| {
        let protocol = document::protocol(&port.protocol)?;
        Some(Port { name: port.name.clone(), protocol, port: port.port, node_port: port.node_port })
    };
    let policy = |text: &str| if text == "Local" { Policy::Local } else { Policy::Cluster };
    let affinity =
        if spec.session_affinity.kind == "ClientIP" { spec.session_affinity.timeout_seconds.max(1) } else { 0 };
    let created = metadata.creation_timestamp.and_then(|at| u64::try_from(at.as_second()).ok());
    Known {
        targets: targets(&record.meta.namespace, &spec),
        about: about(record, &metadata),
        frontend: Frontend {
            id: id.to_owned(),
            class: spec.class,
            created: created.unwrap_or_default(),
            addresses: spec.addresses,
            external_addresses: spec.external_addresses,
            balanced_addresses: spec.balanced_addresses,
            source_ranges: spec.source_ranges,
            health_port: spec.health_node_port,
            ports: spec.ports.iter().filter_map(port).collect(),
            affinity_seconds: affinity,
            internal: policy(&spec.traffic_policy.internal),
            external: policy(&spec.traffic_policy.external),
            http: spec.http.map(document::Http::told),
        },
    }
}

/// Everything that EndpointSlices list somebody for.
fn targets(namespace: &str, spec: &document::Spec) -> Vec<Target> {
    let selector = |backends: &document::Backends| {
        let labels = backends.selector.match_labels.iter();
        labels.map(|(key, value)| (namespace.to_owned(), key.clone(), value.clone())).collect()
    };
    let port = |port: &document::Port| {
        let (name, protocol) = (port.name.clone(), document::protocol(&port.protocol)?);
        Some(Target { port: name.clone(), name, protocol, selector: selector(spec.backends.as_ref()?) })
    };
    let backend = |(name, backends, port): (&str, &document::Backends, &str)| Target {
        name: name.to_owned(),
        port: port.to_owned(),
        protocol: Protocol::Tcp,
        selector: selector(backends),
    };
    let backends = spec.http.iter().flat_map(document::Http::targets).map(backend);
    spec.ports.iter().filter_map(port).chain(backends).collect()
}

/// The Frontend, and the object that it stands for: whoever looks at that one is to see what is wrong.
fn about(record: &Record, metadata: &document::Metadata) -> Vec<About> {
    let of = |api_version: &str, kind: &str, name: &str, uid: &str| About {
        api_version: api_version.to_owned(),
        kind: kind.to_owned(),
        namespace: record.meta.namespace.clone(),
        name: name.to_owned(),
        uid: uid.to_owned(),
        field: String::new(),
    };
    let owners = metadata.owner_references.iter().filter(|owner| owner.controller);
    let itself = of("gantry.dev/v1alpha1", "Frontend", &record.meta.name, &record.meta.uid);
    let owner = |owner: &document::Owner| of(&owner.api_version, &owner.kind, &owner.name, &owner.uid);
    std::iter::once(itself).chain(owners.map(owner)).collect()
}

#[cfg(test)]
mod tests;
