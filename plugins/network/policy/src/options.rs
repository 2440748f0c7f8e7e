//! What an operator may set.

use serde::Deserialize;

/// The plugin's configuration.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct Options {
    /// Pods of one node talk over a bridge, which the kernel must show to the rules (`br_netfilter`).
    pub bridged: bool,
}

impl Default for Options {
    fn default() -> Self {
        Options { bridged: true }
    }
}
