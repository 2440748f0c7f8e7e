//! What every source of names keeps to.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use crate::discovery::{Change, Data, Delta, Description, Discovery, Document, NodeInfo};
use crate::{Config, KindRef, ObjectRef};

use super::misspelt;

/// What a node's table would hold: by name the time to live and the records.
type Table = BTreeMap<String, (u32, Vec<Data>)>;

/// Sources of names: an unknown key is refused; what is told twice is nothing new; in whatever order and pieces objects
/// come, the records are the same; objects that go leave nothing; a full sync forgets what was before; records are
/// within the zones, and each name is there once in an answer. `objects` are some that have names, of the kinds that
/// the plugin wants to see.
pub fn discovery<P: Discovery>(config: &Config, node: &NodeInfo, objects: &[Value]) {
    assert!(P::default().configure(misspelt(config), node.clone()).is_err(), "an unknown key is refused");
    let start = || {
        let mut plugin = P::default();
        let description = plugin.configure(config.clone(), node.clone()).expect("takes its configuration");
        (plugin, description)
    };
    let (mut plugin, description) = start();
    assert_eq!(start().1, description, "it describes itself in one way");
    described(&description);
    let sets: Vec<Delta> = objects.iter().map(|o| Delta::ObjectSet(document(&description, o))).collect();
    let mut ask = |full, deltas: Vec<Delta>, table: &mut Table| {
        let changes = plugin.sync(full, deltas).expect("takes what there is");
        apply(&description, full, &changes, table);
        changes
    };
    let (mut empty, mut table, mut pieces) = (Table::new(), Table::new(), Table::new());
    ask(true, Vec::new(), &mut empty);
    ask(true, sets.clone(), &mut table);
    assert!(objects.is_empty() || table != empty, "the given objects have names");
    assert_eq!(ask(false, sets.clone(), &mut table), [], "the same again is no change");
    ask(true, Vec::new(), &mut pieces);
    for set in sets.iter().rev() {
        ask(false, vec![set.clone()], &mut pieces);
    }
    assert_eq!(pieces, table, "order and pieces do not matter");
    let gone: Vec<Delta> = objects.iter().map(|o| Delta::ObjectGone(document(&description, o).of)).collect();
    ask(false, gone.clone(), &mut pieces);
    assert_eq!(pieces, empty, "what goes leaves nothing");
    assert_eq!(ask(false, gone, &mut pieces), [], "one that is unknown may go");
    ask(true, sets, &mut pieces);
    assert_eq!(pieces, table, "a full sync says what a full sync said");
    ask(true, Vec::new(), &mut pieces);
    assert_eq!(pieces, empty, "a full sync forgets what was before");
}

fn described(description: &Description) {
    let names: BTreeSet<&str> = description.zones.iter().map(|zone| zone.name.as_str()).collect();
    assert!(!names.is_empty(), "without zones it has no names");
    assert_eq!(names.len(), description.zones.len(), "a zone is there once");
    assert!(names.iter().all(|name| plain(name)), "names of zones are plain: {names:?}");
}

/// Lower case, no dot at the end.
fn plain(name: &str) -> bool {
    !name.is_empty() && !name.ends_with('.') && name.to_lowercase() == name
}

fn apply(description: &Description, full: bool, changes: &[Change], table: &mut Table) {
    if full {
        table.clear();
    }
    let mut seen = BTreeSet::new();
    for Change { name, ttl, data } in changes {
        assert!(seen.insert(name), "{name} is there twice in one answer");
        assert!(plain(name), "{name:?} is plain");
        let within = |zone: &str| name == zone || name.ends_with(&format!(".{zone}"));
        assert!(description.zones.iter().any(|zone| within(&zone.name)), "{name} is in no zone");
        let alias = data.iter().any(|data| matches!(data, Data::Cname(_)));
        assert!(!alias || data.len() == 1, "a CNAME is alone: {name} {data:?}");
        match data.as_slice() {
            [] => drop(table.remove(name)),
            data => drop(table.insert(name.clone(), (*ttl, data.to_vec()))),
        }
    }
}

fn document(description: &Description, object: &Value) -> Document {
    let text = |pointer: &str| object.pointer(pointer).and_then(Value::as_str).unwrap_or_default().to_string();
    let version = text("/apiVersion");
    let kind = KindRef::new(version.split_once('/').map_or("", |(group, _)| group), text("/kind"));
    assert!(description.sources.iter().any(|source| source.kind == kind), "{kind} is a kind that it wants to see");
    let of = ObjectRef { kind, namespace: text("/metadata/namespace"), name: text("/metadata/name") };
    Document { of, json: object.to_string().into_bytes() }
}
