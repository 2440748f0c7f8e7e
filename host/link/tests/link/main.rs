//! Both ends of the link over a real API server: logs and processes of a node, broken links, who may link up, plugins and
//! records.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod asks;
mod sessions;
mod world;
