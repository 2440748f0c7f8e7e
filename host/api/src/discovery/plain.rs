//! The lists that clients before aggregated discovery read, one request each.

use serde_json::{Value, json};

use super::entries::{self, Entry};

pub(super) fn core(entries: &[Entry]) -> Value {
    let all = entries::versions(entries);
    let versions = all.into_iter().find(|(group, _)| group.is_empty()).map(|(_, versions)| versions);
    json!({ "kind": "APIVersions", "versions": versions.unwrap_or_default(), "serverAddressByClientCIDRs": [] })
}

pub(super) fn groups(entries: &[Entry]) -> Value {
    let groups: Vec<Value> =
        entries::versions(entries).iter().filter(|(group, _)| !group.is_empty()).map(|(g, v)| one(g, v)).collect();
    json!({ "kind": "APIGroupList", "apiVersion": "v1", "groups": groups })
}

pub(super) fn group(entries: &[Entry], name: &str) -> Option<Value> {
    let (group, versions) = entries::versions(entries).into_iter().find(|(group, _)| group == name)?;
    let mut value = one(&group, &versions);
    let map = value.as_object_mut()?;
    map.insert("kind".to_owned(), json!("APIGroup"));
    map.insert("apiVersion".to_owned(), json!("v1"));
    Some(value)
}

fn one(group: &str, versions: &[String]) -> Value {
    let versions: Vec<Value> =
        versions.iter().map(|v| json!({ "groupVersion": format!("{group}/{v}"), "version": v })).collect();
    json!({ "name": group, "versions": versions, "preferredVersion": versions.first() })
}

pub(super) fn resources(entries: &[Entry], group: &str, version: &str) -> Option<Value> {
    let resources: Vec<Value> =
        entries.iter().filter(|e| e.group == group && e.version == version).flat_map(rows).collect();
    if resources.is_empty() {
        return None;
    }
    let name = if group.is_empty() { version.to_owned() } else { format!("{group}/{version}") };
    Some(json!({ "kind": "APIResourceList", "apiVersion": "v1", "groupVersion": name, "resources": resources }))
}

fn rows(entry: &Entry) -> Vec<Value> {
    let mut object = json!({
        "name": entry.plural, "singularName": entry.singular, "namespaced": entry.namespaced, "kind": entry.kind,
        "verbs": entry.verbs,
    });
    if let Some(map) = object.as_object_mut() {
        for (name, list) in [("shortNames", &entry.short_names), ("categories", &entry.categories)] {
            if !list.is_empty() {
                map.insert(name.to_owned(), json!(list));
            }
        }
    }
    let parts = entry.parts.iter().map(|part| {
        let (group, version, kind) = &part.kind;
        json!({
            "name": format!("{}/{}", entry.plural, part.name), "singularName": "", "namespaced": entry.namespaced,
            "group": group, "version": version, "kind": kind, "verbs": part.verbs,
        })
    });
    std::iter::once(object).chain(parts).collect()
}
