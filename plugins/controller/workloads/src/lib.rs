//! Deployments and ReplicaSets.
//!
//! Both are controllers of the same shape: `pass` reads a snapshot through the host and makes the writes, pure functions
//! in between decide. `admission` refuses writes that no pass could act on. Nothing is remembered from one pass to the next, so a pass after a crash is like any other.

pub mod admission;
pub mod claim;
pub mod controller;
pub mod deployment;
pub mod namespace;
pub mod object;
pub mod replicaset;

#[cfg(test)]
mod simulation;

gantry_sdk::plugin!(manifest: "manifest.toml", controller: controller::Workloads, admission: admission::Review);
