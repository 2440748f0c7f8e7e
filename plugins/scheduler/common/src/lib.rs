//! What all placement policies must agree on, whichever orchestrator they are for: what a pod takes of a node, and which
//! nodes can have it. Two schedulers that share a fleet see each other's pods in the same numbers.
//!
//! The rules are those of the Kubernetes scheduler: resource fit, node selectors and required affinity, taints, cordons,
//! host ports. Written for speed, since `evaluate` runs over thousands of nodes: what a verdict takes from labels and taints
//! is worked out once per node and *profile* (all classes with the same constraints share one) and kept; the rest is one
//! dense row of numbers per node. How good a node is that can have the pod is each policy's own business.

mod class;
mod fleet;
mod nodes;
mod ports;
mod profile;
mod reasons;
mod requests;

pub use class::Class;
pub use fleet::{Fleet, Moved, Question};
pub use nodes::Row;
pub use profile::{Preferences, Traits};
pub use reasons::{Reasons, UNKNOWN_NODE};
pub use requests::Amounts;
