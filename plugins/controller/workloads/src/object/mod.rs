//! What Deployments and ReplicaSets share.

pub mod condition;
pub mod json;

pub use condition::Condition;

/// Labels.
pub type Labels = std::collections::BTreeMap<String, String>;
