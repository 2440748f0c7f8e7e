//! The patch types of the Kubernetes API but server-side apply, which is in [`crate::managed`].

mod json;
mod strategic;

use serde_json::Value;

pub use json::json;
pub use strategic::strategic;

/// Why a patch can't be applied.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The patch itself makes no sense, whatever it is applied to.
    #[error("{0}")]
    Malformed(String),
    /// It does not fit this object.
    #[error("{0}")]
    Unfit(String),
}

/// Applies an RFC 7386 merge patch.
pub fn merge(object: &mut Value, patch: &Value) {
    json_patch::merge(object, patch);
}
