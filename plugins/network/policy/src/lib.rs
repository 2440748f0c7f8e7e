//! NetworkPolicies of `networking.k8s.io/v1`, as nftables rules in the kernel of the node where the selected pods are.
//!
//! - `object`: a policy as it is written. `admission` refuses what can't be meant and fills in defaults.
//! - `tables`: pods and namespaces, and the groups of them that policies speak of. A group is a set in the kernel, shared by
//!   all policies that name it; a pod that comes, goes or changes its labels is an element more or less.
//! - `compile`: a policy's rules, in terms of groups. `isolation`: which pods of this node are under which policies.
//! - `kernel`: what is in the table, and the transaction from one state of it to the next.
//! - `policies`: the plugin, which brings these together.
//!
//! A packet costs two lookups, by source and by destination, and then the rules of the policies of that pod. A policy that
//! selects no pod of this node costs nothing here.

pub mod admission;
mod compile;
mod groups;
mod isolation;
mod kernel;
mod ledger;
pub mod object;
mod options;
mod policies;
mod table;
mod tables;

pub use policies::Policies;

gantry_sdk::plugin!(manifest: "manifest.toml", admission: admission::Review, network_policy: Policies);
