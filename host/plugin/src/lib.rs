//! The plugin engine: loading, grants, limits, instances, and one Rust trait per family. The only crate that names
//! wasmtime.

pub mod bindings;
pub mod family;
pub mod fault;

pub use family::{Call, Controller, Network, Objects, Scheduler, Sink};
pub use fault::{Fault, Finding};
