//! Running instances: made, called under a deadline, thrown away when they fail.

mod breaker;
mod health;
mod meter;
mod slot;

pub use breaker::FaultPolicy;
pub(crate) use health::Health;
pub use health::{Report, State};
pub(crate) use meter::Meter;
pub(crate) use slot::{Recipe, Slot, World, call, unavailable};
