//! What is there, and which names a change concerns.

use std::collections::{BTreeMap, BTreeSet};

use gantry_sdk::api::{EndpointSlice, Service};
use gantry_sdk::discovery::{Change, Delta, Document, Source};
use gantry_sdk::{KindRef, ObjectRef, serde_json, warn};
use serde::de::DeserializeOwned;

use crate::records::{Record, Records, Weights};

/// Namespace and name.
pub type Id = (String, String);

/// What Services are called.
pub trait Scheme {
    /// What SRV records say beside port and target.
    const WEIGHTS: Weights;

    /// The records of one Service, together with the slices that list its endpoints. Those of a name that several Services
    /// have are put together.
    fn records<'a>(&self, id: &Id, service: &'a Service, slices: impl Iterator<Item = &'a EndpointSlice>) -> Records;

    /// How long an answer may be remembered, in seconds.
    fn ttl(&self) -> u32;
}

/// Services, their slices, and the records of all of them.
#[derive(Default)]
pub struct Table {
    services: BTreeMap<Id, Service>,
    slices: BTreeMap<Id, EndpointSlice>,
    /// The slices of each Service, whether it is there or not.
    slices_of: BTreeMap<Id, BTreeSet<Id>>,
    /// What each Service has in the table.
    records: BTreeMap<Id, Records>,
    /// Which Services have records of a name: an address may be listed by several.
    owners: BTreeMap<String, BTreeSet<Id>>,
    /// Services whose records may be others now.
    dirty: BTreeSet<Id>,
}

/// What a table is made of.
pub fn sources() -> Vec<Source> {
    let source = |group, kind, plural: &str| Source {
        kind: KindRef::new(group, kind),
        version: "v1".to_owned(),
        plural: plural.to_owned(),
    };
    vec![source("", "Service", "services"), source("discovery.k8s.io", "EndpointSlice", "endpointslices")]
}

impl Table {
    /// Applies changes in order: every name that has other records now. An object that can't be read has no names.
    pub fn sync(&mut self, deltas: Vec<Delta>, scheme: &impl Scheme) -> Vec<Change> {
        for delta in deltas {
            match delta {
                Delta::ObjectSet(Document { of, json }) => self.note(of, Some(&json)),
                Delta::ObjectGone(of) => self.note(of, None),
            }
        }
        let mut names = BTreeSet::new();
        for id in std::mem::take(&mut self.dirty) {
            self.renew(&id, scheme, &mut names);
        }
        names.into_iter().map(|name| self.change(name, scheme)).collect()
    }

    fn note(&mut self, of: ObjectRef, json: Option<&[u8]>) {
        let ObjectRef { kind, namespace, name } = &of;
        let id = (namespace.clone(), name.clone());
        match (kind.group.as_str(), kind.kind.as_str()) {
            ("", "Service") => self.service(id, json.and_then(|json| read(&of, json))),
            ("discovery.k8s.io", "EndpointSlice") => self.slice(id, json.and_then(|json| read(&of, json))),
            _ => {}
        }
    }

    fn service(&mut self, id: Id, service: Option<Service>) {
        match service {
            Some(service) => drop(self.services.insert(id.clone(), service)),
            None => drop(self.services.remove(&id)),
        }
        self.dirty.insert(id);
    }

    fn slice(&mut self, id: Id, slice: Option<EndpointSlice>) {
        if let Some(old) = self.slices.remove(&id)
            && let Some(service) = of(&id, &old)
        {
            if let Some(slices) = self.slices_of.get_mut(&service) {
                slices.remove(&id);
                if slices.is_empty() {
                    self.slices_of.remove(&service);
                }
            }
            self.dirty.insert(service);
        }
        // Those of no Service are nobody's.
        if let Some(slice) = slice
            && let Some(service) = of(&id, &slice)
        {
            self.slices_of.entry(service.clone()).or_default().insert(id.clone());
            self.slices.insert(id, slice);
            self.dirty.insert(service);
        }
    }

    fn renew(&mut self, id: &Id, scheme: &impl Scheme, names: &mut BTreeSet<String>) {
        let slices = self.slices_of.get(id).into_iter().flatten().filter_map(|slice| self.slices.get(slice));
        let new = self.services.get(id).map(|service| scheme.records(id, service, slices)).unwrap_or_default();
        let old = self.records.remove(id).unwrap_or_default();
        for (name, records) in new.iter() {
            if old.get(name) != Some(records) {
                self.owners.entry(name.clone()).or_default().insert(id.clone());
                names.insert(name.clone());
            }
        }
        for (name, _) in old.into_iter().filter(|(name, _)| new.get(name).is_none()) {
            if let Some(owners) = self.owners.get_mut(&name) {
                owners.remove(id);
                if owners.is_empty() {
                    self.owners.remove(&name);
                }
            }
            names.insert(name);
        }
        if !new.is_empty() {
            self.records.insert(id.clone(), new);
        }
    }

    fn change<S: Scheme>(&self, name: String, scheme: &S) -> Change {
        let owners = self.owners.get(&name).into_iter().flatten();
        let records = owners.filter_map(|id| self.records.get(id)?.get(&name)).flatten();
        let records: BTreeSet<&Record> = records.collect();
        let data = records.into_iter().map(|record| record.data(S::WEIGHTS)).collect();
        Change { name, ttl: scheme.ttl(), data }
    }
}

fn read<T: DeserializeOwned>(of: &ObjectRef, json: &[u8]) -> Option<T> {
    let read = serde_json::from_slice(json);
    read.inspect_err(|error| warn!("{of} can't be read, so it has no names: {error}")).ok()
}

fn of((namespace, _): &Id, slice: &EndpointSlice) -> Option<Id> {
    Some((namespace.clone(), slice.service()?.to_owned()))
}
