//! Which certificate a name gets.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use arc_swap::ArcSwap;
use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::{FromDer, X509Certificate};

/// A certificate with its key, and the names in it.
#[derive(Clone)]
pub struct Identity {
    key: Arc<CertifiedKey>,
    names: Arc<[String]>,
}

impl Identity {
    /// Of PEM: the certificate, then its issuers; and its key. The error says what is wrong, for people.
    pub fn from_pem(chain: &[u8], key: &[u8]) -> Result<Self, String> {
        let chain: Vec<CertificateDer<'static>> = CertificateDer::pem_slice_iter(chain)
            .collect::<Result<_, _>>()
            .map_err(|error| format!("the certificate is no PEM: {error}"))?;
        let first = chain.first().ok_or("there is no certificate in it")?;
        let names = names(first)?;
        let key = PrivateKeyDer::from_pem_slice(key).map_err(|error| format!("the key is no PEM: {error}"))?;
        let key = CertifiedKey::from_der(chain, key, &ring::default_provider())
            .map_err(|error| format!("certificate and key can't be used: {error}"))?;
        Ok(Self { key: Arc::new(key), names })
    }
}

impl fmt::Debug for Identity {
    /// Without the key.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Identity").field("names", &self.names).finish_non_exhaustive()
    }
}

fn names(certificate: &CertificateDer<'_>) -> Result<Arc<[String]>, String> {
    let (_, parsed) =
        X509Certificate::from_der(certificate).map_err(|error| format!("the certificate can't be read: {error}"))?;
    let alternatives = parsed.subject_alternative_name().ok().flatten();
    let all = alternatives.iter().flat_map(|found| &found.value.general_names);
    let name = |name: &GeneralName<'_>| match name {
        GeneralName::DNSName(dns) => Some(dns.to_ascii_lowercase()),
        _ => None,
    };
    Ok(all.filter_map(name).collect())
}

/// Certificates by name. The whole set is replaced at once; connections keep what they began with.
pub struct Certificates {
    fallback: Arc<CertifiedKey>,
    held: ArcSwap<Held>,
}

#[derive(Default)]
struct Held {
    exact: HashMap<String, Arc<CertifiedKey>>,
    /// By what follows the first label.
    wildcard: HashMap<String, Arc<CertifiedKey>>,
}

impl Certificates {
    /// With nothing but a certificate for names that have none.
    pub fn new(fallback: &Identity) -> Self {
        Self { fallback: fallback.key.clone(), held: ArcSwap::default() }
    }

    /// These from now on. Of two for one name the first has it. Without hosts it is for the names in it.
    pub fn set<'a>(&self, all: impl IntoIterator<Item = (&'a [String], &'a Identity)>) {
        let mut held = Held::default();
        for (hosts, identity) in all {
            let hosts = if hosts.is_empty() { &identity.names } else { hosts };
            for host in hosts {
                let host = host.to_ascii_lowercase();
                let key = identity.key.clone();
                match host.strip_prefix("*.") {
                    Some(parent) => held.wildcard.entry(parent.to_owned()).or_insert(key),
                    None => held.exact.entry(host).or_insert(key),
                };
            }
        }
        self.held.store(Arc::new(held));
    }

    fn find(&self, name: Option<&str>) -> Arc<CertifiedKey> {
        let held = self.held.load();
        let name = name.unwrap_or_default().to_ascii_lowercase();
        let wildcard = || held.wildcard.get(name.split_once('.')?.1);
        held.exact.get(&name).or_else(wildcard).unwrap_or(&self.fallback).clone()
    }
}

impl fmt::Debug for Certificates {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let held = self.held.load();
        f.debug_struct("Certificates").field("names", &held.exact.len()).finish_non_exhaustive()
    }
}

impl ResolvesServerCert for Certificates {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.find(hello.server_name()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use gantry_api::pki;

    fn identity(names: &[&str]) -> Identity {
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let pair = pki::self_signed(&names).unwrap();
        Identity::from_pem(pair.certificate.as_bytes(), pair.key.as_bytes()).unwrap()
    }

    #[test]
    fn names_get_their_certificates() {
        let (fallback, a, wild, own) =
            (identity(&["fallback"]), identity(&["x"]), identity(&["y"]), identity(&["Own.test", "*.own.test"]));
        let certificates = Certificates::new(&fallback);
        let hosts = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
        let (for_a, for_wild) = (hosts(&["A.example", "b.example"]), hosts(&["*.example"]));
        certificates.set([(for_a.as_slice(), &a), (for_wild.as_slice(), &wild), (&[], &own), (for_a.as_slice(), &own)]);
        for (name, want) in [
            (Some("a.example"), &a),
            (Some("B.EXAMPLE"), &a),
            (Some("c.example"), &wild),
            (Some("d.c.example"), &fallback),
            (Some("own.test"), &own),
            (Some("sub.own.test"), &own),
            (Some("x"), &fallback),
            (None, &fallback),
        ] {
            assert!(Arc::ptr_eq(&certificates.find(name), &want.key), "{name:?}");
        }
    }

    #[test]
    fn what_is_no_certificate_says_so() {
        let pair = pki::self_signed(&["a".to_owned()]).unwrap();
        let other = pki::self_signed(&["a".to_owned()]).unwrap();
        for (chain, key, want) in [
            ("", pair.key.as_str(), "no certificate in it"),
            ("nonsense", pair.key.as_str(), "no certificate in it"),
            (pair.certificate.as_str(), "", "the key is no PEM"),
            (pair.certificate.as_str(), other.key.as_str(), "can't be used"),
            ("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", pair.key.as_str(), "can't be read"),
        ] {
            let error = Identity::from_pem(chain.as_bytes(), key.as_bytes()).unwrap_err();
            assert!(error.contains(want), "{error}");
        }
    }
}
