//! Tasks and services of Amazon ECS.
//!
//! `task::pass` reads a task, its definition and its pod through the host and makes the writes; pure functions in between
//! decide: `pod` what the pod is, `observe` what its containers do, `plan` what follows. `service` does the same for a
//! service and its tasks. `definition` lets go of definitions that nothing is made from any more. `aws` asks services of AWS,
//! where a bundle grants that.

pub mod aws;
pub mod controller;
pub mod definition;
pub mod object;
pub mod service;
pub mod task;

gantry_sdk::plugin!(manifest: "manifest.toml", controller: controller::Ecs);
