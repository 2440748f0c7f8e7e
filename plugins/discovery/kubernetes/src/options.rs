//! What an operator may set.

use discovery_common::{names, seconds};
use gantry_sdk::{Error, Result};
use serde::Deserialize;

/// The plugin's configuration.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct Options {
    /// Below which all names are.
    pub zone: String,
    /// How long an answer may be remembered, in seconds.
    pub ttl: u32,
    /// The same for answers that there is nothing.
    pub negative_ttl: u32,
}

impl Default for Options {
    fn default() -> Self {
        // Short: what is behind a name may be gone at once.
        Options { zone: "cluster.local".to_owned(), ttl: 5, negative_ttl: 5 }
    }
}

impl Options {
    /// The zone as names spell it. Refuses what can't work.
    pub fn checked(self) -> Result<Self> {
        let zone = names::plain(&self.zone)
            .ok_or_else(|| Error::invalid(format!("zone {:?} is no domain name", self.zone)))?;
        seconds("ttl", self.ttl)?;
        seconds("negative-ttl", self.negative_ttl)?;
        Ok(Options { zone, ..self })
    }
}
