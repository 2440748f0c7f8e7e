use std::time::{Duration, Instant};

use serde_json::json;

use super::*;
use crate::schema::{self, ListType, Schema};

fn kinds() -> Kinds {
    let kinds = Kinds::default();
    register(&kinds);
    kinds
}

#[test]
fn every_core_kind_has_a_schema_with_descriptions() {
    let kinds = kinds();
    for kind in kinds.all() {
        let definition = kinds.definition(&kind.definition).unwrap_or_else(|| panic!("{}", kind.definition));
        assert!(definition["description"].as_str().is_some_and(|d| d.len() > 20), "{}", kind.kind);
        assert!(Schema::of(&kinds, &kind).property("metadata").unwrap().property("labels").is_some(), "{}", kind.kind);
    }
}

#[test]
fn every_reference_leads_somewhere() {
    let kinds = kinds();
    let definitions = kinds.definitions();
    assert!(definitions.len() > 300, "{}", definitions.len());
    let mut stack: Vec<&serde_json::Value> = definitions.values().map(|d| &**d).collect();
    while let Some(value) = stack.pop() {
        match value {
            serde_json::Value::Object(map) => {
                if let Some(name) = map.get("$ref").and_then(|r| r.as_str()) {
                    let name = name.strip_prefix("#/definitions/").unwrap_or_else(|| panic!("{name}"));
                    assert!(definitions.contains_key(name), "{name}");
                }
                stack.extend(map.values());
            }
            serde_json::Value::Array(items) => stack.extend(items),
            _ => {}
        }
    }
}

#[test]
fn lists_merge_as_in_kubernetes() {
    let kinds = kinds();
    let pod = kinds.by_kind("", "Pod").unwrap();
    let spec = Schema::of(&kinds, &pod).property("spec").unwrap();
    let containers = spec.property("containers").unwrap();
    assert_eq!(containers.merge_key(), Some("name"));
    let ports = containers.items().unwrap().property("ports").unwrap();
    assert_eq!(ports.list_type(), ListType::Map(vec!["containerPort".into(), "protocol".into()]));
    assert_eq!(ports.merge_key(), Some("containerPort"));
    assert!(spec.property("volumes").unwrap().patch_strategies().retain_keys);
    assert_eq!(spec.property("volumes").unwrap().merge_key(), Some("name"));
    assert_eq!(spec.property("tolerations").unwrap().list_type(), ListType::Atomic);
    assert!(spec.property("nodeSelector").unwrap().map_type_atomic());
    let limits = containers.items().unwrap().property("resources").unwrap().property("limits").unwrap();
    assert!(limits.additional().unwrap().int_or_string());
}

#[test]
fn starting_costs_little() {
    let begin = Instant::now();
    let kinds = kinds();
    let pod = kinds.by_kind("", "Pod").unwrap();
    schema::check(&kinds, &pod, &json!({}));
    // Two orders of magnitude above what it takes: this is a guard against parsing everything.
    assert!(begin.elapsed() < Duration::from_secs(2), "{:?}", begin.elapsed());
}

#[test]
fn a_frontend_has_ports_or_speaks_http() {
    let kinds = kinds();
    let kind = kinds.by_kind("gantry.dev", "Frontend").unwrap();
    let faults = |spec: serde_json::Value| {
        let object =
            json!({"apiVersion": "gantry.dev/v1alpha1", "kind": "Frontend", "metadata": {"name": "f"}, "spec": spec});
        schema::check(&kinds, &kind, &object).len()
    };
    let selector = json!({"matchLabels": {"a": "b"}});
    let listeners = json!([{"name": "http", "port": 80, "protocol": "HTTP"}]);
    assert_eq!(faults(json!({"class": "c", "ports": [{"port": 80}], "backends": {"selector": selector}})), 0);
    assert_eq!(faults(json!({"class": "c", "http": {"listeners": listeners}})), 0);
    assert_ne!(faults(json!({"class": "c"})), 0);
    assert_ne!(faults(json!({"class": "c", "ports": [{"port": 80}]})), 0);
    let rule = |action: serde_json::Value| json!({"class": "c", "http": {"listeners": listeners, "rules": [{"action": action}]}});
    assert_eq!(faults(rule(json!({"forward": [{"backend": "b"}]}))), 0);
    assert_eq!(faults(rule(json!({"response": {"status": 404}}))), 0);
    assert_ne!(faults(rule(json!({}))), 0);
    assert_ne!(faults(rule(json!({"response": {"status": 404}, "forward": []}))), 0);
    assert_ne!(faults(rule(json!({"redirect": {"status": 200}}))), 0);
}
