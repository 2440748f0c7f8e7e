//! The API of Elastic Load Balancing, version 2015-12-01: forms as questions, XML as answers.

mod answers;
mod client;
mod failure;
mod params;

pub use answers::{
    Action, Condition, Described, Groups, Listener, Listeners, LoadBalancer, Rule, Rules, TagSets, TargetGroup,
    TargetHealth, Values,
};
pub use client::Client;
pub use failure::Failure;
pub use params::Params;
