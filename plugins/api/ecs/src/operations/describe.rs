//! What descriptions have in common.

use gantry_sdk::{Value, json};

use crate::object::texts;

/// What a description has only when it is asked for.
#[derive(Clone, Copy, Default)]
pub struct Included {
    /// Tags.
    pub tags: bool,
    /// Settings.
    pub settings: bool,
}

impl Included {
    /// As `include` has it.
    pub fn of(request: &Value) -> Self {
        let asked = |what: &str| texts(request, "include").any(|word| word == what);
        Self { tags: asked("TAGS"), settings: asked("SETTINGS") }
    }
}

/// An entry of `failures` for what is not there.
pub fn missing(arn: String) -> Value {
    json!({"arn": arn, "reason": "MISSING"})
}
