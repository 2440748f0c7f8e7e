//! Sets, differences and applies over the schema of Pods.

use serde_json::{Value, json};

use super::*;
use crate::schema::Schema;
use crate::{Kind, Kinds};

fn schema() -> Schema {
    let kinds = Kinds::default();
    crate::core::register(&kinds);
    let pods = kinds.by_resource("", "v1", "pods").unwrap();
    Schema::of(&kinds, &Kind { ..(*pods).clone() })
}

fn writer(manager: &str) -> Writer<'_> {
    Writer { manager, subresource: "", api_version: "v1", now: "2026-01-01T00:00:00Z" }
}

fn pod(containers: Value) -> Value {
    json!({"metadata": {"name": "p"}, "spec": {"containers": containers}})
}

#[test]
fn differences_are_named_by_key_field_and_value() {
    let schema = schema();
    let old = pod(json!([{"name": "a", "image": "i:1", "command": ["x"]}, {"name": "gone", "image": "g"}]));
    let mut new =
        pod(json!([{"name": "a", "image": "i:2", "command": ["x", "y"], "env": [{"name": "E", "value": "1"}]}]));
    new["metadata"] = json!({"name": "other", "uid": "u", "finalizers": ["f"], "labels": {"l": "1"}});
    let diff = diff(&schema, &old, &new);
    assert_eq!(
        diff.changed.clone().into_value(),
        json!({
            "f:metadata": {"f:finalizers": {".": {}, "v:\"f\"": {}}, "f:labels": {".": {}, "f:l": {}}},
            "f:spec": {"f:containers": {"k:{\"name\":\"a\"}": {
                "f:image": {}, "f:command": {},
                "f:env": {".": {}, "k:{\"name\":\"E\"}": {".": {}, "f:name": {}, "f:value": {}}},
            }}},
        })
    );
    assert_eq!(
        diff.removed.into_value(),
        json!({"f:spec": {"f:containers": {"k:{\"name\":\"gone\"}": {".": {}, "f:image": {}, "f:name": {}}}}})
    );
    assert!(super::diff(&schema, &new, &new).is_empty());
}

#[test]
fn entries_read_back_as_they_were_written() {
    let entries = json!([
        {"apiVersion": "v1", "fieldsType": "FieldsV1", "fieldsV1": {"f:spec": {"f:nodeName": {}}}, "manager": "a", "operation": "Apply", "time": "t"},
        {"apiVersion": "v1", "fieldsType": "FieldsV1", "fieldsV1": {"f:status": {"f:phase": {}}}, "manager": "b", "operation": "Update", "subresource": "status", "time": "t"},
    ]);
    let mut object = json!({"metadata": {"managedFields": entries.clone()}});
    let managed = Managed::take(&mut object).unwrap();
    assert_eq!(object, json!({"metadata": {}}));
    managed.put(&mut object);
    assert_eq!(object["metadata"]["managedFields"], entries);
    for broken in [json!("x"), json!([{"operation": "Boil"}]), json!([]), json!([3])] {
        assert!(Managed::take(&mut json!({"metadata": {"managedFields": broken.clone()}})).is_none(), "{broken}");
    }
}

/// Applies configurations one after the other, forcing.
fn applied(steps: &[(&str, Value)]) -> (Value, Managed) {
    let schema = schema();
    steps.iter().fold((json!({}), Managed::default()), |(live, managed), (manager, config)| {
        apply(&schema, &live, managed, config.clone(), &writer(manager), true).unwrap()
    })
}

#[test]
fn an_applier_takes_back_only_what_is_its_own() {
    let a = json!([{"name": "c", "image": "i", "ports": [{"containerPort": 80}]}, {"name": "x", "image": "x"}]);
    let b = json!([{"name": "c", "env": [{"name": "E", "value": "1"}]}, {"name": "x", "workingDir": "/"}]);
    let (object, managed) = applied(&[("a", pod(a)), ("b", pod(b)), ("a", pod(json!([{"name": "c", "image": "j"}])))]);
    assert_eq!(
        object["spec"]["containers"],
        json!([
            {"name": "c", "image": "j", "env": [{"name": "E", "value": "1"}]},
            // The other applier named the key, too.
            {"name": "x", "workingDir": "/"},
        ])
    );
    assert_eq!(managed.entries.len(), 2);
}

#[test]
fn ports_with_and_without_protocol_are_the_same() {
    let one = pod(json!([{"name": "c", "image": "i", "ports": [{"containerPort": 80, "protocol": "TCP"}]}]));
    let two = pod(json!([{"name": "c", "image": "i", "ports": [{"containerPort": 80, "name": "http"}]}]));
    let (object, _) = applied(&[("a", one), ("b", two)]);
    let ports = &object["spec"]["containers"][0]["ports"];
    assert_eq!(*ports, json!([{"containerPort": 80, "protocol": "TCP", "name": "http"}]));
}

mod properties {
    use super::*;
    use proptest::prelude::*;

    fn configs() -> impl Strategy<Value = Value> {
        let container = ("[ab]", prop::option::of("[xy]"), prop::option::of("[xy]"));
        let containers = prop::collection::vec(container, 0..3);
        let labels = prop::collection::btree_map("[klm]", "[12]", 0..3);
        (containers, labels).prop_map(|(containers, labels)| {
            let mut seen = std::collections::BTreeMap::new();
            for (name, image, dir) in containers {
                let mut one = json!({"name": name});
                image.into_iter().for_each(|image| one["image"] = json!(image));
                dir.into_iter().for_each(|dir| one["workingDir"] = json!(dir));
                seen.insert(name, one);
            }
            json!({"metadata": {"labels": labels}, "spec": {"containers": seen.into_values().collect::<Vec<_>>()}})
        })
    }

    /// Without empty objects and lists, which an apply may leave or not.
    fn bare(value: &Value) -> Value {
        let empty = |v: &Value| v == &json!({}) || v == &json!([]);
        match value {
            Value::Object(map) => {
                Value::Object(map.iter().map(|(k, v)| (k.clone(), bare(v))).filter(|(_, v)| !empty(v)).collect())
            }
            Value::Array(list) => Value::Array(list.iter().map(bare).collect()),
            other => other.clone(),
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        /// A sole applier gets what it applied last, whatever it applied before.
        #[test]
        fn the_last_of_one_applier_counts(first in configs(), last in configs()) {
            let (object, _) = applied(&[("a", first), ("a", last.clone())]);
            prop_assert_eq!(bare(&object), bare(&last));
        }

        /// Applying again changes nothing, not even times.
        #[test]
        fn applying_is_idempotent(a in configs(), b in configs()) {
            let schema = schema();
            let (object, managed) = applied(&[("a", a), ("b", b.clone())]);
            let later = Writer { now: "2027-01-01T00:00:00Z", ..writer("b") };
            let (again, still) = apply(&schema, &object, managed.clone(), b, &later, false).unwrap();
            prop_assert_eq!(again, object);
            prop_assert_eq!(still, managed);
        }

        /// Two appliers that both leave take everything with them.
        #[test]
        fn nothing_is_left_behind(a in configs(), b in configs()) {
            let none = json!({});
            let (object, managed) = applied(&[("a", a), ("b", b), ("a", none.clone()), ("b", none)]);
            prop_assert_eq!(bare(&object), json!({}));
            prop_assert!(managed.is_empty());
        }
    }
}
