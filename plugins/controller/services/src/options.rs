//! What an operator may set.

use std::net::{Ipv4Addr, SocketAddrV4};
use std::ops::RangeInclusive;

use gantry_sdk::{Error, Result};
use ipnet::Ipv4Net;
use serde::Deserialize;

/// The plugin's configuration.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct Options {
    /// Virtual addresses of Services.
    pub service_range: Ipv4Net,
    /// Ports of nodes, as `30000-32767`.
    #[serde(deserialize_with = "ports")]
    pub node_ports: RangeInclusive<u16>,
    /// Where pods reach the API. With it there is a Service `default/kubernetes` that leads there.
    pub api: Option<SocketAddrV4>,
}

impl Default for Options {
    fn default() -> Self {
        Options {
            service_range: Ipv4Net::new_assert(Ipv4Addr::new(10, 96, 0, 0), 16),
            node_ports: 30_000..=32_767,
            api: None,
        }
    }
}

impl Options {
    /// Refuses what can't work.
    pub fn check(&self) -> Result<()> {
        if !(8..=28).contains(&self.service_range.prefix_len()) {
            return Err(Error::invalid(format!(
                "service-range {} must have a prefix of 8 to 28 bits",
                self.service_range
            )));
        }
        if self.node_ports.is_empty() || *self.node_ports.start() == 0 {
            return Err(Error::invalid(format!(
                "node-ports {}-{} is no range of ports",
                self.node_ports.start(),
                self.node_ports.end()
            )));
        }
        Ok(())
    }
}

fn ports<'de, D: serde::Deserializer<'de>>(from: D) -> std::result::Result<RangeInclusive<u16>, D::Error> {
    let text = String::deserialize(from)?;
    let range =
        text.split_once('-').and_then(|(first, last)| Some(first.trim().parse().ok()?..=last.trim().parse().ok()?));
    range.ok_or_else(|| serde::de::Error::custom(format!("node-ports {text:?} is not of the form 30000-32767")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use gantry_sdk::{Config, json};

    #[test]
    fn reads_and_refuses() {
        let read = |value| Config::from(value).parse::<Options>().and_then(|o| o.check().map(|()| o));
        let options = read(json!({"service-range": "10.1.0.0/20", "node-ports": "31000-31010"})).unwrap();
        assert_eq!((options.node_ports.count(), options.service_range.prefix_len()), (11, 20));
        for (bad, word) in [
            (json!({"service-range": "10.1.0.0/30"}), "8 to 28"),
            (json!({"service-range": "ten"}), "configuration"),
            (json!({"node-ports": "9-3"}), "no range"),
            (json!({"node-ports": "many"}), "30000-32767"),
            (json!({"node-port": "1-2"}), "node-port"),
        ] {
            let error = read(bad.clone()).unwrap_err();
            assert!(error.message.contains(word), "{bad}: {}", error.message);
        }
    }
}
