//! How an agent reaches its server, and who it is there.

mod kubeconfig;
mod tls;

use rustls::ClientConfig;

pub use kubeconfig::Kubeconfig;

/// A server, and credentials that it accepts.
pub struct Access {
    /// `https://host:port`
    pub server: String,
    /// Whom to believe, and who this is.
    pub tls: ClientConfig,
    /// The digest of the server's authority: it names the control plane.
    pub authority: String,
}
