//! Tasks of Amazon ECS.
//!
//! `task::pass` reads a task, its definition and its pod through the host and makes the writes; pure functions in between
//! decide: `pod` what the pod is, `observe` what its containers do, `plan` what follows.

pub mod controller;
pub mod object;
pub mod task;

gantry_sdk::plugin!(manifest: "manifest.toml", controller: controller::Ecs);
