//! What an operator may set.

use gantry_sdk::{Error, Result};
use serde::Deserialize;

use crate::settings::{Kind, Scheme, TargetType};

/// The plugin's configuration.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Options {
    /// Sets this cluster's things apart from all others of the account. Never changed: what was made stays with the old name.
    pub cluster: String,
    /// Where the API is: `https://elasticloadbalancing.eu-west-1.amazonaws.com`. The bundle grants it.
    pub endpoint: String,
    /// Where load balancers are, of at least two zones for an application load balancer.
    pub subnets: Vec<String>,
    /// The VPC of the targets.
    pub vpc: String,
    /// Of the load balancers. None: an application load balancer has the VPC's default one, a network load balancer has none
    /// and is open to all who reach it.
    #[serde(default)]
    pub security_groups: Vec<String>,
    /// What ports come to that no annotation says otherwise of; rules for HTTP are always an application load balancer's.
    #[serde(rename = "type", default)]
    pub kind: Kind,
    /// Whether they are reached from the internet.
    #[serde(default)]
    pub scheme: Scheme,
    /// What is registered.
    #[serde(default)]
    pub target_type: TargetType,
    /// `spec.loadBalancerClass` of Services that are served.
    #[serde(default = "class")]
    pub class: String,
    /// How often AWS is looked at though nothing changed here, in seconds: so long may what others changed there last.
    #[serde(default = "resync")]
    pub resync_seconds: u32,
}

fn class() -> String {
    "gantry.dev/elb".to_owned()
}

fn resync() -> u32 {
    300
}

impl Options {
    /// Refuses what can't work.
    pub fn check(&self) -> Result<()> {
        let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
        if self.cluster.is_empty() || self.cluster.len() > 63 || !self.cluster.bytes().all(plain) {
            return Err(Error::invalid("cluster must be 1 to 63 lower-case letters, digits and hyphens"));
        }
        let needed =
            [("subnets", self.subnets.is_empty()), ("vpc", self.vpc.is_empty()), ("class", self.class.is_empty())];
        if let Some((name, _)) = needed.iter().find(|(_, empty)| *empty) {
            return Err(Error::invalid(format!("{name} must not be empty")));
        }
        if !self.endpoint.starts_with("https://") && !self.endpoint.starts_with("http://") {
            return Err(Error::invalid(format!("endpoint {:?} is no URL", self.endpoint)));
        }
        if !(5..=86_400).contains(&self.resync_seconds) {
            return Err(Error::invalid("resync-seconds must be 5 to 86400"));
        }
        Ok(())
    }
}
