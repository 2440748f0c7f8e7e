//! One task and its pod.

pub mod observe;
pub mod pass;
pub mod plan;
pub mod pod;
