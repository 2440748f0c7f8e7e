//! Adoption and release: who controls an object is written in its ownerReferences.

use gantry_sdk::api::{ObjectMeta, OwnerReference};
use gantry_sdk::objects::{self, Write};
use gantry_sdk::{ObjectRef, Result, Value, json};
use serde::Deserialize;

#[derive(Default, Deserialize)]
#[serde(default)]
struct Object {
    metadata: ObjectMeta,
}

/// Makes `owner` the controller of an object. `false`: it changed meanwhile, so look again.
pub fn adopt_now(target: &ObjectRef, owner: &OwnerReference) -> Result<bool> {
    write(target, |object| adopt(object, owner))
}

/// Makes an object nobody's. `false`: it changed meanwhile, so look again.
pub fn release_now(target: &ObjectRef, owner: &str) -> Result<bool> {
    write(target, |object| release(object, owner))
}

/// A merge patch replaces the whole list of owners: it may only hit the version that was read.
fn write(target: &ObjectRef, patch: impl FnOnce(&ObjectMeta) -> Option<Value>) -> Result<bool> {
    let Some(Object { metadata }) = objects::get(target)? else { return Ok(false) };
    let Some(patch) = patch(&metadata) else { return Ok(false) };
    let write = Write::patch(target.clone(), &patch).if_uid(metadata.uid).if_version(metadata.resource_version);
    match objects::apply_one(write) {
        Ok(_) => Ok(true),
        Err(error) if error.is_not_found() || error.is_conflict() => Ok(false),
        Err(error) => Err(error),
    }
}

/// The patch that makes `owner` the controller of an object. `None` when it has a controller or is going.
pub fn adopt(object: &ObjectMeta, owner: &OwnerReference) -> Option<Value> {
    if object.controller().is_some() || object.is_deleting() {
        return None;
    }
    let others = object.owner_references.iter().filter(|reference| reference.uid != owner.uid);
    let references: Vec<_> = others.chain([owner]).collect();
    Some(json!({"metadata": {"ownerReferences": references}}))
}

/// The patch that makes an object nobody's that `owner` controls. `None` when there is nothing to release.
pub fn release(object: &ObjectMeta, owner: &str) -> Option<Value> {
    let kept: Vec<_> = object.owner_references.iter().filter(|reference| reference.uid != owner).collect();
    if kept.len() == object.owner_references.len() {
        return None;
    }
    let kept = if kept.is_empty() { Value::Null } else { json!(kept) };
    Some(json!({"metadata": {"ownerReferences": kept}}))
}

#[cfg(test)]
mod tests {
    use super::*;
    use gantry_sdk::api::Time;

    fn reference(uid: &str, controller: bool) -> OwnerReference {
        OwnerReference { uid: uid.into(), controller: Some(controller), ..OwnerReference::default() }
    }

    fn object(references: &[OwnerReference]) -> ObjectMeta {
        ObjectMeta { owner_references: references.to_vec(), ..ObjectMeta::default() }
    }

    #[test]
    fn adopts_what_nobody_controls() {
        let us = reference("us", true);
        let uids = |patch: Option<Value>| -> Option<Vec<String>> {
            let all = patch?.pointer("/metadata/ownerReferences")?.as_array()?.clone();
            Some(all.iter().filter_map(|r| r["uid"].as_str().map(str::to_owned)).collect())
        };
        assert_eq!(uids(adopt(&object(&[]), &us)), Some(vec!["us".into()]));
        assert_eq!(uids(adopt(&object(&[reference("other", false)]), &us)), Some(vec!["other".into(), "us".into()]));
        assert_eq!(uids(adopt(&object(&[reference("us", false)]), &us)), Some(vec!["us".into()]));
        assert_eq!(adopt(&object(&[reference("other", true)]), &us), None);
        let going = ObjectMeta { deletion_timestamp: Some(Time::default()), ..ObjectMeta::default() };
        assert_eq!(adopt(&going, &us), None);
    }

    #[test]
    fn releases_only_its_own() {
        let nobody = json!({"metadata": {"ownerReferences": null}});
        assert_eq!(release(&object(&[reference("us", true)]), "us"), Some(nobody));
        assert_eq!(release(&object(&[reference("other", true)]), "us"), None);
        let both = object(&[reference("us", true), reference("other", false)]);
        let patch = release(&both, "us").unwrap();
        assert_eq!(patch["metadata"]["ownerReferences"].as_array().map(Vec::len), Some(1));
    }
}
