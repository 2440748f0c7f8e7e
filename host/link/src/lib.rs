//! The link between a node and its server: how the server reaches logs and processes on machines that it can't dial, how
//! nodes get their plugins, and how records get to sinks.
//!
//! Both ends speak [`gantry_api::Streams`]: the [`Hub`] on the server offers a node's streams as if they were in this
//! process, the [`Uplink`] on the node answers from the streams that it is given. Neither end knows what a container is.
//!
//! The service is mounted on the API's own port, by path: one address to open in a firewall, one certificate, one way to
//! prove who one is. Each agent has one connection for it, apart from the one for objects, so that a flood of output does
//! not hold up the renewal of a lease.

mod channel;
mod convert;
mod hub;
mod uplink;
#[allow(clippy::doc_markdown, clippy::large_enum_variant)] // Generated.
mod wire {
    tonic::include_proto!("gantry.link.v1");
}

pub use channel::Channel;
pub use hub::{Backing, BundleOffer, Hub, Verdict};
pub use uplink::{Client, ClientError, Options, Uplink};
pub use wire::{Delivery, Label, Origin, Record};
