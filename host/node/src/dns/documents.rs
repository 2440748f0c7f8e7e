//! The objects that a plugin wants to see, and which of them it was not told of yet.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use gantry_model::Record;
use gantry_plugin::family::discovery::{Delta, Document};
use gantry_plugin::family::{KindRef, ObjectRef};

use crate::cluster::PodEvent;

/// What is told in one call: so many objects, or so many bytes if one more would be too much. A call has a deadline.
const OBJECTS: usize = 512;
const BYTES: usize = 1 << 20;

/// Kind (by its number), namespace and name.
type Id = (usize, String, String);

pub(super) struct Documents {
    kinds: Vec<KindRef>,
    now: BTreeMap<Id, Arc<Record>>,
    untold: BTreeSet<Id>,
    /// Kinds of which nothing came yet.
    missing: BTreeSet<usize>,
}

impl Documents {
    /// Of these kinds.
    pub(super) fn new(kinds: Vec<KindRef>) -> Self {
        let missing = (0..kinds.len()).collect();
        Self { kinds, now: BTreeMap::new(), untold: BTreeSet::new(), missing }
    }

    /// Whether every kind has been listed. Before, everything would be less than there is.
    pub(super) fn is_complete(&self) -> bool {
        self.missing.is_empty()
    }

    /// Whether there is anything to tell.
    pub(super) fn is_dirty(&self) -> bool {
        !self.untold.is_empty()
    }

    /// Changes of the kind with this number.
    pub(super) fn take(&mut self, kind: usize, events: Vec<PodEvent>) {
        self.missing.remove(&kind);
        let id = |record: &Record| (kind, record.meta.namespace.clone(), record.meta.name.clone());
        for event in events {
            match event {
                PodEvent::Snapshot(records) => {
                    let there: BTreeSet<Id> = records.iter().map(|record| id(record)).collect();
                    let gone = self.now.keys().filter(|id| id.0 == kind && !there.contains(*id));
                    for id in gone.cloned().collect::<Vec<_>>() {
                        self.set(id, None);
                    }
                    records.into_iter().for_each(|record| self.set(id(&record), Some(record)));
                }
                PodEvent::Applied(record) => self.set(id(&record), Some(record)),
                PodEvent::Gone(record) => self.set(id(&record), None),
            }
        }
    }

    fn set(&mut self, id: Id, record: Option<Arc<Record>>) {
        let same = match (self.now.get(&id), &record) {
            (Some(old), Some(new)) => old.json == new.json,
            (None, None) => true,
            _ => false,
        };
        if same {
            return;
        }
        match record {
            Some(record) => drop(self.now.insert(id.clone(), record)),
            None => drop(self.now.remove(&id)),
        }
        self.untold.insert(id);
    }

    /// Whoever is told next knows nothing.
    pub(super) fn forget(&mut self) {
        self.untold = self.now.keys().cloned().collect();
    }

    /// What is to be told in one call; empty: nothing is left.
    pub(super) fn piece(&mut self) -> Vec<Delta> {
        let (mut deltas, mut bytes) = (Vec::new(), 0_usize);
        while deltas.len() < OBJECTS {
            let Some(id) = self.untold.first() else { break };
            let record = self.now.get(id);
            bytes = bytes.saturating_add(record.map_or(0, |record| record.json.len()));
            if bytes > BYTES && !deltas.is_empty() {
                break;
            }
            let Some((kind, namespace, name)) = self.untold.pop_first() else { break };
            let Some(kind) = self.kinds.get(kind).cloned() else { continue };
            let of = ObjectRef { kind, namespace, name };
            deltas.push(match record {
                Some(record) => Delta::ObjectSet(Document { of, json: record.json.to_vec() }),
                None => Delta::ObjectGone(of),
            });
        }
        deltas
    }
}

#[cfg(test)]
mod tests {
    use gantry_model::Key;
    use gantry_model::key::Resource;
    use gantry_model::record::Draft;
    use serde_json::json;

    use super::*;

    fn record(name: &str, text: &str) -> Arc<Record> {
        let object = json!({"metadata": {"namespace": "ns", "name": name}, "text": text});
        Arc::new(Draft::new(Key::new(Resource::new("", "things"), "ns", name), object, &[]).commit(1))
    }

    fn names(deltas: &[Delta]) -> Vec<String> {
        let said = deltas.iter().map(|delta| match delta {
            Delta::ObjectSet(document) => format!("+{}", document.of.name),
            Delta::ObjectGone(of) => format!("-{}", of.name),
        });
        said.collect()
    }

    #[test]
    fn only_changes_are_told() {
        let kind = |kind: &str| KindRef { group: String::new(), kind: kind.to_owned() };
        let mut documents = Documents::new(vec![kind("A"), kind("B")]);
        documents.take(0, vec![PodEvent::Snapshot(vec![record("a", ""), record("b", "")])]);
        assert!(!documents.is_complete());
        documents.take(1, vec![PodEvent::Snapshot(vec![record("c", "")])]);
        assert!(documents.is_complete() && documents.is_dirty());
        assert_eq!(names(&documents.piece()), ["+a", "+b", "+c"]);
        documents.take(0, vec![PodEvent::Applied(record("a", "")), PodEvent::Gone(record("x", ""))]);
        assert!(!documents.is_dirty());
        documents.take(0, vec![PodEvent::Snapshot(vec![record("b", "new")])]);
        assert_eq!(names(&documents.piece()), ["-a", "+b"]);
        documents.forget();
        assert_eq!(names(&documents.piece()), ["+b", "+c"]);
        assert!(documents.piece().is_empty());
    }

    #[test]
    fn much_comes_in_pieces() {
        let mut documents = Documents::new(vec![KindRef { group: String::new(), kind: "A".to_owned() }]);
        let large = "x".repeat(700 << 10);
        let records = (0..3).map(|n| record(&format!("large-{n}"), &large));
        let small = (0..600).map(|n| record(&format!("small-{n}"), ""));
        documents.take(0, vec![PodEvent::Snapshot(records.chain(small).collect())]);
        let mut pieces = Vec::new();
        while documents.is_dirty() {
            pieces.push(documents.piece().len());
        }
        assert_eq!(pieces, [1, 1, 512, 89]);
    }
}
