//! Services in DNS, as AWS Cloud Map's private DNS namespaces have them (`service.namespace`, which is what Amazon ECS calls
//! service discovery) and, as an option, as Consul does (`service.service.consul`). Both name instances, not virtual
//! addresses: a Service's ready endpoints.
//!
//! - `options`: what an operator may set.
//! - `instance`: the instances of a Service.
//! - `cloudmap`: their records in a namespace
//!   (<https://docs.aws.amazon.com/cloud-map/latest/api/API_DnsRecord.html>).
//! - `consul`: their records by Consul (<https://developer.hashicorp.com/consul/docs/services/discovery/dns-static-lookups>).
//! - `discovery`: the plugin.

mod cloudmap;
mod consul;
mod discovery;
mod instance;
mod options;

pub use discovery::Names;

gantry_sdk::plugin!(manifest: "manifest.toml", discovery: Names);
