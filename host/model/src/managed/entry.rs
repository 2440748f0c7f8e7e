//! `metadata.managedFields[]`.

use std::cmp::Ordering;

use serde_json::{Map, Value, json};

use super::diff::Diff;
use super::set::FieldSet;

/// As in Kubernetes: of more updaters than this, the oldest become one.
const MAX_UPDATERS: usize = 10;
const ANCIENT: &str = "ancient-changes";

/// How a manager came to own fields.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Operation {
    /// Server-side apply: the manager says all that it wants, each time.
    Apply,
    /// Any other write.
    Update,
}

impl Operation {
    fn name(self) -> &'static str {
        match self {
            Operation::Apply => "Apply",
            Operation::Update => "Update",
        }
    }
}

/// What one manager owns.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Its name.
    pub manager: String,
    /// How it writes.
    pub operation: Operation,
    /// The version in which the fields are named.
    pub api_version: String,
    /// When it last changed what it owns; RFC 3339.
    pub time: String,
    /// `status`, `scale` or empty.
    pub subresource: String,
    /// The fields.
    pub fields: FieldSet,
}

/// Who writes, and when.
#[derive(Clone, Copy, Debug)]
pub struct Writer<'a> {
    /// A field manager's name.
    pub manager: &'a str,
    /// `status`, `scale` or empty.
    pub subresource: &'a str,
    /// The version it writes in.
    pub api_version: &'a str,
    /// RFC 3339.
    pub now: &'a str,
}

impl Writer<'_> {
    /// Whether an entry is this writer's.
    pub(super) fn owns(&self, entry: &Entry, operation: Operation) -> bool {
        entry.operation == operation
            && entry.manager == self.manager
            && entry.subresource == self.subresource
            && entry.api_version == self.api_version
    }

    /// An entry of this writer.
    pub(super) fn entry(&self, operation: Operation, fields: FieldSet) -> Entry {
        Entry {
            manager: self.manager.to_owned(),
            operation,
            api_version: self.api_version.to_owned(),
            time: self.now.to_owned(),
            subresource: self.subresource.to_owned(),
            fields,
        }
    }
}

/// Everything that an object's managers own.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Managed {
    /// By manager; no entry is empty.
    pub entries: Vec<Entry>,
}

impl Managed {
    /// Takes `metadata.managedFields` out of an object. `None`: there are none, or they can't be read.
    pub fn take(object: &mut Value) -> Option<Self> {
        match object.get_mut("metadata")?.as_object_mut()?.remove("managedFields")? {
            Value::Array(list) => {
                Some(Self { entries: list.into_iter().map(entry).collect::<Option<_>>()? }).filter(|m| !m.is_empty())
            }
            _ => None,
        }
    }

    /// Whether nobody owns anything.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Puts it back as `metadata.managedFields`.
    pub fn put(self, object: &mut Value) {
        let metadata = object.get_mut("metadata").and_then(Value::as_object_mut);
        if let (Some(metadata), false) = (metadata, self.is_empty()) {
            let list = self.entries.into_iter().map(Entry::into_value).collect();
            metadata.insert("managedFields".to_owned(), Value::Array(list));
        }
    }

    /// What follows from a write: its fields belong to the writer and to nobody else.
    pub fn update(&mut self, writer: &Writer<'_>, diff: &Diff) {
        if diff.is_empty() {
            return;
        }
        let mut found = false;
        for entry in &mut self.entries {
            entry.fields.subtract(&diff.removed);
            if !writer.owns(entry, Operation::Update) {
                entry.fields.subtract(&diff.changed);
                continue;
            }
            found = true;
            if !diff.changed.is_empty() {
                entry.fields.add(&diff.changed);
                entry.time = writer.now.to_owned();
            }
        }
        if !found && !diff.changed.is_empty() {
            self.entries.push(writer.entry(Operation::Update, diff.changed.clone()));
        }
        self.settle();
    }

    /// Drops empty entries, merges old ones beyond the limit, and sorts.
    pub(super) fn settle(&mut self) {
        self.entries.retain(|entry| !entry.fields.is_empty());
        self.entries.sort_by(order);
        while self.entries.iter().filter(|e| e.operation == Operation::Update).count() > MAX_UPDATERS {
            if !self.merge_oldest() {
                break;
            }
        }
    }

    /// Merges the two oldest updaters of one version.
    fn merge_oldest(&mut self) -> bool {
        let updaters = || self.entries.iter().enumerate().filter(|(_, e)| e.operation == Operation::Update);
        let pair = updaters().find_map(|(first, a)| {
            let same = |b: &Entry| b.api_version == a.api_version && b.subresource == a.subresource;
            updaters().find(|(at, b)| *at > first && same(b)).map(|(second, _)| (first, second))
        });
        let Some((first, second)) = pair else { return false };
        let old = self.entries.remove(first);
        if let Some(entry) = self.entries.get_mut(second - 1) {
            entry.fields.add(&old.fields);
            entry.manager = ANCIENT.to_owned();
        }
        self.entries.sort_by(order);
        true
    }
}

/// Appliers first, then by time.
fn order(a: &Entry, b: &Entry) -> Ordering {
    let key = |e: &Entry| (e.operation, e.time.clone());
    key(a)
        .cmp(&key(b))
        .then_with(|| (&a.manager, &a.api_version, &a.subresource).cmp(&(&b.manager, &b.api_version, &b.subresource)))
}

impl Entry {
    fn into_value(self) -> Value {
        let mut map = Map::new();
        map.insert("apiVersion".to_owned(), Value::String(self.api_version));
        map.insert("fieldsType".to_owned(), json!("FieldsV1"));
        map.insert("fieldsV1".to_owned(), self.fields.into_value());
        map.insert("manager".to_owned(), Value::String(self.manager));
        map.insert("operation".to_owned(), json!(self.operation.name()));
        if !self.subresource.is_empty() {
            map.insert("subresource".to_owned(), Value::String(self.subresource));
        }
        if !self.time.is_empty() {
            map.insert("time".to_owned(), Value::String(self.time));
        }
        Value::Object(map)
    }
}

fn entry(value: Value) -> Option<Entry> {
    let Value::Object(mut map) = value else { return None };
    let operation = match map.get("operation").and_then(Value::as_str)? {
        "Apply" => Operation::Apply,
        "Update" => Operation::Update,
        _ => return None,
    };
    let mut text = |name: &str| match map.remove(name) {
        Some(Value::String(text)) => text,
        _ => String::new(),
    };
    let (manager, api_version, time, subresource) =
        (text("manager"), text("apiVersion"), text("time"), text("subresource"));
    let fields = FieldSet::from_value(map.remove("fieldsV1").unwrap_or_default());
    Some(Entry { manager, operation, api_version, time, subresource, fields })
}
