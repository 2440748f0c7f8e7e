//! Services in DNS, by Kubernetes' schema 1.1.0 (<https://github.com/kubernetes/dns/blob/master/docs/specification.md>):
//! addresses of Services and of the endpoints of headless ones, SRV of named ports, PTR, CNAME for external names.
//!
//! - `object`: Services and EndpointSlices, as far as names depend on them.
//! - `records`: what one Service means, together with its slices.
//! - `names`: names below the zone, and those of addresses.
//! - `table`: what is there, and which names a change concerns.
//! - `discovery`: the plugin, which brings these together.
//!
//! A change costs as much as the Services that it concerns have endpoints, whatever else there is.

mod discovery;
mod names;
pub mod object;
mod options;
mod records;
mod table;

pub use discovery::Names;

gantry_sdk::plugin!(manifest: "manifest.toml", discovery: Names);
