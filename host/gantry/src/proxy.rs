//! The proxy of a node in this process. There is one as long as the process runs: what it listens on outlives a change of
//! plugins.

use std::sync::Arc;

use anyhow::{Result, anyhow};
use gantry_api::pki;
use gantry_node::cluster::recorder::About;
use gantry_node::cluster::{Cluster, Recorder, Severity};
use gantry_node::proxy::{Identity, OfCluster, Options, Proxy, Tell};

/// Connections of clients at once.
const CONNECTIONS: usize = 16_384;
/// Whom names without a certificate reach, as far as their certificate says.
const NOBODY: &str = "default.gantry.invalid";

struct Told(Recorder);

impl Tell for Told {
    fn warn(&self, about: &About, reason: &'static str, message: &str) {
        self.0.object(about.clone(), Severity::Warning, reason, message);
    }
}

/// Starts it; it listens on nothing until a plugin's plan says so.
pub fn start(cluster: Arc<dyn Cluster>, node: &str) -> Result<Proxy> {
    let pair = pki::self_signed(&[NOBODY.to_owned()])?;
    let fallback = Identity::from_pem(pair.certificate.as_bytes(), pair.key.as_bytes()).map_err(|why| anyhow!(why))?;
    let (recorder, events) = Recorder::new(cluster.clone(), node);
    tokio::spawn(events);
    Ok(Proxy::start(Options {
        secrets: Arc::new(OfCluster(cluster)),
        tell: Arc::new(Told(recorder)),
        fallback,
        connections: CONNECTIONS,
    }))
}
