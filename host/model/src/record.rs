//! An object as the store holds it: parsed metadata for the host, JSON bytes for everyone else.

use bytes::Bytes;
use serde_json::{Map, Value};

use crate::key::Key;
use crate::meta::Meta;

/// An object that is ready to be written: everything but its revision.
#[derive(Clone, Debug)]
pub struct Draft {
    /// Where it goes.
    pub key: Key,
    /// Metadata for the host.
    pub meta: Meta,
    /// Values of the kind's selectable fields (`spec.nodeName` → `n1`), which the store indexes.
    pub fields: Vec<(String, String)>,
    json: Vec<u8>,
    /// Where `"resourceVersion":"…",` belongs.
    insert_at: usize,
}

const HEAD: &str = "\"metadata\":{";

impl Draft {
    /// Prepares an object for the store. `metadata.resourceVersion` is dropped: the store sets it. `selectable` are
    /// the kind's selectable field paths (`spec.nodeName`).
    pub fn new(key: Key, object: Value, selectable: &[String]) -> Self {
        let meta = Meta::of(&object);
        let fields =
            selectable.iter().map(|path| (path.clone(), field(&object, path))).filter(|(_, v)| !v.is_empty()).collect();
        let mut map = match object {
            Value::Object(map) => map,
            _ => Map::new(),
        };
        let mut metadata = match map.remove("metadata") {
            Some(Value::Object(m)) => m,
            _ => Map::new(),
        };
        metadata.remove("resourceVersion");
        // Metadata goes first among what is left after apiVersion and kind, so that the insertion point is known.
        let mut json = Vec::with_capacity(1024);
        json.push(b'{');
        for name in ["apiVersion", "kind"] {
            if let Some(value) = map.remove(name) {
                json.extend_from_slice(format!("\"{name}\":{value},").as_bytes());
            }
        }
        json.extend_from_slice(HEAD.as_bytes());
        let insert_at = json.len();
        let body = Value::Object(metadata).to_string();
        json.extend_from_slice(body.as_bytes().get(1..).unwrap_or(b"}"));
        let rest = Value::Object(map).to_string();
        match rest.as_bytes() {
            [b'{', b'}'] => json.push(b'}'),
            [b'{', rest @ ..] => {
                json.push(b',');
                json.extend_from_slice(rest);
            }
            _ => json.push(b'}'),
        }
        Self { key, meta, fields, json, insert_at }
    }

    /// The length of the object's JSON in bytes.
    pub fn size(&self) -> usize {
        self.json.len()
    }

    /// The object as it reads at `revision`. Only the store's writer calls this.
    pub fn commit(self, revision: u64) -> Record {
        let (head, tail) = self.json.split_at(self.insert_at.min(self.json.len()));
        let empty = tail.first() == Some(&b'}');
        let mut json = Vec::with_capacity(self.json.len() + 44);
        json.extend_from_slice(head);
        json.extend_from_slice(format!("\"resourceVersion\":\"{revision}\"").as_bytes());
        if !empty {
            json.push(b',');
        }
        json.extend_from_slice(tail);
        Record { key: self.key, revision, meta: self.meta, fields: self.fields, json: Bytes::from(json) }
    }
}

/// An object at one revision. Immutable; shared as `Arc<Record>`.
#[derive(Clone, Debug)]
pub struct Record {
    /// Where it is.
    pub key: Key,
    /// The revision that wrote it, which is its `metadata.resourceVersion`.
    pub revision: u64,
    /// Metadata for the host.
    pub meta: Meta,
    /// Values of selectable fields.
    pub fields: Vec<(String, String)>,
    /// The whole object as JSON, as clients get it.
    pub json: Bytes,
}

impl Record {
    /// Parses the object. `Null` never happens for what went through [`Draft`].
    pub fn value(&self) -> Value {
        serde_json::from_slice(&self.json).unwrap_or(Value::Null)
    }

    /// The same object stamped with another revision: how a deletion shows the last state, and a watch with selectors
    /// the last one that they let through.
    pub fn restamped(&self, revision: u64) -> Record {
        let json = restamp(&self.json, revision).map_or_else(|| self.json.clone(), Bytes::from);
        Record { key: self.key.clone(), revision, meta: self.meta.clone(), fields: self.fields.clone(), json }
    }

    /// The value of a selectable field; empty when it is not set.
    pub fn field(&self, path: &str) -> &str {
        match path {
            "metadata.name" => &self.meta.name,
            "metadata.namespace" => &self.meta.namespace,
            _ => self.fields.iter().find(|(p, _)| p == path).map_or("", |(_, v)| v.as_str()),
        }
    }
}

/// Replaces the revision that [`Draft::commit`] put first in `metadata`.
fn restamp(json: &[u8], revision: u64) -> Option<Vec<u8>> {
    const STAMP: &[u8] = b"\"metadata\":{\"resourceVersion\":\"";
    let start = json.windows(STAMP.len()).position(|w| w == STAMP)? + STAMP.len();
    let (head, tail) = json.split_at_checked(start)?;
    let end = tail.iter().position(|b| *b == b'"')?;
    Some([head, revision.to_string().as_bytes(), tail.get(end..)?].concat())
}

/// The text of the value at a dotted path; empty when there is none.
fn field(object: &Value, path: &str) -> String {
    let mut at = object;
    for part in path.split('.') {
        match at.get(part) {
            Some(next) => at = next,
            None => return String::new(),
        }
    }
    match at {
        Value::String(s) => s.clone(),
        Value::Null => String::new(),
        // The `source` of an event is selected by its component.
        Value::Object(map) => map.get("component").and_then(Value::as_str).unwrap_or_default().to_owned(),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::key::Resource;
    use serde_json::json;

    fn commit(object: Value) -> Value {
        let key = Key::new(Resource::new("", "pods"), "a", "b");
        Draft::new(key, object, &["spec.nodeName".to_owned()]).commit(7).value()
    }

    #[test]
    fn revision_is_spliced_into_every_shape_of_object() {
        for (object, want) in [
            (json!({}), json!({"metadata": {"resourceVersion": "7"}})),
            (json!({"metadata": {"resourceVersion": "3"}}), json!({"metadata": {"resourceVersion": "7"}})),
            (
                json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "b"}, "spec": {"nodeName": "n"}}),
                json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "b", "resourceVersion": "7"}, "spec": {"nodeName": "n"}}),
            ),
        ] {
            assert_eq!(commit(object), want);
        }
    }

    #[test]
    fn restamping_changes_the_revision_and_nothing_else() {
        for metadata in [json!({}), json!({"name": "b", "annotations": {"metadata": "{\"resourceVersion\":\"3\"}"}})] {
            let object = json!({"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "data": {"a": "b"}});
            let key = Key::new(Resource::new("", "pods"), "a", "b");
            let record = Draft::new(key, object, &[]).commit(99).restamped(100);
            let mut want = record.value();
            want["metadata"]["resourceVersion"] = json!("100");
            assert_eq!((record.revision, record.value()), (100, want));
            assert_eq!(record.value()["metadata"]["resourceVersion"], "100");
        }
    }
}
