//! Virtual addresses and node ports: who gets which.
//!
//! A claim comes before the Service names what is claimed, and goes after nothing leads there any more. A crash in
//! between leaves a claim that the next pass finds by the Service's name: it uses it, or lets go of it.

mod address;
mod claims;
mod order;
mod port;

pub(crate) use order::hash;

use std::collections::BTreeSet;

use gantry_sdk::Result;
use gantry_sdk::api::Resource;

use crate::object::{Claim, IpAddress, NodePort, Service};
use crate::options::Options;

/// Why a Service does not get what it wants.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// CamelCase, for programs.
    pub reason: &'static str,
    /// For people.
    pub message: String,
}

/// What is given, or why it is not.
type Granted<T> = std::result::Result<T, Refusal>;

impl Refusal {
    fn new(reason: &'static str, message: impl Into<String>) -> Self {
        Self { reason, message: message.into() }
    }
}

/// What a Service may name.
#[derive(Clone, Debug, Default)]
pub struct Allocation {
    /// Its virtual address.
    pub address: Option<String>,
    /// One per port; 0: none.
    pub node_ports: Vec<u16>,
    /// Where nodes say whether they serve it; 0: nowhere.
    pub health_port: u16,
    /// What it was refused.
    pub refusals: Vec<Refusal>,
    held: Held,
}

#[derive(Clone, Debug, Default)]
struct Held {
    addresses: Vec<IpAddress>,
    ports: Vec<NodePort>,
}

/// Takes what the Service needs.
pub fn settle(options: &Options, service: &Service) -> Result<Allocation> {
    let held = Held {
        addresses: claims::held(service.namespace(), service.name())?,
        ports: claims::held(service.namespace(), service.name())?,
    };
    let mut allocation = Allocation::default();
    match address::settle(options, service, &claims::own(&held.addresses, service))? {
        Ok(address) => allocation.address = address,
        Err(refusal) => allocation.refusals.push(refusal),
    }
    if service.spec.ip_family_policy == "RequireDualStack" {
        let message = "there is one address family here, and ipFamilyPolicy RequireDualStack asks for two";
        allocation.refusals.push(Refusal::new("DualStackUnavailable", message));
    }
    if allocation.address.is_some() && service.spec.ports.is_empty() {
        allocation.refusals.push(Refusal::new("NoPorts", "spec.ports is empty: nothing can lead to its address"));
    }
    let ports = port::settle(options, service, &claims::own(&held.ports, service))?;
    (allocation.node_ports, allocation.health_port) = (ports.numbers, ports.health);
    allocation.refusals.extend(ports.refusals);
    allocation.held = held;
    Ok(allocation)
}

impl Allocation {
    /// Lets go of what the Service held and does not name now. To be called when nothing leads there any more.
    pub fn release_rest(&self, service: &Service) -> Result<()> {
        let addresses: BTreeSet<&str> = self.address.as_deref().into_iter().collect();
        let numbers = self.node_ports.iter().chain([&self.health_port]);
        let ports: BTreeSet<String> = numbers.filter(|p| **p != 0).map(u16::to_string).collect();
        let stale = |claim: &str, uid: &str, used: bool| uid != service.uid() || !used || claim.is_empty();
        let addresses =
            self.held.addresses.iter().filter(|c| stale(c.name(), c.service_uid(), addresses.contains(c.name())));
        claims::release(addresses)?;
        claims::release(self.held.ports.iter().filter(|c| stale(c.name(), c.service_uid(), ports.contains(c.name()))))
    }
}

/// Lets go of everything that a Service which is gone held.
pub fn release_all(namespace: &str, name: &str) -> Result<()> {
    claims::release(claims::held::<IpAddress>(namespace, name)?.iter())?;
    claims::release(claims::held::<NodePort>(namespace, name)?.iter())
}
