//! The requests that bring what there is to what is wanted. In an order in which a crash between any two of them leaves
//! nothing that the next pass does not find.

mod balancer;
mod groups;
mod listeners;
mod remove;
mod say;

use gantry_sdk::{Error, Result};

use crate::aws::{Client, LoadBalancer};
use crate::found::Found;
use crate::names::Owner;
use crate::wanted::Balancer;

pub use remove::{all as remove, close, gone};

/// What a pass works with.
pub struct With<'a> {
    /// The API.
    pub client: &'a Client,
    /// Whose it is.
    pub owner: &'a Owner,
}

/// Something has the name, and is not this Frontend's.
pub fn taken(name: &str) -> Error {
    let message =
        format!("{name} is there in AWS without the tags of this Frontend: it is not touched; remove it by hand");
    Error::already_exists(message).retry_after_ms(60_000)
}

/// Makes and changes what must be, then removes what must not be any more. Gives the load balancer.
pub fn apply(with: &With<'_>, wanted: &Balancer, found: &Found) -> Result<LoadBalancer> {
    let mut names = wanted.groups.keys().chain([&wanted.name]);
    if let Some(name) = names.find(|name| found.taken.contains(*name)) {
        return Err(taken(name));
    }
    let balancer = balancer::ensure(with, wanted, found)?;
    let arns = groups::ensure(with, wanted, found)?;
    let known = found.balancers.get(&wanted.name).map(|known| &known.listeners);
    listeners::ensure(with, &balancer.load_balancer_arn, wanted, known, &arns)?;
    remove::rest(with, wanted, found)?;
    Ok(balancer)
}
