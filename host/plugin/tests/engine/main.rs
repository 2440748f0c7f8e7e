//! The engine with real components. Fixtures are under `tests/fixtures/`; which test claims which:
//! - `fixture-admission`: `admission`
//! - `fixture-api`: `api`
//! - `fixture-controller`: `controller`, `containment`
//! - `fixture-controller` of contract 0.0.9, without its export, under another name: `loading`
//! - `fixture-scheduler`: `scheduler`
//! - `fixture-node` (network and sink): `node`
//! - `fixture-http`: `http`
//! - `fixture-sockets`: `loading`, `node`

// A helper that fails fails its test.
#![allow(clippy::expect_used, clippy::indexing_slicing, clippy::panic, clippy::unwrap_used)]

mod admission;
mod api;
mod containment;
mod controller;
mod http;
mod loading;
mod node;
mod scheduler;
mod suite;
mod support;
