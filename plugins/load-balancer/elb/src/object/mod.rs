//! The objects of this plugin, as far as it reads and writes them.

mod frontend;
mod node;

pub use frontend::{
    Backend, Condition, Field, HealthCheck, Http, Match, Port, Redirect, Respond, Rule, Spec, Weighted,
};
pub use node::{Node, instance};

pub(crate) use gantry_sdk::api::or_default;
