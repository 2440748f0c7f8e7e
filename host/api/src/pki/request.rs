//! Requests for certificates: made by those who want one, read by those who give one.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rcgen::{CertificateParams, DistinguishedName, DnType, KeyPair, PublicKeyData, SignatureAlgorithm};
use x509_parser::certification_request::X509CertificationRequest;
use x509_parser::prelude::{FromDer, X509Certificate};

use super::Error;
use crate::auth::User;

/// A new private key and a signing request for it, both PEM: `user` becomes CN, `group` becomes O.
pub fn request(user: &str, group: &str) -> Result<(String, String), Error> {
    let mut params = CertificateParams::new(Vec::<String>::new())?;
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::OrganizationName, group);
    params.distinguished_name.push(DnType::CommonName, user);
    let key = KeyPair::generate()?;
    let request = params.serialize_request(&key)?.pem()?;
    Ok((key.serialize_pem(), request))
}

/// What a signing request asks for. Whoever sent it has the key: its signature was verified.
#[derive(Clone, Debug)]
pub struct Wanted {
    /// CN
    pub user: String,
    /// O, in order.
    pub groups: Vec<String>,
    /// Whether it asks for anything else: names of hosts, further parts of a subject, extensions.
    pub more: bool,
    pub(super) key: PublicKey,
}

/// Reads a signing request (PEM). An error says what is wrong with it.
pub fn read_request(pem: &[u8]) -> Result<Wanted, String> {
    let (_, block) = x509_parser::pem::parse_x509_pem(pem).map_err(|_| "it is not PEM".to_owned())?;
    if !matches!(block.label.as_str(), "CERTIFICATE REQUEST" | "NEW CERTIFICATE REQUEST") {
        return Err(format!("it is a {} and not a CERTIFICATE REQUEST", block.label));
    }
    let (_, request) = X509CertificationRequest::from_der(&block.contents).map_err(|error| error.to_string())?;
    request.verify_signature().map_err(|_| "its signature is not that of its key".to_owned())?;
    let info = &request.certification_request_info;
    let subject = &info.subject;
    let user = subject.iter_common_name().next().and_then(|name| name.as_str().ok()).unwrap_or_default().to_owned();
    let groups: Vec<String> =
        subject.iter_organization().filter_map(|name| name.as_str().ok()).map(str::to_owned).collect();
    let extensions = request.requested_extensions().is_some_and(|mut extensions| extensions.next().is_some());
    let more = extensions || subject.iter_attributes().count() != 1 + groups.len();
    Ok(Wanted { user, groups, more, key: PublicKey::of(&info.subject_pki)? })
}

/// The key of a request, as a certificate has it.
#[derive(Clone, Debug)]
pub(super) struct PublicKey {
    bytes: Vec<u8>,
    algorithm: &'static SignatureAlgorithm,
}

impl PublicKey {
    fn of(info: &x509_parser::x509::SubjectPublicKeyInfo<'_>) -> Result<Self, String> {
        use x509_parser::public_key::PublicKey as Kind;
        let algorithm = match info.parsed().map_err(|error| error.to_string())? {
            Kind::RSA(key) if key.key_size() >= 2048 => &rcgen::PKCS_RSA_SHA256,
            Kind::EC(point) if point.key_size() <= 264 => &rcgen::PKCS_ECDSA_P256_SHA256,
            Kind::EC(point) if point.key_size() <= 392 => &rcgen::PKCS_ECDSA_P384_SHA384,
            _ if info.algorithm.algorithm.to_id_string() == "1.3.101.112" => &rcgen::PKCS_ED25519,
            _ => return Err("its key is not RSA of 2048 bits, ECDSA P-256 or P-384, or Ed25519".to_owned()),
        };
        Ok(Self { bytes: info.subject_public_key.data.to_vec(), algorithm })
    }
}

impl PublicKeyData for PublicKey {
    fn der_bytes(&self) -> &[u8] {
        &self.bytes
    }

