//! Placement by the rules of the Kubernetes scheduler: resource fit, node selectors and affinity, taints, cordons, host
//! ports; least (or most) allocated, balanced allocation, preferences. Rules about other pods (topology spread, pod
//! affinity) are left to policies that depend on more than one node.
//!
//! What a pod takes and where it fits is `scheduler-common`'s; here is how good a node is. Kubernetes brings preferences to a common scale by the best node of the moment, which
//! would make every verdict depend on every node. Here the scale is fixed, by the most that a class can prefer; the
//! order of the nodes is the same.

mod config;
mod policy;
mod score;

pub use policy::Kubernetes;

gantry_sdk::plugin!(manifest: "manifest.toml", scheduler: Kubernetes);
