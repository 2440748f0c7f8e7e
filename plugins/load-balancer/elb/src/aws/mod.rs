//! The API of Elastic Load Balancing: forms as questions, XML as answers. Its two versions, 2015-12-01 and that of Classic load
//! balancers, lie at one endpoint.

mod answers;
mod client;
mod failure;
mod params;
mod xml;

pub use answers::{
    Action, Certificate, Condition, Description, Listener, LoadBalancer, Rule, Tag, TagSet, TargetGroup, Values,
};
pub use client::Client;
pub use failure::Failure;
pub use params::Params;
pub(crate) use xml::answer;
pub use xml::{Element, Read, part};
