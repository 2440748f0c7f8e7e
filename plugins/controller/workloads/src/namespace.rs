//! Whether a namespace still takes new objects.

use gantry_sdk::api::ObjectMeta;
use gantry_sdk::{KindRef, ObjectRef, Result, objects};
use serde::Deserialize;

#[derive(Default, Deserialize)]
#[serde(default)]
struct Namespace {
    metadata: ObjectMeta,
}

/// Asked only after a creation failed. A namespace that is gone counts as terminating.
pub fn terminating(name: &str) -> Result<bool> {
    let target = ObjectRef { kind: KindRef::new("", "Namespace"), namespace: String::new(), name: name.to_owned() };
    let found = objects::get::<Namespace>(&target)?;
    Ok(found.is_none_or(|namespace| namespace.metadata.is_deleting()))
}
