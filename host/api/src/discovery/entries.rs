//! What discovery says about each kind, before it takes a form.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use gantry_model::kind::{Kind, Kinds, Origin};

use crate::verbs::REVIEWS;

/// A resource of a group and version.
pub(super) struct Entry {
    pub(super) group: String,
    pub(super) version: String,
    pub(super) kind: String,
    pub(super) plural: String,
    pub(super) singular: String,
    pub(super) short_names: Vec<String>,
    pub(super) categories: Vec<String>,
    pub(super) namespaced: bool,
    pub(super) verbs: Vec<&'static str>,
    pub(super) parts: Vec<Part>,
}

/// A subresource.
pub(super) struct Part {
    pub(super) name: &'static str,
    /// Group, version and kind of what it takes and gives.
    pub(super) kind: (String, String, String),
    pub(super) verbs: Vec<&'static str>,
}

const OBJECT: [&str; 8] = ["create", "delete", "deletecollection", "get", "list", "patch", "update", "watch"];
const PART: [&str; 3] = ["get", "patch", "update"];

/// Everything there is: core groups first, since clients take the first of several kinds with the same name.
pub(super) fn of(kinds: &Kinds) -> Vec<Entry> {
    let mut all = kinds.all();
    all.sort_by_key(|kind| {
        (!kind.group.is_empty(), kind.origin != Origin::Core, kind.group.clone(), rank(&kind.version))
    });
    let reviews = REVIEWS.iter().map(|review| Entry {
        group: review.group.to_owned(),
        version: review.version.to_owned(),
        kind: review.kind.to_owned(),
        plural: review.plural.to_owned(),
        singular: review.kind.to_lowercase(),
        short_names: Vec::new(),
        categories: Vec::new(),
        namespaced: false,
        verbs: vec!["create"],
        parts: Vec::new(),
    });
    all.iter().map(|kind| entry(kind)).chain(reviews).collect()
}

fn entry(kind: &Kind) -> Entry {
    Entry {
        group: kind.group.clone(),
        version: kind.version.clone(),
        kind: kind.kind.clone(),
        plural: kind.plural.clone(),
        singular: kind.singular.clone(),
        short_names: kind.short_names.clone(),
        categories: kind.categories.clone(),
        namespaced: kind.namespaced(),
        verbs: OBJECT.to_vec(),
        parts: parts(kind),
    }
}

fn parts(kind: &Kind) -> Vec<Part> {
    let own = || (kind.group.clone(), kind.version.clone(), kind.kind.clone());
    let named = |group: &str, version: &str, name: &str| (group.to_owned(), version.to_owned(), name.to_owned());
    let mut parts = Vec::new();
    let mut add = |name, kind, verbs: &[&'static str]| parts.push(Part { name, kind, verbs: verbs.to_vec() });
    match (kind.group.as_str(), kind.plural.as_str()) {
        ("", "pods") => {
            add("attach", named("", "v1", "PodAttachOptions"), &["create", "get"]);
            add("binding", named("", "v1", "Binding"), &["create"]);
            add("eviction", named("policy", "v1", "Eviction"), &["create"]);
            add("exec", named("", "v1", "PodExecOptions"), &["create", "get"]);
            add("log", own(), &["get"]);
        }
        ("", "namespaces") => add("finalize", own(), &["update"]),
        ("certificates.k8s.io", "certificatesigningrequests") => add("approval", own(), &PART),
        _ => {}
    }
    if kind.scale.is_some() {
        add("scale", named("autoscaling", "v1", "Scale"), &PART);
    }
    if kind.status {
        add("status", own(), &PART);
    }
    parts
}

/// Groups in order, with their versions, the preferred one first.
pub(super) fn versions(entries: &[Entry]) -> Vec<(String, Vec<String>)> {
    let mut order: Vec<&str> = Vec::new();
    let mut groups: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    for entry in entries {
        if !groups.contains_key(entry.group.as_str()) {
            order.push(&entry.group);
        }
        let versions = groups.entry(&entry.group).or_default();
        if !versions.contains(&entry.version) {
            versions.push(entry.version.clone());
        }
    }
    for versions in groups.values_mut() {
        versions.sort_by_key(|version| rank(version));
    }
    order.into_iter().map(|group| (group.to_owned(), groups.remove(group).unwrap_or_default())).collect()
}

/// Kubernetes' order of versions: v2, v1, v2beta1, v1beta2, v1alpha1, then everything else by name.
fn rank(version: &str) -> (u8, Reverse<u32>, Reverse<u32>, String) {
    let (stage, major, minor) = parsed(version).unwrap_or((3, 0, 0));
    (stage, Reverse(major), Reverse(minor), version.to_owned())
}

fn parsed(version: &str) -> Option<(u8, u32, u32)> {
    let rest = version.strip_prefix('v')?;
    for (stage, name) in [(1, "beta"), (2, "alpha")] {
        if let Some((major, minor)) = rest.split_once(name) {
            return Some((stage, major.parse().ok()?, minor.parse().ok()?));
        }
    }
    Some((0, rest.parse().ok()?, 0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_ordered_by_maturity() {
        let mut versions = ["v1alpha1", "v1", "odd", "v1beta2", "v2", "v2beta1", "v10", "v1beta10"];
        versions.sort_by_key(|version| rank(version));
        assert_eq!(versions, ["v10", "v2", "v1", "v2beta1", "v1beta10", "v1beta2", "v1alpha1", "odd"]);
    }
}
