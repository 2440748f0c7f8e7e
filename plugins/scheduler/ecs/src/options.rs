//! What an operator may set.

use serde::Deserialize;

/// `[plugin.config]`
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct Options {
    /// Where the strategy `random` begins. The same seed and the same tasks come to the same places.
    pub seed: u64,
}
