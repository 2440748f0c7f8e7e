//! The verbs over a real store: what each makes of good requests, and what it says to bad ones.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod admission;
mod apply;
mod create;
mod delete;
mod read;
mod support;
mod update;
