//! Making certificates and telling whether one is still good.

use std::net::IpAddr;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose,
};
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::{FromDer, X509Certificate};

use super::Pair;
use super::request::Wanted;

const DAY: Duration = Duration::from_secs(24 * 3600);
const AUTHORITY_DAYS: u32 = 3650;
const LEAF: Duration = Duration::from_secs(365 * 24 * 3600);
/// Leaf certificates with less left than this are made anew.
const RENEW_DAYS: i64 = 30;
/// Clocks of clients may be behind by this much.
const SKEW: Duration = Duration::from_secs(3600);

pub(super) fn authority() -> Result<Pair, rcgen::Error> {
    let key = KeyPair::generate()?;
    let certificate = authority_params()?.self_signed(&key)?;
    Ok(Pair { certificate: certificate.pem(), key: key.serialize_pem() })
}

/// The signer behind an authority's pair. Only name and key matter for signing, and the name is a constant.
pub(super) fn issuer(authority: &Pair) -> Result<Issuer<'static, KeyPair>, rcgen::Error> {
    Ok(Issuer::new(authority_params()?, KeyPair::from_pem(&authority.key)?))
}

pub(super) fn server(issuer: &Issuer<'static, KeyPair>, names: &[String]) -> Result<Pair, rcgen::Error> {
    let mut params = leaf("gantry-server", None, ExtendedKeyUsagePurpose::ServerAuth)?;
    params.subject_alt_names = CertificateParams::new(names)?.subject_alt_names;
    sign(&params, issuer)
}

/// A certificate that nobody else vouches for.
pub(super) fn alone(names: &[String]) -> Result<Pair, rcgen::Error> {
    let key = KeyPair::generate()?;
    let mut params = leaf("gantry-default", None, ExtendedKeyUsagePurpose::ServerAuth)?;
    params.use_authority_key_identifier_extension = false;
    params.subject_alt_names = CertificateParams::new(names)?.subject_alt_names;
    let certificate = params.self_signed(&key)?;
    Ok(Pair { certificate: certificate.pem(), key: key.serialize_pem() })
}

pub(super) fn client(issuer: &Issuer<'static, KeyPair>, user: &str, group: &str) -> Result<Pair, rcgen::Error> {
    sign(&leaf(user, Some(group), ExtendedKeyUsagePurpose::ClientAuth)?, issuer)
}

/// A client certificate for the key of a request. What is wrong with clocks must not outweigh a short life.
pub(super) fn answer(
    issuer: &Issuer<'static, KeyPair>,
    wanted: &Wanted,
    group: &str,
    life: Duration,
) -> Result<String, rcgen::Error> {
    let mut params = leaf(&wanted.user, Some(group), ExtendedKeyUsagePurpose::ClientAuth)?;
    valid_for(&mut params, SKEW.min(life / 10), life);
    Ok(params.signed_by(&wanted.key, issuer)?.pem())
}

/// The names a server certificate carries: those given, the loopback ones and the host's.
pub(super) fn server_names(given: &[String]) -> Vec<String> {
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let fixed = ["localhost", "127.0.0.1", "::1", host.trim()].map(str::to_owned);
    let mut names: Vec<String> = fixed.into_iter().chain(given.iter().cloned()).filter(|n| !n.is_empty()).collect();
    names.sort();
    names.dedup();
    names
}

/// Whether a leaf is from this authority, not close to its end, and carries all of `names`.
pub(super) fn serves(pair: &Pair, authority: &Pair, names: &[String]) -> bool {
    let (Some(leaf), Some(ca)) = (der(&pair.certificate), der(&authority.certificate)) else { return false };
    let (Ok((_, leaf)), Ok((_, ca))) = (X509Certificate::from_der(&leaf), X509Certificate::from_der(&ca)) else {
        return false;
    };
    let left = leaf.validity().not_after.timestamp() - seconds(SystemTime::now());
    left > RENEW_DAYS * 86_400
        && leaf.issuer() == ca.subject()
        && leaf.verify_signature(Some(ca.public_key())).is_ok()
        && names.iter().all(|name| carries(&leaf, name))
}

fn carries(certificate: &X509Certificate<'_>, name: &str) -> bool {
    let Ok(Some(alternatives)) = certificate.subject_alternative_name() else { return false };
    let address = name.parse::<IpAddr>().ok().map(|ip| match ip {
        IpAddr::V4(ip) => ip.octets().to_vec(),
        IpAddr::V6(ip) => ip.octets().to_vec(),
    });
    alternatives.value.general_names.iter().any(|general| match (general, &address) {
        (GeneralName::IPAddress(bytes), Some(address)) => *bytes == address.as_slice(),
        (GeneralName::DNSName(dns), None) => *dns == name,
        _ => false,
    })
}

fn der(pem: &str) -> Option<Vec<u8>> {
    x509_parser::pem::parse_x509_pem(pem.as_bytes()).ok().map(|(_, pem)| pem.contents)
}

fn authority_params() -> Result<CertificateParams, rcgen::Error> {
    let mut params = CertificateParams::new(Vec::<String>::new())?;
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, "gantry-ca");
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::DigitalSignature];
    valid_for(&mut params, SKEW, DAY * AUTHORITY_DAYS);
    Ok(params)
}

fn leaf(user: &str, group: Option<&str>, usage: ExtendedKeyUsagePurpose) -> Result<CertificateParams, rcgen::Error> {
    let mut params = CertificateParams::new(Vec::<String>::new())?;
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, user);
    if let Some(group) = group {
        params.distinguished_name.push(DnType::OrganizationName, group);
    }
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![usage];
    params.use_authority_key_identifier_extension = true;
    valid_for(&mut params, SKEW, LEAF);
    Ok(params)
}

fn valid_for(params: &mut CertificateParams, skew: Duration, life: Duration) {
    let epoch = rcgen::date_time_ymd(1970, 1, 1);
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    params.not_before = epoch + now.saturating_sub(skew);
    params.not_after = epoch + now + life;
}

fn sign(params: &CertificateParams, issuer: &Issuer<'static, KeyPair>) -> Result<Pair, rcgen::Error> {
    let key = KeyPair::generate()?;
    let certificate = params.signed_by(&key, issuer)?;
    Ok(Pair { certificate: certificate.pem(), key: key.serialize_pem() })
}

fn seconds(at: SystemTime) -> i64 {
    at.duration_since(UNIX_EPOCH).map_or(0, |d| i64::try_from(d.as_secs()).unwrap_or(i64::MAX))
}
