//! The part of an object that is the same for every kind.

use gantry_model::{Kind, Record, Status};
use jiff::Timestamp;
use serde_json::{Map, Value, json};

use crate::fault;
use crate::options::Preconditions;

const SUFFIX: usize = 5;
const NAME_LENGTH: usize = 63;
/// Without vowels and look-alikes, as Kubernetes does it: no words, no doubt.
const ALPHABET: &[u8; 27] = b"bcdfghjklmnpqrstvwxz2456789";

/// RFC 3339 with seconds, as metadata has it.
pub(crate) fn time(at: Timestamp) -> String {
    at.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

/// A text of `metadata`; empty when it is absent.
pub(crate) fn text<'a>(object: &'a Value, field: &str) -> &'a str {
    object.get("metadata").and_then(|m| m.get(field)).and_then(Value::as_str).unwrap_or_default()
}

/// `metadata`, made if need be. 400 when it is something else than an object.
pub(crate) fn of(object: &mut Value) -> Result<&mut Map<String, Value>, Status> {
    let map = object.as_object_mut().ok_or_else(|| Status::bad_request("the body must be an object"))?;
    let metadata = map.entry("metadata").or_insert_with(|| json!({}));
    if metadata.is_null() {
        *metadata = json!({});
    }
    metadata.as_object_mut().ok_or_else(|| Status::bad_request("metadata must be an object"))
}

/// A name from `generateName`.
pub(crate) fn generated(base: &str) -> String {
    let end = base.char_indices().map(|(at, c)| at + c.len_utf8()).take_while(|at| *at <= NAME_LENGTH - SUFFIX).last();
    let random = uuid::Uuid::new_v4();
    let letter = |byte: &u8| ALPHABET.get(usize::from(*byte) % ALPHABET.len()).map_or('x', |c| char::from(*c));
    let base = base.get(..end.unwrap_or(0)).unwrap_or_default();
    base.chars().chain(random.as_bytes().iter().take(SUFFIX).map(letter)).collect()
}

/// Puts a new object under a namespace and checks that it is meant for it.
pub(crate) fn place(kind: &Kind, namespace: &str, metadata: &mut Map<String, Value>) -> Result<(), Status> {
    let given = metadata.get("namespace").and_then(Value::as_str).unwrap_or_default();
    if !kind.namespaced() {
        metadata.remove("namespace");
        return Ok(());
    }
    if !given.is_empty() && given != namespace {
        return Err(Status::bad_request(format!(
            "the namespace of the provided object does not match the namespace sent on the request: {given} and {namespace}"
        )));
    }
    metadata.insert("namespace".to_owned(), json!(namespace));
    Ok(())
}

/// Gives a new object what only the server can give.
pub(crate) fn stamp(kind: &Kind, metadata: &mut Map<String, Value>, now: &str) -> Result<(), Status> {
    if metadata.get("resourceVersion").and_then(Value::as_str).is_some_and(|v| !v.is_empty() && v != "0") {
        return Err(Status::bad_request("resourceVersion should not be set on objects to be created"));
    }
    for field in [
        "resourceVersion",
        "selfLink",
        "deletionTimestamp",
        "deletionGracePeriodSeconds",
        "generation",
        "managedFields",
    ] {
        metadata.remove(field);
    }
    metadata.insert("uid".to_owned(), json!(uuid::Uuid::new_v4().to_string()));
    metadata.insert("creationTimestamp".to_owned(), json!(now));
    if counts_generations(kind) {
        metadata.insert("generation".to_owned(), json!(1));
    }
    Ok(())
}

/// Whether `metadata.generation` counts the versions of what is wanted.
pub(crate) fn counts_generations(kind: &Kind) -> bool {
    kind.status || matches!(kind.origin, gantry_model::kind::Origin::Definition(_))
}

/// Fields that a write can't change: absent means as before. That another value is an error is validation's to say.
const FIXED: [&str; 4] = ["uid", "creationTimestamp", "deletionTimestamp", "deletionGracePeriodSeconds"];

/// Carries over what a write can't change and leaves out.
pub(crate) fn carry(old: &Value, metadata: &mut Map<String, Value>) {
    let old = old.get("metadata");
    metadata.remove("selfLink");
    for field in FIXED {
        let before = old.and_then(|m| m.get(field));
        let given = metadata.get(field).filter(|v| !v.is_null() && **v != json!(""));
        match (before, given) {
            (Some(before), None) => {
                metadata.insert(field.to_owned(), before.clone());
            }
            (None, None) => {
                metadata.remove(field);
            }
            _ => {}
        }
    }
    for field in ["name", "namespace", "generation", "generateName"] {
        match old.and_then(|m| m.get(field)) {
            Some(before) => metadata.insert(field.to_owned(), before.clone()),
            None => metadata.remove(field),
        };
    }
}

/// 409 unless the object is the one meant.
pub(crate) fn precondition(kind: &Kind, record: &Record, wanted: &Preconditions) -> Result<(), Status> {
    let (name, meta) = (&record.meta.name, &record.meta);
    if let Some(uid) = wanted.uid.as_deref().filter(|uid| *uid != meta.uid) {
        let detail = format!("Precondition failed: UID in precondition: {uid}, UID in object meta: {}", meta.uid);
        return Err(Status::conflict(&kind.group, &kind.plural, name, detail));
    }
    let revision = record.revision.to_string();
    if let Some(wanted) = wanted.resource_version.as_deref().filter(|wanted| *wanted != revision) {
        let detail = format!(
            "Precondition failed: ResourceVersion in precondition: {wanted}, ResourceVersion in object meta: {revision}"
        );
        return Err(Status::conflict(&kind.group, &kind.plural, name, detail));
    }
    Ok(())
}

/// 409 when the object that a client sends is not the newest, or not the same one.
pub(crate) fn up_to_date(kind: &Kind, record: &Record, sent: &Value) -> Result<(), Status> {
    let version = text(sent, "resourceVersion");
    if !version.is_empty() && version != "0" && version != record.revision.to_string() {
        return Err(fault::modified(kind, &record.meta.name));
    }
    let uid = text(sent, "uid");
    let wanted = Preconditions { uid: (!uid.is_empty()).then(|| uid.to_owned()), resource_version: None };
    precondition(kind, record, &wanted)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn generated_names_fit_and_differ() {
        let name = generated("web-");
        assert!(name.starts_with("web-") && name.len() == 9, "{name}");
        assert_ne!(name, generated("web-"));
        let long = "é".repeat(40);
        assert!(generated(&long).len() <= NAME_LENGTH);
    }

    #[test]
    fn fixed_fields_are_carried() {
        let old = json!({"metadata": {"uid": "u", "name": "a", "creationTimestamp": "t", "generation": 4}});
        let mut same = json!({"uid": "u", "generation": 9, "labels": {}}).as_object().cloned().unwrap();
        carry(&old, &mut same);
        assert_eq!(
            Value::Object(same),
            json!({"uid": "u", "name": "a", "creationTimestamp": "t", "generation": 4, "labels": {}})
        );
        let mut other = json!({"uid": "v", "deletionTimestamp": null, "name": "b"}).as_object().cloned().unwrap();
        carry(&old, &mut other);
        assert_eq!(Value::Object(other), json!({"uid": "v", "name": "a", "creationTimestamp": "t", "generation": 4}));
    }
}
