//! Load balancing on a node: follows the cluster's Frontends and EndpointSlices, tells a plugin of the family
//! `load-balancer` what changed, and applies its plans in order. Which packet goes where is the plugin's business.
//!
//! Whatever goes wrong (a fault, a plan that can't be applied), the plugin is told everything anew, and its plan then
//! holds whatever is on the node. Until that works what was applied last goes on.

mod document;
mod http;
mod service;
mod table;
mod zone;

pub use service::{Balancer, Options};
