//! Images before they are in containerd: names, manifests, registries, archives.

pub mod archive;
pub mod manifest;
pub mod reference;
pub mod registry;

pub use manifest::{Descriptor, Manifest};
pub use reference::Name;
