//! Listening: TLS, connections and their limits, shutdown.

mod accept;
mod connection;
mod tls;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use futures::future::BoxFuture;
use gantry_objects::Objects;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use tokio::net::{TcpListener, TcpSocket};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::access::Authorizer;
use crate::app::App;
use crate::auth::Authenticator;
use crate::dialect::Mounts;
use crate::streams::Streams;

pub(crate) use accept::accept;
pub(crate) use connection::Builders;
pub(crate) use tls::acceptor;

/// Text of `/metrics`, made anew at each call.
pub type Metrics = Arc<dyn Fn() -> BoxFuture<'static, String> + Send + Sync>;
/// The parts that are not ready yet, by name and reason; empty when everything is.
pub type Readiness = Arc<dyn Fn() -> Vec<(String, String)> + Send + Sync>;

/// Paths besides those of the Kubernetes API, for who may not name the library behind it.
pub type Paths = axum::Router;

/// Key material of the listener.
pub struct Tls {
    /// The server's certificate, then its issuers.
    pub chain: Vec<CertificateDer<'static>>,
    /// Its key.
    pub key: PrivateKeyDer<'static>,
    /// Whose client certificates are believed.
    pub client_authorities: Vec<CertificateDer<'static>>,
}

/// What bounds a client.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Connections at once; more wait in the system's queue.
    pub connections: usize,
    /// Bytes of a request's body.
    pub body: usize,
    /// For a TLS handshake, for a client to say who it is, for a request's head and (each) a request's body.
    pub patience: Duration,
    /// For requests under way when the server stops.
    pub drain: Duration,
    /// How often a client of a process is made to show that it is still there.
    pub pulse: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 8192,
            // Kubernetes' limit is 3 MiB, two times etcd's for one object; the store here has no smaller one.
            body: 3 << 20,
            patience: Duration::from_secs(60),
            drain: Duration::from_secs(10),
            pulse: Duration::from_secs(10),
        }
    }
}

/// What a server is made of.
pub struct Options {
    /// Where to listen; port 0 picks a free one.
    pub listen: SocketAddr,
    /// Key material.
    pub tls: Tls,
    /// The objects served.
    pub objects: Objects,
    /// Asked after the client certificate.
    pub authenticators: Vec<Arc<dyn Authenticator>>,
    /// Say what users may do who are neither administrators nor viewers.
    pub authorizers: Vec<Arc<dyn Authorizer>>,
    /// Logs and processes.
    pub streams: Arc<dyn Streams>,
    /// For `/metrics`.
    pub metrics: Metrics,
    /// For `/readyz`.
    pub readiness: Readiness,
    /// APIs of others on the same listener.
    pub dialects: Mounts,
    /// Paths besides those of the Kubernetes API. Handlers find the caller as an `Arc<User>` extension.
    pub extra: Paths,
    /// Bounds.
    pub limits: Limits,
}

/// Why a server did not start.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The address can't be listened on.
    #[error("can't listen on {address}: {source}")]
    Listen {
        /// As asked.
        address: SocketAddr,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
    /// The certificates don't work.
    #[error("can't use the server's certificates: {0}")]
    Tls(#[from] rustls::Error),
    /// The client authorities don't work.
    #[error("can't verify client certificates: {0}")]
    Clients(#[from] rustls::server::VerifierBuilderError),
}

/// Starts servers.
pub struct Server;

impl Server {
    /// Listens and serves until the handle says stop.
    pub async fn start(options: Options) -> Result<Handle, Error> {
        let acceptor = tls::acceptor(options.tls)?;
        let failed = |source| Error::Listen { address: options.listen, source };
        let listener = listen(options.listen).map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        let stop = CancellationToken::new();
        let app = Arc::new(App::new(
            options.objects,
            options.streams,
            options.authenticators,
            options.authorizers,
            options.metrics,
            options.readiness,
            options.dialects,
            options.extra,
            options.limits,
            stop.clone(),
        ));
        let (limits, builders) = (options.limits, Builders::new(options.limits));
        let serve = move |stream, watcher| {
            connection::serve(stream, acceptor.clone(), app.clone(), builders.clone(), watcher, limits)
        };
        let task = tokio::spawn(accept(listener, limits, stop.clone(), serve));
        Ok(Handle { address, stop, task })
    }
}

/// A running server.
pub struct Handle {
    address: SocketAddr,
    stop: CancellationToken,
    task: JoinHandle<()>,
}

impl Handle {
    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// `https://host:port`; an address that stands for all interfaces is shown as loopback.
    pub fn url(&self) -> String {
        let mut address = self.address;
        if address.ip().is_unspecified() {
            address.set_ip(std::net::Ipv4Addr::LOCALHOST.into());
        }
        format!("https://{address}")
    }

    /// Ends watches and idle connections, lets requests finish within the drain limit, then closes.
    pub async fn stop(self) {
        self.stop.cancel();
        if let Err(error) = self.task.await {
            tracing::error!(%error, "the accept loop ended badly");
        }
    }
}

pub(crate) fn listen(address: SocketAddr) -> std::io::Result<TcpListener> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    socket.set_reuseaddr(true)?;
    // Accepted sockets inherit it: a watcher whose machine vanished is noticed.
    socket.set_keepalive(true)?;
    socket.bind(address)?;
    socket.listen(1024)
}
