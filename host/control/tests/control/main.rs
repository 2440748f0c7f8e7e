//! The loops of the control plane over a real store, with plugins that are written in the tests.
#![allow(clippy::expect_used, clippy::indexing_slicing, clippy::panic, clippy::unwrap_used)]

mod admission;
mod bridge;
mod collecting;
mod policy;
mod reconciling;
mod scheduling;
mod shipping;
mod substrate;
mod world;
