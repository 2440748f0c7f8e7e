//! Namespace.

use gantry_sdk::api::ObjectMeta;
use serde::{Deserialize, Serialize};

use super::resource;

/// A Namespace, by its name.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Namespace {
    /// `metadata`
    pub metadata: ObjectMeta,
}

resource!(Namespace, "", "v1", "Namespace");
