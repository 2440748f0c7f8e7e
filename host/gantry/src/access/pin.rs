//! Believing a server that was never seen before, by the digest of its authority.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{CertificateError, DigitallySignedStruct, Error, RootCertStore, SignatureScheme};
use sha2::{Digest, Sha256};

/// Takes the one certificate of a server's chain that has the digest for its authority, and then looks as closely as ever:
/// the server's certificate must be of that authority, valid now, and name the server.
pub struct Pinned {
    digest: String,
    provider: Arc<CryptoProvider>,
    found: Mutex<Option<CertificateDer<'static>>>,
}

impl Pinned {
    /// `digest`: SHA-256 of the authority's certificate (DER), in hexadecimal digits.
    pub fn new(digest: &str, provider: Arc<CryptoProvider>) -> Self {
        Self { digest: digest.to_owned(), provider, found: Mutex::new(None) }
    }

    /// The authority, once a server was believed.
    pub fn authority(&self) -> Option<CertificateDer<'static>> {
        self.found.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// As token files have it.
pub fn digest(certificate: &CertificateDer<'_>) -> String {
    Sha256::digest(certificate).iter().map(|byte| format!("{byte:02x}")).collect()
}

impl fmt::Debug for Pinned {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Pinned({})", self.digest)
    }
}

impl ServerCertVerifier for Pinned {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let pinned = intermediates.iter().find(|certificate| digest(certificate) == self.digest);
        let authority = pinned.ok_or(Error::InvalidCertificate(CertificateError::UnknownIssuer))?.clone().into_owned();
        let mut roots = RootCertStore::empty();
        roots.add(authority.clone())?;
        let verifier = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), self.provider.clone()).build();
        let verifier = verifier.map_err(|error| Error::General(error.to_string()))?;
        verifier.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now)?;
        *self.found.lock().unwrap_or_else(PoisonError::into_inner) = Some(authority);
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, certificate, signature, &self.provider.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, certificate, signature, &self.provider.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use gantry_api::Pki;

    #[test]
    fn only_the_pinned_authority_is_believed_and_only_for_the_server_that_it_names() {
        let (folder, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let tls = Pki::load_or_create(folder.path(), &[]).unwrap().tls().unwrap();
        let foreign = Pki::load_or_create(other.path(), &[]).unwrap().tls().unwrap();
        let [server, authority] = [tls.chain[0].clone(), tls.chain[1].clone()];
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let pinned = Pinned::new(&digest(&authority), provider);
        let check = |server: &CertificateDer<'_>, chain: &[CertificateDer<'_>], name: &str| {
            let name = ServerName::try_from(name.to_owned()).unwrap();
            pinned.verify_server_cert(server, chain, &name, &[], UnixTime::now())
        };
        assert!(check(&foreign.chain[0], &[foreign.chain[1].clone()], "127.0.0.1").is_err(), "another authority");
        assert!(check(&foreign.chain[0], std::slice::from_ref(&authority), "127.0.0.1").is_err(), "not signed by it");
        assert!(check(&server, &[], "127.0.0.1").is_err(), "no authority in the chain");
        assert!(check(&server, std::slice::from_ref(&authority), "api.example.com").is_err(), "another server");
        assert!(pinned.authority().is_none());
        assert!(check(&server, std::slice::from_ref(&authority), "127.0.0.1").is_ok());
        assert_eq!(pinned.authority(), Some(authority));
    }
}
