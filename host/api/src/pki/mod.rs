//! The cluster's certificates: an authority of its own, the server's certificate and the administrator's, kept as PEM
//! files that only the owner can read and made anew before they expire.

mod files;
mod kubeconfig;
mod mint;
mod request;

use std::path::{Path, PathBuf};
use std::time::Duration;

use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};

use crate::server::Tls;

pub(crate) use request::good_until;
pub use request::{About, Wanted, describe, read_request, request};

/// A certificate and its private key, both PEM.
#[derive(Clone)]
pub struct Pair {
    /// The certificate.
    pub certificate: String,
    /// The private key (PKCS#8).
    pub key: String,
}

/// Certificates as they lie in a directory.
pub struct Pki {
    authority: Pair,
    server: Pair,
    admin: Pair,
}

/// Why there are no usable certificates.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The disk refused.
    #[error("can't use certificate file {path}: {source}")]
    File {
        /// The file or directory.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
    /// A file holds something else.
    #[error(
        "certificate file {path} is damaged ({reason}): restore it, or remove the directory to make a new authority"
    )]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// A certificate could not be made.
    #[error("can't make a certificate: {0}")]
    Mint(#[from] rcgen::Error),
}

impl Pki {
    /// Reads the certificates in `dir`, making what is missing, expires soon, or (for the server) does not name all of
    /// `names`. localhost, the loopback addresses and this machine's host name are always named.
    pub fn load_or_create(dir: &Path, names: &[String]) -> Result<Self, Error> {
        files::directory(dir)?;
        let authority = match files::read(dir, "ca")? {
            Some(pair) => pair,
            None => files::keep(dir, "ca", mint::authority()?)?,
        };
        let issuer = mint::issuer(&authority).map_err(|e| files::damaged(dir, "ca", e))?;
        let names = mint::server_names(names);
        let server = match files::read(dir, "server")? {
            Some(pair) if mint::serves(&pair, &authority, &names) => pair,
            _ => files::keep(dir, "server", mint::server(&issuer, &names)?)?,
        };
        let admin = match files::read(dir, "admin")? {
            Some(pair) if mint::serves(&pair, &authority, &[]) => pair,
            _ => files::keep(dir, "admin", mint::client(&issuer, "gantry-admin", "system:masters")?)?,
        };
        Ok(Self { authority, server, admin })
    }

    /// A client certificate of this cluster: `user` becomes CN, `group` becomes O.
    pub fn client(&self, user: &str, group: &str) -> Result<Pair, Error> {
        let issuer = mint::issuer(&self.authority)?;
        Ok(mint::client(&issuer, user, group)?)
    }

    /// A client certificate (PEM) for whoever sent this request: its CN, and `group` as O, for so long. Whether it may be
    /// given is the caller's to judge.
    pub fn sign(&self, wanted: &Wanted, group: &str, life: Duration) -> Result<String, Error> {
        let issuer = mint::issuer(&self.authority)?;
        Ok(mint::answer(&issuer, wanted, group, life)?)
    }

    /// The authority's certificate, PEM.
    pub fn authority(&self) -> &str {
        &self.authority.certificate
    }

    /// The administrator's certificate and key.
    pub fn admin(&self) -> &Pair {
        &self.admin
    }

    /// What the server listens with.
    pub fn tls(&self) -> Result<Tls, Error> {
        let damaged = |name: &str, e: rustls_pki_types::pem::Error| Error::Damaged {
            path: PathBuf::from(name),
            reason: e.to_string(),
        };
        let authority =
            CertificateDer::from_pem_slice(self.authority.certificate.as_bytes()).map_err(|e| damaged("ca.crt", e))?;
        let server =
            CertificateDer::from_pem_slice(self.server.certificate.as_bytes()).map_err(|e| damaged("server.crt", e))?;
        let key = PrivateKeyDer::from_pem_slice(self.server.key.as_bytes()).map_err(|e| damaged("server.key", e))?;
        Ok(Tls { chain: vec![server, authority.clone()], key, client_authorities: vec![authority] })
    }

    /// A kubeconfig for the administrator, with everything embedded.
    pub fn kubeconfig(&self, server_url: &str) -> String {
        kubeconfig::render(server_url, &self.authority.certificate, &self.admin)
    }
}

/// A server's certificate for these names that no authority vouches for: better than none where nobody gave one.
pub fn self_signed(names: &[String]) -> Result<Pair, Error> {
    Ok(mint::alone(names)?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn certificates_are_made_once_private_and_follow_the_names() {
        let dir = tempfile::tempdir().unwrap();
        let first = Pki::load_or_create(dir.path(), &[]).unwrap();
        let again = Pki::load_or_create(dir.path(), &[]).unwrap();
        assert_eq!(first.server.certificate, again.server.certificate);
        let renamed = Pki::load_or_create(dir.path(), &["api.example".to_owned(), "10.1.2.3".to_owned()]).unwrap();
        assert_ne!(first.server.certificate, renamed.server.certificate);
        assert_eq!(first.authority.certificate, renamed.authority.certificate);
        assert_eq!(first.admin.certificate, renamed.admin.certificate);
        for entry in std::fs::read_dir(dir.path()).unwrap() {
            let mode = entry.unwrap().metadata().unwrap().permissions().mode();
            assert_eq!(mode & 0o777, 0o600);
        }
    }

    #[test]
    fn a_damaged_authority_is_refused_by_name() {
        let dir = tempfile::tempdir().unwrap();
        Pki::load_or_create(dir.path(), &[]).unwrap();
        std::fs::write(dir.path().join("ca.key"), "nonsense").unwrap();
        let error = Pki::load_or_create(dir.path(), &[]).err().unwrap().to_string();
        assert!(error.contains("ca.key"), "{error}");
    }

    #[test]
    fn kubeconfig_embeds_what_a_client_needs() {
        let dir = tempfile::tempdir().unwrap();
        let text = Pki::load_or_create(dir.path(), &[]).unwrap().kubeconfig("https://127.0.0.1:6443");
        let value: serde_json::Value = serde_saphyr::from_str(&text).unwrap();
        assert_eq!(value["clusters"][0]["cluster"]["server"], "https://127.0.0.1:6443");
        assert!(value["users"][0]["user"]["client-key-data"].as_str().unwrap().len() > 100);
        assert_eq!(value["current-context"], "gantry");
    }
}
