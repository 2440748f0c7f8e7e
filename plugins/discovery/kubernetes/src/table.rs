//! What is there, and which names a change concerns.

use std::collections::{BTreeMap, BTreeSet};

use gantry_sdk::discovery::{Change, Data};

use crate::object::{Service, Slice};
use crate::records::{self, Record, Records};

/// Namespace and name.
pub type Id = (String, String);

/// Services, their slices, and the records of all of them.
#[derive(Default)]
pub struct Table {
    services: BTreeMap<Id, Service>,
    slices: BTreeMap<Id, Slice>,
    /// The slices of each Service, whether it is there or not.
    slices_of: BTreeMap<Id, BTreeSet<Id>>,
    /// What each Service has in the table.
    records: BTreeMap<Id, Records>,
    /// Which Services have records of a name: an address may be listed by several.
    owners: BTreeMap<String, BTreeSet<Id>>,
    /// Services whose records may be others now.
    dirty: BTreeSet<Id>,
}

impl Table {
    /// A Service is so now; `None`: it is gone.
    pub fn service(&mut self, id: Id, service: Option<Service>) {
        match service {
            Some(service) => drop(self.services.insert(id.clone(), service)),
            None => drop(self.services.remove(&id)),
        }
        self.dirty.insert(id);
    }

    /// A slice is so now; `None`: it is gone.
    pub fn slice(&mut self, id: Id, slice: Option<Slice>) {
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

    /// Every name that has changed since the last call.
    pub fn changes(&mut self, zone: &str, ttl: u32) -> Vec<Change> {
        let mut names = BTreeSet::new();
        for id in std::mem::take(&mut self.dirty) {
            self.renew(&id, zone, &mut names);
        }
        names.into_iter().map(|name| self.change(name, ttl)).collect()
    }

    fn renew(&mut self, id: &Id, zone: &str, names: &mut BTreeSet<String>) {
        let slices = self.slices_of.get(id).into_iter().flatten().filter_map(|slice| self.slices.get(slice));
        let name = records::name(&id.0, &id.1, zone);
        let new = self.services.get(id).map(|service| records::of(service, slices, &name)).unwrap_or_default();
        let old = self.records.remove(id).unwrap_or_default();
        for name in old.keys().filter(|name| !new.contains_key(*name)) {
            if let Some(owners) = self.owners.get_mut(name) {
                owners.remove(id);
                if owners.is_empty() {
                    self.owners.remove(name);
                }
            }
            names.insert(name.clone());
        }
        for (name, records) in &new {
            if old.get(name) != Some(records) {
                self.owners.entry(name.clone()).or_default().insert(id.clone());
                names.insert(name.clone());
            }
        }
        if !new.is_empty() {
            self.records.insert(id.clone(), new);
        }
    }

    fn change(&self, name: String, ttl: u32) -> Change {
        let owners = self.owners.get(&name).into_iter().flatten();
        let records = owners.filter_map(|id| self.records.get(id)?.get(&name)).flatten();
        let records: BTreeSet<&Record> = records.collect();
        Change { name, ttl, data: records.into_iter().map(Data::from).collect() }
    }
}

fn of((namespace, _): &Id, slice: &Slice) -> Option<Id> {
    Some((namespace.clone(), slice.service()?.to_owned()))
}
