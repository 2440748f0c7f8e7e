use serde::Serialize;
use serde::de::DeserializeOwned;

use super::{ObjectMeta, OwnerReference};
use crate::{KindRef, ObjectRef};

/// A typed object. Implement it for the kinds that a plugin declares:
///
/// ```
/// use gantry_sdk::api::{ObjectMeta, Resource};
/// use serde::{Deserialize, Serialize};
///
/// #[derive(Clone, Debug, Default, Serialize, Deserialize)]
/// #[serde(default)]
/// struct Website {
///     metadata: ObjectMeta,
///     spec: gantry_sdk::Value,
/// }
///
/// gantry_sdk::resource!(Website, "example.com", "v1", "Website");
/// assert_eq!(Website::api_version(), "example.com/v1");
/// ```
pub trait Resource: Serialize + DeserializeOwned {
    /// `apps`; empty for the core group.
    const GROUP: &'static str;
    /// `v1`
    const VERSION: &'static str;
    /// `Deployment`
    const KIND: &'static str;

    /// `metadata`
    fn meta(&self) -> &ObjectMeta;

    /// `metadata`, to change it.
    fn meta_mut(&mut self) -> &mut ObjectMeta;

    /// `apps/v1`
    fn api_version() -> String {
        match Self::GROUP {
            "" => Self::VERSION.to_string(),
            group => format!("{group}/{}", Self::VERSION),
        }
    }

    /// `metadata.name`
    fn name(&self) -> &str {
        &self.meta().name
    }

    /// `metadata.namespace`; empty for cluster-scoped kinds.
    fn namespace(&self) -> &str {
        &self.meta().namespace
    }

    /// `metadata.uid`
    fn uid(&self) -> &str {
        &self.meta().uid
    }

    /// How calls name this object.
    fn reference(&self) -> ObjectRef {
        ObjectRef {
            kind: KindRef::new(Self::GROUP, Self::KIND),
            namespace: self.namespace().to_string(),
            name: self.name().to_string(),
        }
    }

    /// The entry for `metadata.ownerReferences` of an object that this one manages.
    fn controller_reference(&self) -> OwnerReference {
        OwnerReference {
            api_version: Self::api_version(),
            kind: Self::KIND.to_string(),
            name: self.name().to_string(),
            uid: self.uid().to_string(),
            controller: Some(true),
            block_owner_deletion: Some(true),
        }
    }
}

/// Implements [`Resource`](crate::api::Resource) for a type with a field `metadata: ObjectMeta`: group (empty for core), version
/// and kind.
#[macro_export]
macro_rules! resource {
    ($name:ty, $group:literal, $version:literal, $kind:literal) => {
        impl $crate::api::Resource for $name {
            const GROUP: &'static str = $group;
            const VERSION: &'static str = $version;
            const KIND: &'static str = $kind;

            fn meta(&self) -> &$crate::api::ObjectMeta {
                &self.metadata
            }

            fn meta_mut(&mut self) -> &mut $crate::api::ObjectMeta {
                &mut self.metadata
            }
        }
    };
}
