//! Frontends of the class `cluster`: a virtual address on every node, as nftables rules in the kernel.
//!
//! A new connection costs one lookup in a verdict map, by address, protocol and port, whatever the number of frontends.
//! The map leads to a chain of that port, which picks a backend at random from a map of its own and translates. Where
//! clients are to stay with their backend, each backend has a set of clients, which the kernel fills and empties by itself;
//! who is in none is led by a hash of its address. Connections that exist are the business of connection tracking: they stay where they
//! are when backends change.
//!
//! A backend more or less is that chain written anew, and nothing else.

mod balancer;
mod health;
mod installed;
mod options;
mod pick;
mod port;
mod table;

pub use balancer::Nftables;

gantry_sdk::plugin!(manifest: "manifest.toml", load_balancer: Nftables);
