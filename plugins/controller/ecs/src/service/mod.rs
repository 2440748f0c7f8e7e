//! Services: so many tasks of a definition, or one on each node, and how one revision takes over from another.

mod alarms;
mod breaker;
mod daemon;
mod deployments;
mod external;
mod history;
mod make;
pub mod member;
mod names;
pub mod object;
pub mod pass;
pub mod plan;
mod replica;
mod targets;
mod words;
