//! Placement by the rules of the Kubernetes scheduler: resource fit, node selectors and affinity, taints, cordons, host
//! ports; least (or most) allocated, balanced allocation, preferences. Rules about other pods (topology spread, pod
//! affinity) are left to policies that depend on more than one node.
//!
//! Written for speed, since `evaluate` runs over thousands of nodes: what a verdict takes from labels and taints is
//! worked out once per node and *profile* (all classes with the same constraints share one) and kept; the rest is one
//! dense row of numbers per node. Kubernetes brings preferences to a common scale by the best node of the moment, which
//! would make every verdict depend on every node. Here the scale is fixed, by the most that a class can prefer; the
//! order of the nodes is the same.

mod class;
mod config;
mod nodes;
mod policy;
mod ports;
mod profile;
mod reasons;
mod requests;
mod score;

pub use policy::Kubernetes;

gantry_sdk::plugin!(manifest: "manifest.toml", scheduler: Kubernetes);
