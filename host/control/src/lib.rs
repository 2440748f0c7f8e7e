//! The loops of the control plane: what wakes plugins, what plugins may ask for, and the mechanisms that need no
//! policy (garbage collection, namespaces, node leases). Nothing here knows what a workload kind means.

pub mod admission;
pub mod backoff;
pub mod bootstrap;
pub mod definitions;
pub mod events;
pub mod follow;
pub mod gc;
pub mod namespaces;
pub mod nodes;
pub mod objects;
pub mod plugins;
mod project;
pub mod queue;
pub mod ranges;
pub mod reconcile;
pub mod recorder;
pub mod records;
pub mod scheduling;
