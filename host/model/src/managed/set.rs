//! A set of fields, kept in the form in which `fieldsV1` writes it.
//!
//! The JSON form is itself a trie: `{"f:spec":{"f:replicas":{}}}`. Working on it directly saves two conversions for
//! every write. A node is a member if it is empty or has a `.`; otherwise it only leads to members.

use serde_json::{Map, Value};

const MEMBER: &str = ".";

/// Fields of an object, as `fieldsV1` names them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FieldSet(pub(super) Map<String, Value>);

impl FieldSet {
    /// Reads `fieldsV1`; anything but an object is the empty set.
    pub fn from_value(value: Value) -> Self {
        match value {
            Value::Object(map) => Self(map),
            _ => Self::default(),
        }
    }

    /// The `fieldsV1` form.
    pub fn into_value(self) -> Value {
        Value::Object(self.0)
    }

    /// Whether there is no field in it.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Adds the fields of another set.
    pub fn add(&mut self, other: &FieldSet) {
        add(&mut self.0, &other.0);
    }

    /// Takes out the fields of another set. What lies below a field stays unless it is named too.
    pub fn subtract(&mut self, other: &FieldSet) {
        subtract(&mut self.0, &other.0);
    }

    /// The fields that are in both.
    pub fn intersection(&self, other: &FieldSet) -> FieldSet {
        FieldSet(intersection(&self.0, &other.0))
    }

    /// The paths of the fields, as messages name them: `.spec.containers[name="web"].image`.
    pub fn paths(&self) -> Vec<String> {
        let mut out = Vec::new();
        paths(&self.0, "", &mut out);
        out
    }
}

/// Whether a node is itself a field of the set.
pub(super) fn is_member(node: &Map<String, Value>) -> bool {
    node.is_empty() || node.contains_key(MEMBER)
}

/// A node with children, as it is written when it is a member or not. `None`: nothing is left of it.
fn node(member: bool, mut children: Map<String, Value>) -> Option<Value> {
    match (member, children.is_empty()) {
        (false, true) => None,
        (true, true) => Some(Value::Object(children)),
        (true, false) => {
            children.insert(MEMBER.to_owned(), Value::Object(Map::new()));
            Some(Value::Object(children))
        }
        (false, false) => Some(Value::Object(children)),
    }
}

/// A node that is a member and has these children.
pub(super) fn member(children: Map<String, Value>) -> Value {
    node(true, children).unwrap_or_default()
}

/// Puts a node in unless nothing is in it.
pub(super) fn insert(map: &mut Map<String, Value>, element: String, is_member: bool, children: Map<String, Value>) {
    if let Some(node) = node(is_member, children) {
        map.insert(element, node);
    }
}

fn add(into: &mut Map<String, Value>, from: &Map<String, Value>) {
    for (element, theirs) in from {
        let Value::Object(theirs) = theirs else { continue };
        match into.get_mut(element) {
            Some(Value::Object(ours)) => {
                let both = is_member(ours) || is_member(theirs);
                ours.remove(MEMBER);
                add(ours, theirs);
                ours.remove(MEMBER);
                if both && !ours.is_empty() {
                    ours.insert(MEMBER.to_owned(), Value::Object(Map::new()));
                }
            }
            _ => {
                into.insert(element.clone(), Value::Object(theirs.clone()));
            }
        }
    }
}

fn subtract(from: &mut Map<String, Value>, what: &Map<String, Value>) {
    for (element, theirs) in what {
        let (Some(Value::Object(ours)), Value::Object(theirs)) = (from.get_mut(element), theirs) else { continue };
        let stays = is_member(ours) && !is_member(theirs);
        ours.remove(MEMBER);
        subtract(ours, theirs);
        match (stays, ours.is_empty()) {
            (false, true) => {
                from.remove(element);
            }
            (true, false) => {
                ours.insert(MEMBER.to_owned(), Value::Object(Map::new()));
            }
            _ => {}
        }
    }
}

