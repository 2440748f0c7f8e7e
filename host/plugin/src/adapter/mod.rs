//! The families' traits over instances of components.

mod admission;
mod api;
mod controller;
mod described;
mod discovery;
mod load_balancer;
mod network;
mod network_policy;
mod pool;
mod scheduler;
mod sink;
pub(crate) mod worlds;

pub(crate) use admission::AdmissionPool;
pub(crate) use api::{ApiPool, ApiWorld};
pub(crate) use controller::ControllerPool;
pub(crate) use discovery::DiscoveryInstance;
pub(crate) use load_balancer::LoadBalancerInstance;
pub(crate) use network::NetworkInstance;
pub(crate) use network_policy::NetworkPolicyInstance;
pub(crate) use scheduler::SchedulerInstance;
pub(crate) use sink::SinkInstance;

/// Whether a list has as many elements as were asked about.
fn lengths(got: usize, wanted: usize, what: &str) -> Result<(), String> {
    if got == wanted { Ok(()) } else { Err(format!("{got} {what} instead of {wanted}")) }
}
