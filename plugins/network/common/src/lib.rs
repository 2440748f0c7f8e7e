//! What the stock pod networks have in common: pods of one node on a bridge, each with a veth pair, an address of the
//! node's pod range and a route over the bridge. What leaves the cluster is masqueraded; host ports are translated to
//! pods. What the CNI plugins bridge, host-local and portmap do, pure. How nodes reach each other is what the networks
//! differ in.
//!
//! Addresses are given out in turn, so that one that was just released is used again as late as possible: clients with
//! an old address in mind then find nobody instead of somebody else.

mod addresses;
mod names;
mod options;
mod peers;
mod pods;
mod ports;
mod rules;

pub use options::Options;
pub use peers::{Change, Node, Peers};
pub use pods::{Pods, TUNNEL};