    fn algorithm(&self) -> &'static SignatureAlgorithm {
        self.algorithm
    }
}

/// What a certificate says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct About {
    /// Its subject's common name.
    pub user: String,
    /// It is good from then on,
    pub from: SystemTime,
    /// until then.
    pub until: SystemTime,
}

/// What the first certificate in a text (PEM) says. An error says what is wrong with it.
pub fn describe(pem: &str) -> Result<About, String> {
    let mut blocks = x509_parser::pem::Pem::iter_from_buffer(pem.as_bytes()).filter_map(Result::ok);
    let block = blocks.find(|block| block.label == "CERTIFICATE").ok_or("it holds no certificate")?;
    let (_, certificate) = X509Certificate::from_der(&block.contents).map_err(|error| error.to_string())?;
    let user = User::of_certificate(&block.contents).ok_or("its certificate names nobody")?.name;
    let validity = certificate.validity();
    Ok(About { user, from: at(validity.not_before.timestamp()), until: at(validity.not_after.timestamp()) })
}

/// Until when a certificate (DER) is good.
pub(crate) fn good_until(der: &[u8]) -> Option<SystemTime> {
    let (_, certificate) = X509Certificate::from_der(der).ok()?;
    Some(at(certificate.validity().not_after.timestamp()))
}

fn at(seconds: i64) -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(u64::try_from(seconds).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Pki;

    #[test]
    fn a_request_becomes_a_certificate_of_its_subject_and_life() {
        let folder = tempfile::tempdir().unwrap();
        let pki = Pki::load_or_create(folder.path(), &[]).unwrap();
        let (key, text) = request("system:node:n1", "system:nodes").unwrap();
        assert!(key.contains("PRIVATE KEY"));
        let wanted = read_request(text.as_bytes()).unwrap();
        assert_eq!(
            (wanted.user.as_str(), wanted.groups.as_slice()),
            ("system:node:n1", &["system:nodes".to_owned()][..])
        );
        assert!(!wanted.more);
        let life = Duration::from_secs(3600);
        let certificate = pki.sign(&wanted, "system:nodes", life).unwrap();
        let about = describe(&format!("{key}{certificate}")).unwrap();
        assert_eq!(about.user, "system:node:n1");
        let left = about.until.duration_since(SystemTime::now()).unwrap();
        assert!(left <= life && left > life - Duration::from_secs(60), "{left:?}");
        assert!(about.from < SystemTime::now());
        assert!(describe(&key).is_err());
    }

    #[test]
    fn what_is_no_request_is_refused() {
        let (key, text) = request("a", "b").unwrap();
        let (_, other) = request("a", "b").unwrap();
        assert!(read_request(b"nonsense").is_err());
        assert!(read_request(key.as_bytes()).unwrap_err().contains("PRIVATE KEY"));
        // The head of one with the signature of another.
        let swap = |text: &str| x509_parser::pem::parse_x509_pem(text.as_bytes()).unwrap().1.contents;
        let (mut mixed, other) = (swap(&text), swap(&other));
        let tail = mixed.len().min(other.len()) - 20;
        mixed.truncate(tail);
        mixed.extend_from_slice(&other[tail..]);
        use base64::Engine;
        let body = base64::engine::general_purpose::STANDARD.encode(&mixed);
        let pem = format!("-----BEGIN CERTIFICATE REQUEST-----\n{body}\n-----END CERTIFICATE REQUEST-----\n");
        assert!(read_request(pem.as_bytes()).is_err());
    }

    #[test]
    fn what_a_request_asks_for_beyond_a_name_is_seen() {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(vec!["api.example.com".to_owned()]).unwrap();
        params.distinguished_name = DistinguishedName::new();
        params.distinguished_name.push(DnType::CommonName, "x");
        let text = params.serialize_request(&key).unwrap().pem().unwrap();
        assert!(read_request(text.as_bytes()).unwrap().more);
    }
}
