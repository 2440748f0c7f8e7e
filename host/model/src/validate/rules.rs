//! Rules by definition: whatever kind refers to a definition is held to them.

use serde_json::Value;

use super::meta;
use crate::path::Path;
use crate::status::Cause;

/// Checks a value of a definition.
pub(crate) type Rule = fn(&Path<'_>, &Value, &mut Vec<Cause>);

/// The rule of a definition.
pub(crate) fn of(definition: &str) -> Option<Rule> {
    Some(match definition {
        "io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta" => meta::object_meta,
        _ => return None,
    })
}
