//! Everything in one document: `apidiscovery.k8s.io` APIGroupDiscoveryList.

use serde_json::{Value, json};

use super::entries::{self, Entry};

pub(super) fn core(entries: &[Entry], api: &str) -> Value {
    document(entries, api, |group| group.is_empty())
}

pub(super) fn groups(entries: &[Entry], api: &str) -> Value {
    document(entries, api, |group| !group.is_empty())
}

fn document(entries: &[Entry], api: &str, wanted: impl Fn(&str) -> bool) -> Value {
    let groups = entries::versions(entries).into_iter().filter(|(group, _)| wanted(group));
    let items: Vec<Value> = groups
        .map(|(group, versions)| {
            let versions: Vec<Value> = versions.iter().map(|version| one(entries, &group, version)).collect();
            let metadata = if group.is_empty() { json!({}) } else { json!({ "name": group }) };
            json!({ "metadata": metadata, "versions": versions })
        })
        .collect();
    json!({
        "kind": "APIGroupDiscoveryList", "apiVersion": format!("apidiscovery.k8s.io/{api}"), "metadata": {},
        "items": items,
    })
}

fn one(entries: &[Entry], group: &str, version: &str) -> Value {
    let resources: Vec<Value> =
        entries.iter().filter(|e| e.group == group && e.version == version).map(resource).collect();
    json!({ "version": version, "freshness": "Current", "resources": resources })
}

fn resource(entry: &Entry) -> Value {
    let mut value = json!({
        "resource": entry.plural,
        "responseKind": { "group": entry.group, "version": entry.version, "kind": entry.kind },
        "scope": if entry.namespaced { "Namespaced" } else { "Cluster" },
        "singularResource": entry.singular,
        "verbs": entry.verbs,
    });
    let Some(map) = value.as_object_mut() else { return value };
    for (name, list) in [("shortNames", &entry.short_names), ("categories", &entry.categories)] {
        if !list.is_empty() {
            map.insert(name.to_owned(), json!(list));
        }
    }
    if !entry.parts.is_empty() {
        let parts = entry.parts.iter().map(|part| {
            let (group, version, kind) = &part.kind;
            json!({
                "subresource": part.name,
                "responseKind": { "group": group, "version": version, "kind": kind },
                "verbs": part.verbs,
            })
        });
        map.insert("subresources".to_owned(), parts.collect());
    }
    value
}
