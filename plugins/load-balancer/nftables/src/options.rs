//! What an operator may set.

use gantry_sdk::{Error, Result};
use ipnet::Ipv4Net;
use serde::Deserialize;

/// The plugin's configuration.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct Options {
    /// Virtual addresses. What is sent to one that nobody serves is refused at once.
    pub service_ranges: Vec<Ipv4Net>,
    /// A link to which those addresses are routed, for programs of the node: without a route there is no packet that could
    /// be translated. Nothing ever leaves by it.
    pub link: String,
}

impl Default for Options {
    fn default() -> Self {
        let range = Ipv4Net::new_assert(std::net::Ipv4Addr::new(10, 96, 0, 0), 16);
        Options { service_ranges: vec![range], link: "gts0".to_owned() }
    }
}

impl Options {
    /// Refuses what can't work.
    pub fn check(&self) -> Result<()> {
        if self.link.is_empty() || self.link.len() > 15 || self.link.contains(['/', ' ']) {
            return Err(Error::invalid(format!(
                "link {:?} is no name of a link: 1 to 15 bytes without / and space",
                self.link
            )));
        }
        Ok(())
    }
}
