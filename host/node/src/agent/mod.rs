//! The agent of a real node: what stands between a Pod object and containers that run.
//!
//! The `planner` decides, a `worker` per pod acts and reports, `service` routes what happens to workers.

mod admission;
mod backoff;
mod clean;
pub mod clock;
mod context;
mod desired;
mod downward;
mod env;
mod files;
mod hooks;
mod housekeeping;
mod images;
mod instance;
mod planner;
mod prepare;
mod probes;
mod quantity;
mod registry;
mod resolver;
mod resources;
mod service;
mod sources;
mod start;
mod status;
#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod tests;
mod usage;
mod volumes;
mod worker;

pub use clean::clean;
pub use clock::Clock;
pub use context::Dns;
pub(crate) use instance::id as container_id;
pub use registry::LogTarget;
pub use service::{Agent, ContainerUsage, Handle, Options};
pub use volumes::{Kernel, Mounts};
