//! The objects of this plugin, as far as it reads and writes them.

mod claim;
mod endpoints;
mod frontend;

pub use claim::{Claim, IpAddress, NodePort, ParentRef, labels_of};
pub use endpoints::{Endpoints, EndpointsAddress, EndpointsPort, Subset};
pub use frontend::Frontend;
pub use gantry_sdk::api::{
    Endpoint, EndpointConditions, EndpointHints, EndpointPort, EndpointSlice, Service, ServicePort, ServiceSpec,
    TargetRef,
};

pub(crate) use gantry_sdk::api::or_default;
pub(crate) use gantry_sdk::resource;
