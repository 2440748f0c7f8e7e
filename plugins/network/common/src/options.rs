//! What an operator may set.

use gantry_sdk::{Error, Result};
use serde::Deserialize;

/// Configuration that every stock network has. A network with options of its own flattens this into them.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct Options {
    /// The bridge's name.
    pub bridge: String,
    /// Of the bridge and the pods' links, in bytes; 0: as large as the node's own link lets through.
    pub mtu: u32,
    /// Whether packets that leave the cluster get the node's address.
    pub masquerade: bool,
    /// Whether a pod may reach itself through a host port of its own.
    pub hairpin: bool,
}

impl Default for Options {
    fn default() -> Self {
        Options { bridge: "gtr0".to_owned(), mtu: 0, masquerade: true, hairpin: true }
    }
}

impl Options {
    /// Refuses what can't work.
    pub fn check(&self) -> Result<()> {
        if self.bridge.is_empty() || self.bridge.len() > 15 || self.bridge.contains(['/', ' ']) {
            return Err(Error::invalid(format!(
                "bridge {:?} is no name of a link: 1 to 15 bytes without / and space",
                self.bridge
            )));
        }
        if self.mtu != 0 && !(1280..=65_535).contains(&self.mtu) {
            return Err(Error::invalid(format!("mtu {} is not between 1280 and 65535", self.mtu)));
        }
        Ok(())
    }
}
