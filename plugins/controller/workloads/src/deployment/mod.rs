//! Deployments: one ReplicaSet per revision of a pod template, and the way from one to the next.
//!
//! `plan` is a pure function from what was read to what is written; `pass` reads and writes. The modules between them
//! are the steps of `plan`; each changes `work::Work`, a copy of what was read, and the plan is the difference.

pub mod cleanup;
pub mod new_set;
pub mod object;
pub mod pass;
pub mod plan;
pub mod progress;
pub mod recreate;
pub mod revision;
pub mod rolling;
pub mod scale;
pub mod status;
pub mod template;
pub mod work;

pub use object::Deployment;
