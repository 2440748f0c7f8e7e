//! The loops of the control plane over a real store, with plugins that are written in the tests.

mod bridge;
mod collecting;
mod policy;
mod reconciling;
mod scheduling;
mod substrate;
mod world;
