//! Capacity providers: nodes of an Auto Scaling group, which here are those with its name in a label. Nobody makes or ends
//! machines, so whatever would is refused by its name.

mod cluster;
mod names;
mod providers;
mod strategy;

pub use cluster::{associate, put};
pub use names::Groups;
pub use providers::{create, delete, describe, update};
pub use strategy::asked;
