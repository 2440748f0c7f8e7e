//! What ECS's plugins of several families must agree on: how a task's wishes about its place travel on its pod, what a
//! node is as a container instance, the language by which instances are chosen, what ids look like, when a deployment is
//! given up, what is remembered of one, how tasks are
//! shared among capacity providers and task sets, where the tasks of a target group are found, where a container asks
//! about its task, and which services of AWS are asked.

pub mod attributes;
pub mod breaker;
pub mod capacity;
pub mod connect;
pub mod containers;
pub mod endpoints;
pub mod ids;
pub mod instances;
pub mod metadata;
pub mod placement;
pub mod query;
pub mod revision;
pub mod scale;

/// The label of EndpointSlices by which a Frontend finds the tasks of a target group.
pub const TARGET_GROUP: &str = "ecs.gantry.dev/target-group";
