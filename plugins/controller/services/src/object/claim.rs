//! Claims: objects whose name is what they take, so that a second creation fails.

use std::collections::BTreeMap;

use gantry_sdk::api::{ObjectMeta, Resource};
use serde::{Deserialize, Serialize};

use super::{Service, or_default, resource};

/// Labels by which a Service finds its claims, and whoever sees a claim its Service.
const NAMESPACE: &str = "gantry.dev/service-namespace";
const NAME: &str = "gantry.dev/service-name";
const UID: &str = "gantry.dev/service-uid";
/// As Kubernetes marks addresses that a controller looks after.
const MANAGED_BY: &str = "ipaddress.kubernetes.io/managed-by";

/// `networking.k8s.io/v1` IPAddress: its name is the address.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct IpAddress {
    /// `metadata`
    pub metadata: ObjectMeta,
    /// `spec`
    #[serde(deserialize_with = "or_default")]
    pub spec: Spec,
}

/// `gantry.dev/v1alpha1` NodePort: its name is the number.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct NodePort {
    /// `metadata`
    pub metadata: ObjectMeta,
    /// `spec`
    #[serde(deserialize_with = "or_default")]
    pub spec: Spec,
}

/// `spec`
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Spec {
    /// Whose it is.
    #[serde(deserialize_with = "or_default")]
    pub parent_ref: ParentRef,
}

/// `spec.parentRef`
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ParentRef {
    /// Empty for core.
    #[serde(deserialize_with = "or_default")]
    pub group: String,
    /// `services`
    #[serde(deserialize_with = "or_default")]
    pub resource: String,
    /// Its namespace.
    #[serde(deserialize_with = "or_default")]
    pub namespace: String,
    /// Its name.
    #[serde(deserialize_with = "or_default")]
    pub name: String,
}

resource!(IpAddress, "networking.k8s.io", "v1", "IPAddress");
resource!(NodePort, "gantry.dev", "v1alpha1", "NodePort");

/// What both kinds of claims have.
pub trait Claim: Resource + Default {
    /// For people.
    const WHAT: &'static str;

    /// Whose it is.
    fn parent(&self) -> &ParentRef;

    /// The same, to fill it in.
    fn parent_mut(&mut self) -> &mut ParentRef;

    /// A claim of this name for a Service.
    fn of(name: &str, service: &Service) -> Self {
        let mut claim = Self::default();
        let labels = [
            (NAMESPACE, service.namespace()),
            (NAME, service.name()),
            (UID, service.uid()),
            (MANAGED_BY, "controller-services.gantry.dev"),
        ];
        let meta = claim.meta_mut();
        meta.name = name.to_owned();
        meta.labels = labels.into_iter().map(|(key, value)| (key.to_owned(), value.to_owned())).collect();
        *claim.parent_mut() = ParentRef {
            group: String::new(),
            resource: "services".to_owned(),
            namespace: service.namespace().to_owned(),
            name: service.name().to_owned(),
        };
        claim
    }

    /// The uid of the Service that it is of: one that was made again under the same name is another.
    fn service_uid(&self) -> &str {
        self.meta().labels.get(UID).map(String::as_str).unwrap_or_default()
    }

    /// Whether it is of a Service of this name.
    fn is_of(&self, namespace: &str, name: &str) -> bool {
        let parent = self.parent();
        parent.group.is_empty() && parent.resource == "services" && parent.namespace == namespace && parent.name == name
    }
}

impl Claim for IpAddress {
    const WHAT: &'static str = "address";

    fn parent(&self) -> &ParentRef {
        &self.spec.parent_ref
    }

    fn parent_mut(&mut self) -> &mut ParentRef {
        &mut self.spec.parent_ref
    }
}

impl Claim for NodePort {
    const WHAT: &'static str = "node port";

    fn parent(&self) -> &ParentRef {
        &self.spec.parent_ref
    }

    fn parent_mut(&mut self) -> &mut ParentRef {
        &mut self.spec.parent_ref
    }
}

/// The selector of a Service's claims.
pub fn labels_of(namespace: &str, name: &str) -> BTreeMap<String, String> {
    [(NAMESPACE, namespace), (NAME, name)].into_iter().map(|(k, v)| (k.to_owned(), v.to_owned())).collect()
}
