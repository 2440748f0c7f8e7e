//! TLS for clients: the server's authority, and a certificate of one's own.

use std::sync::Arc;

use anyhow::{Context, Result, bail};
use rustls::client::{ResolvesClientCert, Resumption, WantsClientCert};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, ConfigBuilder, RootCertStore};

use super::pin::Pinned;

/// Believes servers of these authorities (PEM), and shows a certificate with its key (PEM).
pub fn mutual(authorities: &[u8], certificate: &[u8], key: &[u8]) -> Result<ClientConfig> {
    let chain = certificates(certificate).context("the client certificate can't be used")?;
    let key = PrivateKeyDer::from_pem_slice(key).context("the client key can't be used")?;
    believing(authorities)?.with_client_auth_cert(chain, key).context("the client certificate can't be used")
}

/// Believes servers of these authorities (PEM), and shows the certificate that is the current one at the time. Sessions
/// are not resumed: with an old session goes an old certificate.
pub fn current(authorities: &[u8], certificate: Arc<dyn ResolvesClientCert>) -> Result<ClientConfig> {
    let mut config = believing(authorities)?.with_client_cert_resolver(certificate);
    config.resumption = Resumption::disabled();
    Ok(config)
}

/// Believes the server that a digest says, and shows nothing.
pub fn pinned(pinned: Arc<Pinned>) -> Result<ClientConfig> {
    let builder = ClientConfig::builder_with_provider(provider()).with_safe_default_protocol_versions()?;
    Ok(builder.dangerous().with_custom_certificate_verifier(pinned).with_no_client_auth())
}

/// The cryptography that everything here uses.
pub fn provider() -> Arc<CryptoProvider> {
    Arc::new(rustls::crypto::ring::default_provider())
}

fn believing(authorities: &[u8]) -> Result<ConfigBuilder<ClientConfig, WantsClientCert>> {
    let mut roots = RootCertStore::empty();
    for authority in certificates(authorities).context("the server's authority can't be used")? {
        roots.add(authority).context("the server's authority can't be used")?;
    }
    let builder = ClientConfig::builder_with_provider(provider()).with_safe_default_protocol_versions()?;
    Ok(builder.with_root_certificates(roots))
}

/// Certificates in PEM format, one at least.
pub fn certificates(pem: &[u8]) -> Result<Vec<CertificateDer<'static>>> {
    let all = CertificateDer::pem_slice_iter(pem).collect::<Result<Vec<_>, _>>()?;
    if all.is_empty() {
        bail!("it holds no certificate in PEM format");
    }
    Ok(all)
}
