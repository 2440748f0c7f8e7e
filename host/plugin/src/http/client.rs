//! The client that all requests of a plugin share: its idle connections are kept for the next ones.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use reqwest::redirect::Policy;
use rustls::crypto::ring;
use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;

/// To a connection that may be used, TLS included.
const CONNECT: Duration = Duration::from_secs(5);
/// An idle connection that servers close at about the same time is of no use.
const IDLE: Duration = Duration::from_secs(30);

/// Redirects are not followed: the plugin gets the answer as it is, and a place that it may not ask stays unasked. A proxy
/// of the environment is not used either: the endpoint that was granted is the one that is asked.
pub(super) fn client(ca_file: Option<&Path>, connections: usize) -> Result<reqwest::Client, String> {
    let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|e| e.to_string())?
        .with_root_certificates(roots(ca_file)?)
        .with_no_client_auth();
    reqwest::Client::builder()
        .user_agent(concat!("gantry/", env!("CARGO_PKG_VERSION")))
        .tls_backend_preconfigured(config)
        .http1_only()
        .redirect(Policy::none())
        .no_proxy()
        .connect_timeout(CONNECT)
        .pool_idle_timeout(IDLE)
        .pool_max_idle_per_host(connections)
        .build()
        .map_err(|e| e.to_string())
}

fn roots(ca_file: Option<&Path>) -> Result<RootCertStore, String> {
    let mut roots = RootCertStore::empty();
    match ca_file {
        Some(file) => {
            let failed = |e: &dyn std::fmt::Display| format!("ca-file {}: {e}", file.display());
            for certificate in CertificateDer::pem_file_iter(file).map_err(|e| failed(&e))? {
                roots.add(certificate.map_err(|e| failed(&e))?).map_err(|e| failed(&e))?;
            }
            if roots.is_empty() {
                return Err(failed(&"has no certificate"));
            }
        }
        // What of the system's can't be read or understood is not trusted; a machine without any speaks no HTTPS.
        None => {
            roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        }
    }
    Ok(roots)
}
