//! What a node's proxy does with HTTP requests: rules, as Frontends say them and as plans carry them.

pub use crate::contract::network::gantry::plugin::plan::{Certificate, KeptProxies, Listener, Pool};
pub use crate::contract::network::gantry::plugin::routing::{
    Action, Balance, Condition, FieldMatch, HealthCheck, HostKind, HostMatch, HttpVersion, Manner, PathKind, PathMatch,
    Redirect, Response, Rule, Weighted,
};
