//! What an operator may set.

use std::collections::BTreeSet;

use discovery_common::{names, seconds};
use gantry_sdk::{Error, Result};
use serde::Deserialize;

/// The plugin's configuration.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct Options {
    /// Names below which instances are found.
    pub namespaces: Vec<Namespace>,
    /// Consul's names; without, there are none.
    pub consul: Option<Consul>,
    /// How long an answer may be remembered, in seconds.
    pub ttl: u32,
    /// The same for answers that there is nothing.
    pub negative_ttl: u32,
}

/// A private DNS namespace.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Namespace {
    /// `corp.local`
    pub name: String,
    /// Only Services of these Kubernetes namespaces have names here; empty: of any.
    #[serde(default)]
    pub from: BTreeSet<String>,
    /// Also those that don't ask for it by an annotation.
    #[serde(default)]
    pub all: bool,
}

/// Consul's names.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Consul {
    /// Below which all names are.
    #[serde(default = "consul")]
    pub domain: String,
    /// As which this cluster is asked for.
    #[serde(default = "dc1")]
    pub datacenter: String,
    /// Only Services of these Kubernetes namespaces have names here; empty: of any.
    #[serde(default)]
    pub from: BTreeSet<String>,
    /// Also those that don't ask for it by an annotation.
    #[serde(default)]
    pub all: bool,
}

fn consul() -> String {
    "consul".to_owned()
}

fn dc1() -> String {
    "dc1".to_owned()
}

impl Default for Options {
    fn default() -> Self {
        // Short: an instance may be gone at once.
        Options { namespaces: Vec::new(), consul: None, ttl: 5, negative_ttl: 5 }
    }
}

impl Options {
    /// Names as DNS spells them. Refuses what can't work.
    pub fn checked(mut self) -> Result<Self> {
        let mut taken = BTreeSet::new();
        for namespace in &mut self.namespaces {
            namespace.name = plain("namespace", &namespace.name)?;
            if !taken.insert(namespace.name.clone()) {
                return Err(Error::invalid(format!("namespace {:?} is there twice", namespace.name)));
            }
        }
        if let Some(Consul { domain, datacenter, .. }) = &mut self.consul {
            *domain = plain("consul.domain", domain)?;
            if !taken.insert(domain.clone()) {
                return Err(Error::invalid(format!("consul.domain {domain:?} is a namespace too")));
            }
            *datacenter = names::label(datacenter).ok_or_else(|| {
                Error::invalid(format!("consul.datacenter {datacenter:?} is no part of a domain name"))
            })?;
        }
        if taken.is_empty() {
            return Err(Error::invalid("nothing to name: give `namespaces`, `consul` or both"));
        }
        seconds("ttl", self.ttl)?;
        seconds("negative-ttl", self.negative_ttl)?;
        Ok(self)
    }
}

/// Whether a Service of this Kubernetes namespace may have names where those of `from` may.
pub fn may(from: &BTreeSet<String>, namespace: &str) -> bool {
    from.is_empty() || from.contains(namespace)
}

fn plain(what: &str, name: &str) -> Result<String> {
    names::plain(name).ok_or_else(|| Error::invalid(format!("{what} {name:?} is no domain name")))
}
