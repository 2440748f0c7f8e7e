//! `gantry.dev/v1alpha1` Frontend: what load balancers see of an Ingress.

use gantry_sdk::Value;
use gantry_sdk::api::ObjectMeta;
use serde::{Deserialize, Serialize};

use super::resource;

/// A Frontend.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Frontend {
    /// `metadata`
    pub metadata: ObjectMeta,
    /// `spec`
    pub spec: Value,
}

resource!(Frontend, "gantry.dev", "v1alpha1", "Frontend");
