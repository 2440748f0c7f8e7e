//! Network policies on a node: follows the cluster's pods, namespaces and policies, tells a plugin of the family
//! `network-policy` what changed, and applies its plans in order. Who may talk to whom is the plugin's business, and so is
//! which kinds are policies: those that its manifest declares.
//!
//! The agent asks before a pod's first container starts ([`PodGuard`]): it waits until the plugin was told of the pod and its
//! plan is applied. While that can't be (a fault, a plan that fails), pods of namespaces with policies do not start;
//! what was applied last stays in force, and so does it while the agent is away.

mod document;
mod guard;
mod meter;
mod service;
mod table;

pub use guard::{Guards, PodGuard};
pub use service::{Options, Policies};
