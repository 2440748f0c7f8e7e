//! The node's own object: what the machine has, whether it is well, and a sign of life every few seconds.

pub mod claim;
mod heartbeat;
mod machine;
mod object;

pub(crate) use heartbeat::LEASE;
pub use heartbeat::{Heartbeat, Ready};
pub use machine::{Machine, Pressure, Reserved};
pub use object::{Capacity, Description, Information};
