//! For authors of Gantry plugins: one trait per family, typed Kubernetes objects, logging, and an in-memory host for
//! tests.
//!
//! A plugin is a type that implements the trait of its family, and one line that exports it:
//!
//! ```ignore
//! gantry_sdk::plugin!(manifest: "manifest.toml", scheduler: MyPolicy);
//! ```
//!
//! `cargo build --profile plugin --target wasm32-wasip2` makes the component; `cargo test` runs the same code natively,
//! against `testing::Host`.

#![deny(missing_docs)]

pub mod admission;
pub mod api;
pub mod config;
#[doc(hidden)]
pub mod contract;
pub mod controller;
pub mod dialect;
pub mod discovery;
pub mod error;
#[doc(hidden)]
pub mod export;
mod host;
pub mod http;
pub mod load_balancer;
pub mod logging;
pub mod merge;
pub mod network;
pub mod network_policy;
pub mod objects;
pub mod proxy;
pub mod scheduler;
pub mod sink;
#[cfg(not(target_arch = "wasm32"))]
pub mod testing;
pub mod types;
#[cfg(target_arch = "wasm32")]
mod wasi_http;

pub use admission::Admission;
pub use config::Config;
pub use controller::Controller;
pub use dialect::Dialect;
pub use discovery::Discovery;
pub use error::Result;
#[doc(hidden)]
pub use export::Holder;
pub use load_balancer::LoadBalancer;
pub use logging::Level;
pub use network::Network;
pub use network_policy::NetworkPolicy;
pub use scheduler::Scheduler;
pub use sink::Sink;
pub use types::{Error, ErrorCode, KindRef, Label, ObjectRef, RetryHint};

/// What plugins need of JSON, so that they need no dependency for it.
pub use serde_json::{self, Value, json};
