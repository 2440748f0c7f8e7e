//! Services in DNS, by Kubernetes' schema 1.1.0 (<https://github.com/kubernetes/dns/blob/master/docs/specification.md>):
//! addresses of Services and of the endpoints of headless ones, SRV of named ports, PTR, CNAME for external names.
//!
//! - `options`: what an operator may set.
//! - `schema`: what one Service means, together with its slices.
//! - `discovery`: the plugin.

mod discovery;
mod options;
mod schema;

pub use discovery::Names;

gantry_sdk::plugin!(manifest: "manifest.toml", discovery: Names);
