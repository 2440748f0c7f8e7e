//! Defaults that depend on other fields, by definition: whatever kind refers to a definition gets them.

use serde_json::{Map, Value};

/// Fills in an object of a definition. Runs before the defaults that the schema states.
pub(crate) type Hook = fn(&mut Map<String, Value>);

/// The hook of a definition.
pub(crate) fn of(definition: &str) -> Option<Hook> {
    let _ = definition;
    None
}
