//! The plugin engine: loading, grants, limits, instances, and one Rust trait per family. The only crate that names
//! wasmtime.

mod adapter;
pub mod bindings;
pub mod bundle;
mod engine;
pub mod family;
pub mod fault;
pub mod grants;
mod host;
mod http;
mod instance;
mod loaded;
mod local;
pub mod manifest;
pub mod routes;

pub use bundle::Bundle;
pub use engine::{Cause, Engine, EngineError, EngineOptions, LoadError, PluginReport, Report, Summary};
pub use family::{
    Admission, Api, Call, Controller, Discovery, LoadBalancer, Network, NetworkPolicy, Objects, Scheduler, Sink,
};
pub use fault::{Fault, Finding};
pub use grants::{Effective, Grants};
pub use http::{Endpoint, Endpoints, Http, Sign};
pub use instance::{FaultPolicy, Report as Health, State};
pub use loaded::Loaded;
pub use local::Locals;
pub use manifest::{CONTRACT, Family, Manifest};
pub use routes::Route;
