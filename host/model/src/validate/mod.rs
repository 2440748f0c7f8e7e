//! What is wrong with an object: by its schema, by the rules of the definitions that it refers to, by its kind, and
//! by what it was before.

mod meta;
pub mod names;
pub(crate) mod rules;

use serde_json::Value;

use crate::kind::{Kind, Kinds};
use crate::schema;
use crate::status::Cause;

/// Everything that is wrong with an object. With `old` this is an update, which may not change everything.
pub fn object(kinds: &Kinds, kind: &Kind, new: &Value, old: Option<&Value>) -> Vec<Cause> {
    let mut causes = schema::check_with_rules(kinds, kind, new);
    if let Some(old) = old {
        causes.extend(schema::immutable(kinds, kind, new, old));
    }
    causes
}
