//! containerd as the runtime: its gRPC API, version 1.6 and later, runc below it, cgroup v1 or v2.
//!
//! One containerd namespace belongs to one agent. What containerd does not keep (pinned namespaces, pipes for output)
//! lies in a state folder that need not survive a reboot.

mod blobs;
mod cgroup;
mod clean;
mod client;
mod events;
mod exec;
mod images;
mod import;
mod known;
mod output;
mod pipes;
mod pull;
mod runtime;
mod sandbox;
mod shim;
mod snapshots;
mod spec;
mod tasks;
mod users;

pub use clean::clean;
pub use runtime::{Containerd, Options};
