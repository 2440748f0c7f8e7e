//! The proxy over real sockets on loopback: which request goes where, what is added and taken away, what happens when
//! endpoints, rules, certificates and ports come and go under traffic.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)]

mod apart;
mod changing;
mod endpoint;
mod requests;
mod secure;
mod world;
