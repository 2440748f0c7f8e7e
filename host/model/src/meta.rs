//! The part of `metadata` that the host itself acts on, taken out once when an object is written.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;

/// `metadata.ownerReferences[]`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct OwnerReference {
    /// `apps/v1`
    pub api_version: String,
    /// `ReplicaSet`
    pub kind: String,
    /// The owner's name, in the same namespace or cluster-scoped.
    pub name: String,
    /// The owner's uid.
    pub uid: String,
    /// The one owner that manages the object.
    pub controller: Option<bool>,
    /// Foreground deletion of the owner waits for this object.
    pub block_owner_deletion: Option<bool>,
}

/// `metadata` as the host reads it. Absent strings are empty.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Meta {
    /// Name, unique in namespace and kind.
    pub name: String,
    /// Empty for cluster-scoped kinds.
    pub namespace: String,
    /// Never used again.
    pub uid: String,
    /// Grows when the spec changes.
    pub generation: i64,
    /// RFC 3339.
    pub creation_timestamp: Option<String>,
    /// RFC 3339; set once a graceful deletion began.
    pub deletion_timestamp: Option<String>,
    /// Seconds.
    pub deletion_grace_period_seconds: Option<i64>,
    /// Labels.
    pub labels: BTreeMap<String, String>,
    /// Annotations.
    pub annotations: BTreeMap<String, String>,
    /// Owners.
    pub owner_references: Vec<OwnerReference>,
    /// Deletion waits for these to go.
    pub finalizers: Vec<String>,
}

impl Meta {
    /// Reads `metadata` of an object; what is absent or of another type is empty.
    pub fn of(object: &Value) -> Self {
        object.get("metadata").and_then(|m| Meta::deserialize(m).ok()).unwrap_or_default()
    }

    /// The managing owner.
    pub fn controller(&self) -> Option<&OwnerReference> {
        self.owner_references.iter().find(|o| o.controller == Some(true))
    }
}
