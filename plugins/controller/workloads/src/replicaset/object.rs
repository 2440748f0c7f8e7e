//! A ReplicaSet, as far as this plugin reads it.

use gantry_sdk::Value;
use gantry_sdk::api::{LabelSelector, ObjectMeta, Resource};
use serde::{Deserialize, Serialize};

use crate::object::json::{is_zero, or_default};
use crate::object::{Condition, Labels};

/// A ReplicaSet.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct ReplicaSet {
    /// `metadata`
    pub metadata: ObjectMeta,
    /// `spec`
    #[serde(deserialize_with = "or_default")]
    pub spec: Spec,
    /// `status`
    #[serde(deserialize_with = "or_default")]
    pub status: Status,
}

/// `spec`
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Spec {
    /// Pods wanted; absent: one.
    pub replicas: Option<i64>,
    /// Seconds that a pod must be ready to count as available.
    #[serde(deserialize_with = "or_default", skip_serializing_if = "is_zero")]
    pub min_ready_seconds: i64,
    /// Which pods are its own.
    #[serde(deserialize_with = "or_default")]
    pub selector: LabelSelector,
    /// What pods are made of.
    pub template: Value,
}

/// `status`
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Status {
    /// Pods that are neither finished nor going.
    pub replicas: i64,
    /// Those among them with all labels of the template.
    #[serde(skip_serializing_if = "is_zero")]
    pub fully_labeled_replicas: i64,
    /// Those among them that are ready.
    #[serde(skip_serializing_if = "is_zero")]
    pub ready_replicas: i64,
    /// Those among them that have been ready for long enough.
    #[serde(skip_serializing_if = "is_zero")]
    pub available_replicas: i64,
    /// Pods that are being deleted. Its change is what wakes a Deployment that waits for old pods to be gone.
    #[serde(deserialize_with = "or_default", skip_serializing_if = "is_zero")]
    pub terminating_replicas: i64,
    /// The generation that this status is about.
    #[serde(skip_serializing_if = "is_zero")]
    pub observed_generation: i64,
    /// `ReplicaFailure`
    #[serde(deserialize_with = "or_default", skip_serializing_if = "Vec::is_empty")]
    pub conditions: Vec<Condition>,
}

impl Resource for ReplicaSet {
    const GROUP: &'static str = "apps";
    const VERSION: &'static str = "v1";
    const KIND: &'static str = "ReplicaSet";

    fn meta(&self) -> &ObjectMeta {
        &self.metadata
    }

    fn meta_mut(&mut self) -> &mut ObjectMeta {
        &mut self.metadata
    }
}

impl ReplicaSet {
    /// Pods wanted.
    pub fn replicas(&self) -> i64 {
        self.spec.replicas.unwrap_or(1).max(0)
    }

    /// Pods that are available, and stay so when it is scaled to what it wants now.
    pub fn available(&self) -> i64 {
        self.status.available_replicas.clamp(0, self.replicas())
    }

    /// The labels that its pods are made with.
    pub fn template_labels(&self) -> Labels {
        labels(&self.spec.template)
    }
}

/// The labels of a pod template.
pub fn labels(template: &Value) -> Labels {
    let labels = template.pointer("/metadata/labels");
    labels.and_then(|labels| Labels::deserialize(labels).ok()).unwrap_or_default()
}
