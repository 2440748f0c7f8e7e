//! Placement by the rules of Amazon ECS. Instances that can't take the task (size, ports, cordon: `scheduler-common`, the
//! same for every orchestrator on the fleet) or that its constraints rule out are no candidates. Of the rest each strategy
//! keeps the best, in the order in which they were asked for; what the last one keeps is as good as can be.
//!
//! What tasks ask for is on their pods, in an annotation (`ecs_common::placement`). Pods without it are counted where they
//! are, and are placed anywhere if they name this scheduler.

mod instances;
mod judge;
mod options;
mod policy;
mod strategies;
mod task;

pub use policy::Ecs;

gantry_sdk::plugin!(manifest: "manifest.toml", scheduler: Ecs);
