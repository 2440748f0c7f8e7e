//! A host in memory, so that a plugin's `cargo test` runs natively in milliseconds. Each thread, and so each test, has
//! its own.
//!
//! ```
//! use gantry_sdk::api::{ObjectMeta, Pod};
//! use gantry_sdk::objects::{self, Query};
//! use gantry_sdk::testing::Host;
//!
//! let host = Host::new();
//! host.add(Pod { metadata: ObjectMeta::named("default", "web-1"), ..Pod::default() });
//! let pods: Vec<Pod> = objects::list(&Query::of::<Pod>().namespace("default")).unwrap();
//! assert_eq!(pods.len(), 1);
//! ```
//!
//! - `Host`: objects with versions, uids, owners, selectors, patches, deletion; faults on request; answers to requests over
//!   HTTP; what the plugin logged, recorded, wrote and asked.
//! - `Driver`: the host's reconcile loop in small.
//! - `Request::create`, `update` and `delete` (`gantry_sdk::admission`): writes to be reviewed.
//! - `suite`: what every plugin of a family must do; run it natively and, with `cargo xtask contract`, over the component.

#![allow(clippy::expect_used, clippy::panic, reason = "a test helper fails the test by a panic")]

mod admission;
mod driver;
mod fault;
mod host;
mod select;
mod state;
pub mod suite;

pub use driver::Driver;
pub use fault::{Fault, Verb};
pub use host::{Host, Line};

pub(crate) use host::current;
