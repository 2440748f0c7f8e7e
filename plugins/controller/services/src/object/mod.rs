//! The objects of this plugin, as far as it reads and writes them.

mod claim;
mod endpoints;

pub use claim::{Claim, IpAddress, NodePort, ParentRef, labels_of};
pub use endpoints::{Endpoints, EndpointsAddress, EndpointsPort, Subset};
pub use gantry_sdk::api::{
    Endpoint, EndpointConditions, EndpointHints, EndpointPort, EndpointSlice, Frontend, Service, ServicePort,
    ServiceSpec, TargetRef,
};

pub(crate) use gantry_sdk::api::or_default;
pub(crate) use gantry_sdk::resource;
