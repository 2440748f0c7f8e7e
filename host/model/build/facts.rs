//! Reads `facts.txt` and merges it into the definitions.

use std::collections::BTreeMap;
use std::error::Error;

use serde_json::{Map, Value, json};

/// Prefixes that the file leaves out, by the first part of a definition's name there.
fn full(name: &str) -> String {
    match name.split_once('.') {
        Some(("meta", rest)) => format!("io.k8s.apimachinery.pkg.apis.meta.v1.{rest}"),
        Some(("apiextensions", rest)) => format!("io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1.{rest}"),
        Some((group, rest)) if rest.contains('.') => format!("io.k8s.api.{group}.{rest}"),
        Some((group, rest)) => format!("io.k8s.api.{group}.v1.{rest}"),
        None => format!("io.k8s.api.core.v1.{name}"),
    }
}

pub fn apply(facts: &str, definitions: &mut BTreeMap<String, Value>) -> Result<(), Box<dyn Error>> {
    let mut current: Vec<String> = Vec::new();
    for (number, line) in facts.lines().enumerate() {
        let fail = |why: &str| format!("build/facts.txt:{}: {why}: {line}", number + 1);
        if line.trim().is_empty() || line.starts_with('#') {
            continue;
        }
        if let Some(entry) = line.strip_prefix("  ") {
            let (fields, facts) = entry.split_once(": ").ok_or_else(|| fail("no facts"))?;
            for (name, field) in current.iter().flat_map(|c| fields.split(' ').map(move |f| (c, f))) {
                let schema = definitions.get_mut(name).ok_or_else(|| fail("no such definition"))?;
                let property = schema.get_mut("properties").and_then(|p| p.get_mut(field));
                let property = property.and_then(Value::as_object_mut).ok_or_else(|| fail("no such field"))?;
                state(property, facts).ok_or_else(|| fail("what is this"))?;
            }
        } else {
            let (names, facts) = line.split_once(": ").unwrap_or((line, ""));
            current = names.split(' ').map(full).collect();
            for name in current.iter().filter(|_| !facts.is_empty()) {
                let schema = definitions.get_mut(name).and_then(Value::as_object_mut);
                state(schema.ok_or_else(|| fail("no such definition"))?, facts).ok_or_else(|| fail("what is this"))?;
            }
        }
    }
    Ok(())
}

fn state(schema: &mut Map<String, Value>, facts: &str) -> Option<()> {
    let mut set = |name: &str, value: Value| schema.insert(name.to_owned(), value);
    let mut rest = facts;
    while !rest.is_empty() {
        // A default is JSON and goes to the end of the line.
        if let Some(default) = rest.strip_prefix("default=") {
            set("default", serde_json::from_str(default).ok()?);
            return Some(());
        }
        let (fact, after) = rest.split_once(' ').unwrap_or((rest, ""));
        rest = after;
        let (name, value) = fact.split_once('=').unwrap_or((fact, ""));
        match name {
            "atomic" | "set" => drop(set("x-kubernetes-list-type", json!(name))),
            "atomic-map" => drop(set("x-kubernetes-map-type", json!("atomic"))),
            "map" => {
                set("x-kubernetes-list-type", json!("map"));
                set("x-kubernetes-list-map-keys", json!(value.split(',').collect::<Vec<_>>()));
            }
            "merge" => {
                set("x-kubernetes-patch-strategy", json!("merge"));
                if !value.is_empty() {
                    set("x-kubernetes-patch-merge-key", json!(value));
                }
            }
            "retain" => drop(set("x-kubernetes-patch-strategy", json!("merge,retainKeys"))),
            "strategy" => drop(set("x-kubernetes-patch-strategy", json!(value))),
            "enum" => drop(set("enum", json!(value.split('|').collect::<Vec<_>>()))),
            "min" => drop(set("minimum", json!(value.parse::<i64>().ok()?))),
            _ => return None,
        }
    }
    Some(())
}
