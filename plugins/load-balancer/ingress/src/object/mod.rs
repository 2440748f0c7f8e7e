//! The objects of this plugin, as far as it reads and writes them.

mod frontend;
mod ingress;
mod service;

pub use frontend::Frontend;
pub use ingress::{Backend, Ingress, IngressClass, Path, Service as ServiceBackend, Tls};
pub use service::{Namespace, Port, Service};

use serde::{Deserialize, Deserializer};

/// Reads `null` like an absent field.
pub(crate) fn or_default<'de, D: Deserializer<'de>, T: Deserialize<'de> + Default>(from: D) -> Result<T, D::Error> {
    Ok(Option::<T>::deserialize(from)?.unwrap_or_default())
}

/// Implements `Resource` for a type with a field `metadata`.
macro_rules! resource {
    ($name:ty, $group:literal, $version:literal, $kind:literal) => {
        impl gantry_sdk::api::Resource for $name {
            const GROUP: &'static str = $group;
            const VERSION: &'static str = $version;
            const KIND: &'static str = $kind;

            fn meta(&self) -> &gantry_sdk::api::ObjectMeta {
                &self.metadata
            }

            fn meta_mut(&mut self) -> &mut gantry_sdk::api::ObjectMeta {
                &mut self.metadata
            }
        }
    };
}
pub(crate) use resource;
