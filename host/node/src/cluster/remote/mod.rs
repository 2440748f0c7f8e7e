//! The control plane over its public HTTPS API, as any kubelet reaches it: lists and watches that resume where they
//! broke off, writes with preconditions, leases and Events. Nothing here is special to Gantry's server.
//!
//! The `kube` crate was looked at: 38 more crates for what is [`Watcher`] here, and its objects are values that would
//! have to be turned into [`Record`](gantry_model::Record)s again.

mod api;
mod client;
mod lines;
mod pods;
mod record;
mod sources;
mod watcher;

use rustls::ClientConfig;

pub use client::{Body, Client, Error, Place};
pub use watcher::{Seen, Step, Target, Watcher};

/// How the control plane is reached.
pub struct Options {
    /// `https://host:port`
    pub server: String,
    /// Whom to believe, and who this node is.
    pub tls: ClientConfig,
    /// A token that says who this is, where no certificate does.
    pub bearer: Option<String>,
}

/// A control plane on another machine, or in another process. Cheap to clone.
#[derive(Clone)]
pub struct Remote {
    client: Client,
}

impl Remote {
    /// Nothing is asked yet: an agent starts while its server is away.
    pub fn new(options: Options) -> Result<Self, Error> {
        Ok(Self { client: Client::new(options)? })
    }
}
