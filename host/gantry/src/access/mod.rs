//! How an agent reaches its server, and who it is there.

mod identity;
mod join;
mod kubeconfig;
mod pin;
mod tls;
mod token;

use rustls::ClientConfig;

pub use identity::Current;
pub use join::Join;
pub use kubeconfig::Kubeconfig;
pub use token::Token;

/// A server, and credentials that it accepts.
pub struct Access {
    /// `https://host:port`
    pub server: String,
    /// Whom to believe, and who this is.
    pub tls: ClientConfig,
    /// The digest of the server's authority: it names the control plane.
    pub authority: String,
}
