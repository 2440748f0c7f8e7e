//! What is under one resource's lock.

use std::collections::{BTreeMap, VecDeque};
use std::ops::Bound::{Excluded, Unbounded};
use std::sync::Arc;

use gantry_model::Record;

use super::index::{Fields, Orphans};
use crate::{Event, Range};

type Named = BTreeMap<Arc<str>, Arc<Record>>;

/// Objects by namespace and name, an index of their fields, and the newest events.
pub(super) struct State {
    objects: BTreeMap<Arc<str>, Named>,
    fields: Fields,
    orphans: Orphans,
    events: VecDeque<Arc<Event>>,
    /// All events after this revision are kept.
    floor: u64,
}

impl State {
    pub(super) fn new(floor: u64) -> Self {
        let (fields, orphans) = (Fields::default(), Orphans::default());
        Self { objects: BTreeMap::new(), fields, orphans, events: VecDeque::new(), floor }
    }

    pub(super) fn floor(&self) -> u64 {
        self.floor
    }

    pub(super) fn get(&self, namespace: &str, name: &str) -> Option<&Arc<Record>> {
        self.objects.get(namespace)?.get(name)
    }

    /// The records of the range and how many lie behind them.
    pub(super) fn page(&self, range: &Range) -> (Vec<Arc<Record>>, usize) {
        let after = range.after.as_ref().map(|(namespace, name)| (namespace.as_str(), name.as_str()));
        let mut rest = self.behind(range.namespace.as_deref(), after);
        let limit = if range.limit == 0 { usize::MAX } else { range.limit };
        let records = rest.by_ref().take(limit).cloned().collect();
        (records, rest.count())
    }

    /// Records by the value of a field; an empty value means those without it.
    pub(super) fn indexed(&self, namespace: Option<&str>, field: &str, value: &str) -> Vec<Arc<Record>> {
        if let ("metadata.name", Some(namespace)) = (field, namespace) {
            return self.get(namespace, value).cloned().into_iter().collect();
        }
        let mut found: Vec<Arc<Record>> = match (field, value) {
            ("metadata.namespace", _) => {
                self.objects.get(value).into_iter().flat_map(BTreeMap::values).cloned().collect()
            }
            ("metadata.name", _) => self.objects.values().filter_map(|named| named.get(value)).cloned().collect(),
            (_, "") => self.behind(None, None).filter(|record| record.field(field).is_empty()).cloned().collect(),
            _ => self.fields.of(field, value),
        };
        if let Some(namespace) = namespace {
            found.retain(|record| *record.key.namespace == *namespace);
        }
        found
    }

    /// Records without a controller; `None` before `index_orphans`.
    pub(super) fn orphans(&self, namespace: Option<&str>) -> Option<Vec<Arc<Record>>> {
        self.orphans.of(namespace)
    }

    /// From now on those without a controller are kept apart.
    pub(super) fn index_orphans(&mut self) {
        self.orphans.make(self.objects.values().flat_map(BTreeMap::values));
    }

    /// Events after a revision, oldest first, at most `limit`. `None`: some are gone.
    pub(super) fn events(&self, after: u64, limit: usize) -> Option<Vec<Arc<Event>>> {
        if after < self.floor {
            return None;
        }
        let start = self.events.partition_point(|event| event.revision <= after);
        Some(self.events.range(start..).take(limit).cloned().collect())
    }

    pub(super) fn restore(&mut self, record: Arc<Record>) {
        self.fields.change(None, Some(&record));
        self.orphans.change(None, Some(&record));
        self.put(record);
    }

    pub(super) fn apply(&mut self, event: Arc<Event>) {
        let new = (!event.deleted).then_some(&event.record);
        self.fields.change(event.previous.as_ref(), new);
        self.orphans.change(event.previous.as_ref(), new);
        if event.deleted {
            self.remove(&event.record);
        } else {
            self.put(Arc::clone(&event.record));
        }
        self.events.push_back(event);
    }

    /// Forgets events up to a revision.
    pub(super) fn evict(&mut self, revision: u64) {
        while self.events.front().is_some_and(|event| event.revision <= revision) {
            self.events.pop_front();
        }
        self.floor = self.floor.max(revision);
    }

    fn put(&mut self, record: Arc<Record>) {
        let key = &record.key;
        match self.objects.get_mut(&key.namespace) {
            Some(named) => named.insert(Arc::clone(&key.name), record),
            None => self.objects.entry(Arc::clone(&key.namespace)).or_default().insert(Arc::clone(&key.name), record),
        };
    }

    fn remove(&mut self, record: &Record) {
        if let Some(named) = self.objects.get_mut(&record.key.namespace) {
            named.remove(&record.key.name);
            if named.is_empty() {
                self.objects.remove(&record.key.namespace);
            }
        }
    }

    /// Records in key order, of one namespace or of all, behind a (namespace, name).
    fn behind<'a>(
        &'a self,
        namespace: Option<&'a str>,
        after: Option<(&'a str, &'a str)>,
    ) -> Box<dyn Iterator<Item = &'a Arc<Record>> + 'a> {
        let start = after.map_or(Unbounded, |(at, _)| Excluded(at));
        let same = after.and_then(|(at, name)| self.objects.get(at).map(|named| (at, named, name)));
        let rest_of_first = same
            .filter(|(at, ..)| namespace.is_none_or(|wanted| wanted == *at))
            .map(|(_, named, name)| named.range::<str, _>((Excluded(name), Unbounded)).map(|(_, record)| record));
        match namespace {
            None => {
                let others = self.objects.range::<str, _>((start, Unbounded)).flat_map(|(_, named)| named.values());
                Box::new(rest_of_first.into_iter().flatten().chain(others))
            }
            Some(wanted) if after.is_none_or(|(at, _)| at < wanted) => {
                Box::new(self.objects.get(wanted).into_iter().flat_map(BTreeMap::values))
            }
            Some(_) => Box::new(rest_of_first.into_iter().flatten()),
        }
    }
}
