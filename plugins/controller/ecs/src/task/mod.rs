//! One task and its pod.

pub mod definition;
pub mod elsewhere;
pub mod health;
pub mod naming;
pub mod observe;
pub mod order;
pub mod pass;
pub mod plan;
pub mod pod;
pub mod ports;
pub mod storage;
