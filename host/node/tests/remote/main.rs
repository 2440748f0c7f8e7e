//! The control plane over its API, against a real API server: following pods through broken connections, restarts and
//! gaps, following only what is wanted of ConfigMaps and Secrets, and the writes of a node.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod follow;
mod world;
mod writes;
