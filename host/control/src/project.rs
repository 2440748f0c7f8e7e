//! Projections: the fields of objects that a plugin asked for. Only the members on the way to those fields are parsed; the
//! rest of each object is skipped.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use gantry_model::{Record, pointer};
use serde::de::{DeserializeSeed, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Value};

/// A JSON array of the records: whole objects, or with `fields` an array each with one value per pointer. An error is
/// the pointer that is none.
pub(crate) fn array(records: &[Arc<Record>], fields: &[String]) -> Result<Vec<u8>, String> {
    let mut out = Vec::with_capacity(records.len() * if fields.is_empty() { 2048 } else { 64 });
    if let Some(wrong) = fields.iter().find(|f| !f.is_empty() && !f.starts_with('/')) {
        return Err(wrong.clone());
    }
    let wanted = Wanted::of(fields);
    out.push(b'[');
    for (n, record) in records.iter().enumerate() {
        if n > 0 {
            out.push(b',');
        }
        if fields.is_empty() {
            out.extend_from_slice(&record.json);
        } else {
            row(record, &wanted, fields, &mut out);
        }
    }
    out.push(b']');
    Ok(out)
}

fn row(record: &Record, wanted: &Wanted, fields: &[String], out: &mut Vec<u8>) {
    let mut parser = serde_json::Deserializer::from_slice(&record.json);
    let object = wanted.deserialize(&mut parser).unwrap_or_default();
    out.push(b'[');
    for (n, field) in fields.iter().enumerate() {
        if n > 0 {
            out.push(b',');
        }
        let value = pointer::find(&object, field).unwrap_or(&Value::Null);
        // Writing a value into memory does not fail.
        let _ = serde_json::to_writer(&mut *out, value);
    }
    out.push(b']');
}

/// Objects without the members that nobody reads.
pub(crate) struct Pruned(Option<Wanted>);

impl Pruned {
    /// With what these pointers lead to, and the way there; whole ones if there are none.
    pub(crate) fn to(fields: &[String]) -> Self {
        Self((!fields.is_empty()).then(|| Wanted::of(fields)))
    }

    /// Nothing is left out.
    pub(crate) fn is_whole(&self) -> bool {
        self.0.is_none()
    }

    /// JSON of what is left.
    pub(crate) fn json(&self, record: &Record) -> Vec<u8> {
        let Some(wanted) = &self.0 else { return record.json.to_vec() };
        let mut parser = serde_json::Deserializer::from_slice(&record.json);
        // Both have been read and written before.
        serde_json::to_vec(&wanted.deserialize(&mut parser).unwrap_or_default()).unwrap_or_default()
    }
}

/// A tree of the members that pointers pass through. A leaf, and everything below an array, is parsed whole.
#[derive(Debug, Default)]
struct Wanted {
    whole: bool,
    members: BTreeMap<String, Wanted>,
}

impl Wanted {
    fn of(fields: &[String]) -> Self {
        let mut root = Wanted::default();
        for field in fields {
            let steps = field.split('/').skip(1);
            let leaf = steps
                .fold(&mut root, |at, step| at.members.entry(step.replace("~1", "/").replace("~0", "~")).or_default());
            leaf.whole = true;
        }
        root
    }
}

impl<'de> DeserializeSeed<'de> for &Wanted {
    type Value = Value;

    fn deserialize<D: serde::Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        if self.whole {
            return serde::Deserialize::deserialize(deserializer);
        }
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for &Wanted {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Value, A::Error> {
        let mut found = Map::new();
        while let Some(name) = map.next_key::<std::borrow::Cow<'de, str>>()? {
            match self.members.get(&*name) {
                Some(wanted) => {
                    let value = map.next_value_seed(wanted)?;
                    found.insert(name.into_owned(), value);
                }
                None => {
                    map.next_value::<IgnoredAny>()?;
                }
            }
        }
        Ok(Value::Object(found))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Value, A::Error> {
        let mut all = Vec::new();
        while let Some(value) = seq.next_element()? {
            all.push(value);
        }
        Ok(Value::Array(all))
    }

    fn visit_bool<E>(self, _: bool) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_i64<E>(self, _: i64) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_u64<E>(self, _: u64) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_f64<E>(self, _: f64) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_str<E>(self, _: &str) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use gantry_model::key::Resource;
    use gantry_model::{Draft, Key};
    use serde_json::json;

    fn pod() -> Arc<Record> {
        let object = json!({
            "apiVersion": "v1", "kind": "Pod",
            "metadata": {"name": "p", "labels": {"a/b": "c"}, "managedFields": [{"x": [1, 2, {"y": null}]}]},
            "spec": {"containers": [{"name": "web"}], "nodeName": "n", "priority": 3},
            "status": {"conditions": [{"type": "Ready", "status": "True"}]},
        });
        Arc::new(Draft::new(Key::new(Resource::new("", "pods"), "d", "p"), object, &[]).commit(5))
    }

    #[test]
    fn what_nobody_reads_is_left_out() {
        let pruned = |fields: &[&str]| -> Value {
            let fields: Vec<String> = fields.iter().map(|field| (*field).to_owned()).collect();
            serde_json::from_slice(&Pruned::to(&fields).json(&pod())).unwrap()
        };
        assert_eq!(pruned(&["/metadata/name", "/none"]), json!({"metadata": {"name": "p"}}));
        assert_eq!(
            pruned(&["/spec/containers/0/name", "/kind"]),
            json!({"kind": "Pod", "spec": {"containers": [{"name": "web"}]}})
        );
        assert_eq!(pruned(&[])["spec"]["nodeName"], "n");
    }

    #[test]
    fn rows_have_a_value_per_pointer() {
        for (fields, wanted) in [
            (vec!["/metadata/name", "/spec/nodeName", "/nothing"], json!(["p", "n", null])),
            (vec!["/metadata/labels/a~1b", "/spec/priority/deeper"], json!(["c", null])),
            (vec!["/status/conditions/type=Ready/status", "/spec/containers/0/name"], json!(["True", "web"])),
            (vec!["/metadata/labels", "/metadata/labels/a~1b"], json!([{"a/b": "c"}, "c"])),
            (vec!["/metadata/resourceVersion"], json!(["5"])),
        ] {
            let fields: Vec<String> = fields.into_iter().map(str::to_owned).collect();
            let rows: Value = serde_json::from_slice(&array(&[pod(), pod()], &fields).unwrap()).unwrap();
            assert_eq!(rows, json!([wanted, wanted]), "{fields:?}");
        }
        let whole: Value = serde_json::from_slice(&array(&[pod()], &[]).unwrap()).unwrap();
        assert_eq!(whole[0]["spec"]["nodeName"], "n");
        assert_eq!(array(&[], &["spec".to_owned()]).unwrap_err(), "spec");
    }
}
