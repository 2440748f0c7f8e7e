//! Nodes and containers without containers: a model of kubelets for scale, and a runtime in memory for tests.

mod fleet;
mod model;
mod pod;
#[cfg(test)]
mod tests;

pub use fleet::{Fleet, FleetOptions, Stats};
pub use model::{Latency, Model};
