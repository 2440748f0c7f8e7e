//! Components behind the SDK's traits: what `gantry_sdk::testing::suite` asks of a native plugin it asks here of a `.wasm`
//! in the real engine, loaded from a bundle with a digest and the grants that its manifest asks for.
//!
//! ```no_run
//! # fn main() -> anyhow::Result<()> {
//! use gantry_contract::{Component, Stage};
//! use gantry_sdk::{json, testing::suite};
//!
//! let _stage = Stage::set(Component::read("target/wasm32-wasip2/plugin/my_policy.wasm")?)?;
//! suite::scheduler::<gantry_contract::Scheduler>(&json!({}).into(), &suite::history());
//! # Ok(()) }
//! ```
//!
//! - `stage`: the component under test, one a thread, and the engine that runs it.
//! - `admission`, `controller`, `dialect`, `discovery`, `load_balancer`, `scheduler`, `network`, `network_policy`, `sink`: a family's trait in front of the engine's.
//! - `http`: what a component asks over HTTP is answered by the thread's `testing::Host`.
//! - `objects`: the engine's objects are those of the thread's `testing::Host`.
//! - `words`: the types that all families share. Host and SDK each have their own for the same contract.
//! - `suites`: all suites that a component's families call for.

#![allow(clippy::expect_used, clippy::panic, reason = "a fault of a component fails the test by a panic")]

mod admission;
mod controller;
mod dialect;
mod discovery;
mod http;
mod load_balancer;
mod network;
mod network_policy;
mod objects;
mod proxy;
mod scheduler;
mod sink;
mod stage;
mod suites;
mod words;

pub use admission::Admission;
pub use controller::Controller;
pub use dialect::Dialect;
pub use discovery::Discovery;
pub use load_balancer::LoadBalancer;
pub use network::Network;
pub use network_policy::NetworkPolicy;
pub use scheduler::Scheduler;
pub use sink::Sink;
pub use stage::{Component, Stage};
pub use suites::{Given, balanced_node, guarded_node, named_node, requests, run};
