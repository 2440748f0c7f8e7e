//! A node: everything between a Pod that is bound to it and containers that run.

pub mod agent;
pub mod balancer;
pub mod cluster;
pub mod containerd;
pub mod dns;
pub mod hollow;
pub mod image;
pub mod local;
mod locks;
pub mod logs;
pub mod network;
pub mod node;
mod pauses;
pub mod policy;
pub mod proxy;
pub mod records;
mod resolv;
pub mod runtime;
mod time;
mod whole;