fn intersection(a: &Map<String, Value>, b: &Map<String, Value>) -> Map<String, Value> {
    let mut out = Map::new();
    for (element, ours) in a {
        let (Value::Object(ours), Some(Value::Object(theirs))) = (ours, b.get(element)) else { continue };
        if element != MEMBER {
            insert(&mut out, element.clone(), is_member(ours) && is_member(theirs), intersection(ours, theirs));
        }
    }
    out
}

fn paths(map: &Map<String, Value>, prefix: &str, out: &mut Vec<String>) {
    for (element, below) in map {
        let Value::Object(below) = below else { continue };
        if element == MEMBER {
            continue;
        }
        let path = format!("{prefix}{}", printed(element));
        if is_member(below) {
            out.push(path.clone());
        }
        paths(below, &path, out);
    }
}

fn printed(element: &str) -> String {
    match element.split_once(':') {
        Some(("f", name)) => format!(".{name}"),
        Some(("v", value)) => format!("[={value}]"),
        Some(("i", index)) => format!("[{index}]"),
        Some(("k", key)) => match serde_json::from_str::<Map<String, Value>>(key) {
            Ok(key) => {
                let parts: Vec<String> = key.iter().map(|(name, value)| format!("{name}={value}")).collect();
                format!("[{}]", parts.join(","))
            }
            Err(_) => format!("[{key}]"),
        },
        _ => element.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;
    use std::collections::BTreeSet;

    fn set(value: Value) -> FieldSet {
        FieldSet::from_value(value)
    }

    #[test]
    fn members_and_ways_to_members_are_told_apart() {
        let leaf = json!({"f:a": {}});
        let way = json!({"f:a": {"f:b": {}}});
        let both = json!({"f:a": {".": {}, "f:b": {}}});
        let mut a = set(leaf.clone());
        a.add(&set(way.clone()));
        assert_eq!(a, set(both.clone()));
        let mut b = set(way.clone());
        b.add(&set(leaf.clone()));
        assert_eq!(b, set(both.clone()));
        b.subtract(&set(way.clone()));
        assert_eq!(b, set(leaf.clone()));
        a.subtract(&set(leaf));
        assert_eq!(a, set(way.clone()));
        a.subtract(&set(both));
        assert!(a.is_empty());
        assert!(set(way).intersection(&set(json!({"f:a": {}}))).is_empty());
    }

    #[test]
    fn paths_read_like_those_of_kubernetes() {
        let fields = set(
            json!({"f:spec": {"f:ports": {"k:{\"containerPort\":80,\"protocol\":\"TCP\"}": {".": {}, "f:name": {}}}},
            "f:metadata": {"f:finalizers": {"v:\"x\"": {}}}}),
        );
        assert_eq!(
            fields.paths(),
            [
                ".metadata.finalizers[=\"x\"]",
                ".spec.ports[containerPort=80,protocol=\"TCP\"]",
                ".spec.ports[containerPort=80,protocol=\"TCP\"].name"
            ]
        );
    }

    fn sets() -> impl Strategy<Value = FieldSet> {
        let path = prop::collection::vec("[abc]", 1..4);
        prop::collection::btree_set(path, 0..12).prop_map(|paths| {
            let mut all = FieldSet::default();
            for path in paths {
                let one = path.iter().rev().fold(json!({}), |below, name| json!({format!("f:{name}"): below}));
                all.add(&FieldSet::from_value(one));
            }
            all
        })
    }

    fn plain(set: &FieldSet) -> BTreeSet<String> {
        set.paths().into_iter().collect()
    }

    proptest! {
        #[test]
        fn sets_behave_as_sets_of_paths(a in sets(), b in sets()) {
            let mut sum = a.clone();
            sum.add(&b);
            prop_assert_eq!(plain(&sum), plain(&a).union(&plain(&b)).cloned().collect());
            let mut rest = a.clone();
            rest.subtract(&b);
            prop_assert_eq!(plain(&rest), plain(&a).difference(&plain(&b)).cloned().collect());
            prop_assert_eq!(plain(&a.intersection(&b)), plain(&a).intersection(&plain(&b)).cloned().collect());
        }
    }
}
