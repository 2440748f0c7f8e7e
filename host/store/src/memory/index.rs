//! Indexes: by owner, of what has no controller, and by the values of selectable fields.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use gantry_model::{Key, Record};

/// Objects by the uid of an owner.
#[derive(Default)]
pub(super) struct Owners(HashMap<String, BTreeMap<Key, Arc<Record>>>);

impl Owners {
    pub(super) fn of(&self, uid: &str) -> Vec<Arc<Record>> {
        self.0.get(uid).map(|owned| owned.values().cloned().collect()).unwrap_or_default()
    }

    /// Follows an object from one state to the next.
    pub(super) fn change(&mut self, old: Option<&Arc<Record>>, new: Option<&Arc<Record>>) {
        for owner in old.iter().flat_map(|record| &record.meta.owner_references) {
            let kept = new.is_some_and(|new| new.meta.owner_references.iter().any(|o| o.uid == owner.uid));
            if !kept && let Some(owned) = self.0.get_mut(&owner.uid) {
                old.iter().for_each(|record| drop(owned.remove(&record.key)));
                if owned.is_empty() {
                    self.0.remove(&owner.uid);
                }
            }
        }
        for (record, owner) in new.iter().flat_map(|record| record.meta.owner_references.iter().map(|o| (*record, o))) {
            // Looked up first: nearly always the uid is known, and then nothing is allocated.
            let owned = match self.0.get_mut(&owner.uid) {
                Some(owned) => owned,
                None => self.0.entry(owner.uid.clone()).or_default(),
            };
            owned.insert(record.key.clone(), Arc::clone(record));
        }
    }
}

type Places = BTreeMap<(Arc<str>, Arc<str>), Arc<Record>>;

/// Objects of one resource by field and value.
#[derive(Default)]
pub(super) struct Fields(HashMap<String, HashMap<String, Places>>);

impl Fields {
    pub(super) fn of(&self, field: &str, value: &str) -> Vec<Arc<Record>> {
        let places = self.0.get(field).and_then(|values| values.get(value));
        places.map(|places| places.values().cloned().collect()).unwrap_or_default()
    }

    /// Follows an object from one state to the next.
    pub(super) fn change(&mut self, old: Option<&Arc<Record>>, new: Option<&Arc<Record>>) {
        if let Some(old) = old {
            let gone = |field: &&(String, String)| !new.is_some_and(|new| new.fields.contains(field));
            old.fields.iter().filter(gone).for_each(|(field, value)| self.remove(field, value, old));
        }
        if let Some(new) = new {
            new.fields.iter().for_each(|(field, value)| self.insert(field, value, new));
        }
    }

    fn insert(&mut self, field: &str, value: &str, record: &Arc<Record>) {
        if !self.0.contains_key(field) {
            self.0.insert(field.to_owned(), HashMap::new());
        }
        let Some(values) = self.0.get_mut(field) else { return };
        let places = match values.get_mut(value) {
            Some(places) => places,
            None => values.entry(value.to_owned()).or_default(),
        };
        places.insert(place(record), Arc::clone(record));
    }

    fn remove(&mut self, field: &str, value: &str, record: &Record) {
        let Some(values) = self.0.get_mut(field) else { return };
        if let Some(places) = values.get_mut(value) {
            places.remove(&place(record));
            if places.is_empty() {
                values.remove(value);
            }
        }
    }
}

/// Objects of one resource without a controller. Made when they are first asked for: of most resources nobody ever asks,
/// and where nothing has a controller this is a second table of all there is.
#[derive(Default)]
pub(super) struct Orphans(Option<Places>);

impl Orphans {
    /// In key order, of one namespace or of all; `None` before they were made.
    pub(super) fn of(&self, namespace: Option<&str>) -> Option<Vec<Arc<Record>>> {
        let places = self.0.as_ref()?;
        let Some(wanted) = namespace else { return Some(places.values().cloned().collect()) };
        let first = (Arc::from(wanted), Arc::from(""));
        let there = places.range(first..).take_while(|((namespace, _), _)| **namespace == *wanted);
        Some(there.map(|(_, record)| Arc::clone(record)).collect())
    }

    pub(super) fn make<'a>(&mut self, records: impl Iterator<Item = &'a Arc<Record>>) {
        let orphans = records.filter(|record| record.meta.controller().is_none());
        self.0 = Some(orphans.map(|record| (place(record), Arc::clone(record))).collect());
    }

    /// Follows an object from one state to the next.
    pub(super) fn change(&mut self, old: Option<&Arc<Record>>, new: Option<&Arc<Record>>) {
        let Some(places) = &mut self.0 else { return };
        let orphan = |record: &&Arc<Record>| record.meta.controller().is_none();
        match (old.filter(orphan), new.filter(orphan)) {
            (_, Some(new)) => drop(places.insert(place(new), Arc::clone(new))),
            (Some(old), None) => drop(places.remove(&place(old))),
            (None, None) => {}
        }
    }
}

fn place(record: &Record) -> (Arc<str>, Arc<str>) {
    (Arc::clone(&record.key.namespace), Arc::clone(&record.key.name))
}
