//! What an operator may set.

use gantry_sdk::{Config, Error, Result, Value};
use serde::Deserialize;

/// The tunnel's part of the configuration; the rest is that of every stock network.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct Options {
    /// The network identifier: 1 to 16777215, the same on every node.
    pub vni: u32,
    /// UDP port on both sides, the same on every node.
    pub port: u16,
}

impl Default for Options {
    fn default() -> Self {
        Self { vni: 1, port: 4789 }
    }
}

impl Options {
    /// Both parts of a configuration.
    pub fn read(config: &Config) -> Result<(Self, network_common::Options)> {
        let mut all: serde_json::Map<String, Value> = config.parse()?;
        let own = ["vni", "port"].iter().filter_map(|key| all.remove_entry(*key)).collect();
        let options: Self = Config::from(Value::Object(own)).parse()?;
        if options.vni == 0 || options.vni >= 1 << 24 {
            return Err(Error::invalid(format!("vni {} is not between 1 and 16777215", options.vni)));
        }
        if options.port == 0 {
            return Err(Error::invalid("port 0 is none: IANA's for VXLAN is 4789"));
        }
        Ok((options, Config::from(Value::Object(all)).parse()?))
    }
}
