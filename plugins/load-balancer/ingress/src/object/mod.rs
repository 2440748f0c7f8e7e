//! The objects of this plugin, as far as it reads and writes them.

mod ingress;
mod namespace;

pub use gantry_sdk::api::Frontend;
pub use ingress::{Backend, Ingress, IngressClass, Path, Service as ServiceBackend, Tls};
pub use namespace::Namespace;

pub(crate) use gantry_sdk::api::or_default;
pub(crate) use gantry_sdk::resource;
