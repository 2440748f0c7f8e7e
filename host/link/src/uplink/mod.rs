//! The node's end.

mod client;
mod service;
mod session;

pub use client::{Client, ClientError};
pub use service::{Options, Uplink};
