//! Kubernetes objects, as small as authors need them. Fields have the names and meaning of the Kubernetes API; what a
//! type does not name is kept in `other` where the object is written back, so that a read, a change and a write lose
//! nothing.

mod affinity;
mod condition;
mod endpoints;
mod frontend;
mod json;
mod meta;
mod node;
mod pod;
mod quantity;
mod resource;
mod selector;
mod service;
mod time;

pub use affinity::{
    Affinity, NodeAffinity, NodeSelector, NodeSelectorRequirement, NodeSelectorTerm, PodAffinity, PodAffinityTerm,
    PreferredSchedulingTerm, WeightedPodAffinityTerm,
};
pub use condition::Condition;
pub use endpoints::{Endpoint, EndpointConditions, EndpointHints, EndpointPort, EndpointSlice, ForZone, TargetRef};
pub use frontend::{Frontend, FrontendStatus};
pub use json::{or_default, text};
pub use meta::{ObjectMeta, OwnerReference};
pub use node::{Node, NodeSpec, NodeStatus, Taint};
pub use pod::{
    Container, ContainerPort, ContainerStatus, Pod, PodSpec, PodStatus, PodTemplateSpec, ResourceRequirements,
    Toleration, TopologySpreadConstraint,
};
pub use quantity::{IntOrString, Quantity};
pub use resource::Resource;
pub use selector::{LabelSelector, LabelSelectorRequirement};
pub use service::{LoadBalancerIngress, LoadBalancerStatus, Service, ServicePort, ServiceSpec, ServiceStatus};
pub use time::Time;

/// Fields that a type does not name.
pub type Other = serde_json::Map<String, serde_json::Value>;
