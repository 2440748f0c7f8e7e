//! What a Frontend comes to in AWS. Pure: objects in, load balancer out.

mod action;
mod balancer;
mod condition;
mod groups;
mod http;
mod ports;
mod rules;
mod targets;

pub use action::Action;
pub use balancer::{Balancer, Listener, Maker, Wanted, wanted};
pub use condition::Condition;
pub use groups::{GOOD, Group, Health, INTERVAL, TIMEOUT, times};
pub use rules::Rule;
pub use targets::{Members, Target};

use gantry_sdk::Error;

/// Why a Frontend comes to nothing: it asks for what AWS does not have.
pub type Result<T> = std::result::Result<T, Unfit>;

/// What can't be had, for people.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unfit(pub String);

impl From<Unfit> for Error {
    fn from(Unfit(what): Unfit) -> Self {
        Error::invalid(what)
    }
}

/// That it can't be had.
pub fn unfit<T>(what: impl Into<String>) -> Result<T> {
    Err(Unfit(what.into()))
}
