use serde::{Deserialize, Serialize};

use super::{Condition, ObjectMeta, or_default};
use crate::Value;

/// `gantry.dev/v1alpha1` Frontend: what load balancers see of a Service, an Ingress or another orchestrator's service.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Frontend {
    /// `metadata`
    pub metadata: ObjectMeta,
    /// `spec`, whole: whoever makes one compares all of it, and whoever serves one reads a part.
    pub spec: Value,
    /// `status`, which is written by itself.
    #[serde(deserialize_with = "or_default", skip_serializing)]
    pub status: FrontendStatus,
}

/// `status` of a Frontend
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct FrontendStatus {
    /// What holds.
    #[serde(deserialize_with = "or_default")]
    pub conditions: Vec<Condition>,
}

crate::resource!(Frontend, "gantry.dev", "v1alpha1", "Frontend");

impl Frontend {
    /// One that is to be made.
    pub fn new(metadata: ObjectMeta, spec: Value) -> Self {
        Frontend { metadata, spec, status: FrontendStatus::default() }
    }

    /// Which load balancers serve it.
    pub fn class(&self) -> &str {
        self.spec.get("class").and_then(Value::as_str).unwrap_or_default()
    }
}
