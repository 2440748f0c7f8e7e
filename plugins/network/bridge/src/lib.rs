//! Pods of one node on a bridge: each gets a veth pair, an address of the node's pod range and a route over the bridge.
//! What leaves the cluster is masqueraded; host ports are translated to pods. What the CNI plugins bridge, host-local and
//! portmap do, as one pure plugin.
//!
//! Addresses are given out in turn, so that one that was just released is used again as late as possible: clients with
//! an old address in mind then find nobody instead of somebody else.

mod addresses;
mod bridge;
mod names;
mod options;
mod ports;
mod rules;

pub use bridge::BridgeNetwork;

gantry_sdk::plugin!(manifest: "manifest.toml", network: BridgeNetwork);
