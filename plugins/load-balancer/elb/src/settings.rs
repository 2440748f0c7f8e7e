//! What holds for one Frontend: its annotations, and the operator's options where it has none.

use std::collections::BTreeMap;

use gantry_sdk::{Error, Result};
use serde::Deserialize;

use crate::options::Options;

/// Annotations of a Service or a Frontend that are meant for this plugin.
pub const PREFIX: &str = "elb.gantry.dev/";

/// What ports come to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// A network load balancer: connections.
    #[default]
    Nlb,
    /// An application load balancer: requests of HTTP.
    Alb,
    /// A Classic load balancer: connections to instances.
    Classic,
}

/// Who reaches it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Scheme {
    /// What is in the VPC.
    #[default]
    Internal,
    /// Everybody.
    InternetFacing,
}

/// What is registered.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum TargetType {
    /// Pods, which must have addresses of the VPC.
    #[default]
    Ip,
    /// Nodes, at the Service's node port.
    Instance,
}

/// How targets are asked whether they are well. What is `None` is AWS's to choose.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Check {
    /// Asked by HTTP at this path; else a connection is enough where the protocol allows it.
    pub path: Option<String>,
    /// Another port than that of the traffic.
    pub port: Option<u16>,
    /// How often.
    pub interval_seconds: Option<u32>,
    /// How long an answer may take.
    pub timeout_seconds: Option<u32>,
    /// Good answers in a row.
    pub healthy: Option<u32>,
    /// Failures in a row.
    pub unhealthy: Option<u32>,
    /// Good status codes: `200-399`.
    pub codes: Option<String>,
}

/// For one Frontend.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// What its ports come to.
    pub kind: Kind,
    /// Who reaches it.
    pub scheme: Scheme,
    /// Where it is.
    pub subnets: Vec<String>,
    /// The VPC of its targets.
    pub vpc: String,
    /// Its security groups.
    pub security_groups: Vec<String>,
    /// What is registered.
    pub target_type: TargetType,
    /// Certificates of its listeners for HTTPS and TLS, by ARN.
    pub certificates: Vec<String>,
    /// Names or numbers of the ports that have them. Empty: all of TCP.
    pub tls_ports: Vec<String>,
    /// For ports; backends of rules have their own.
    pub check: Check,
}

impl Settings {
    /// Of a Frontend with these annotations. One that is not known is an error: it was meant to do something.
    pub fn new(options: &Options, annotations: &BTreeMap<String, String>) -> Result<Self> {
        let mut settings = Self {
            kind: options.kind,
            scheme: options.scheme,
            subnets: options.subnets.clone(),
            vpc: options.vpc.clone(),
            security_groups: options.security_groups.clone(),
            target_type: options.target_type,
            certificates: Vec::new(),
            tls_ports: Vec::new(),
            check: Check::default(),
        };
        for (key, value) in annotations {
            if let Some(name) = key.strip_prefix(PREFIX) {
                settings
                    .take(name, value.trim())
                    .map_err(|what| Error::invalid(format!("annotation {key}: {what}")))?;
            }
        }
        if settings.kind == Kind::Classic && annotations.get(&format!("{PREFIX}target-type")).is_some_and(|t| t == "ip")
        {
            return Err(Error::invalid(format!(
                "annotation {PREFIX}target-type: a Classic load balancer leads to instances"
            )));
        }
        Ok(settings)
    }

    /// Whether nodes are targets.
    pub fn leads_to_nodes(&self) -> bool {
        self.target_type == TargetType::Instance || self.kind == Kind::Classic
    }

    fn take(&mut self, name: &str, value: &str) -> std::result::Result<(), String> {
        match name {
            "type" => self.kind = word(value)?,
            "scheme" => self.scheme = word(value)?,
            "target-type" => self.target_type = word(value)?,
            "subnets" => self.subnets = list(value)?,
            "security-groups" => self.security_groups = list(value)?,
            "certificates" => self.certificates = list(value)?,
            "tls-ports" => self.tls_ports = list(value)?,
            "health-check-path" if value.starts_with('/') => self.check.path = Some(value.to_owned()),
            "health-check-path" => return Err(format!("{value:?} does not begin with a slash")),
            "health-check-port" => self.check.port = Some(number(value)?),
            "health-check-interval-seconds" => self.check.interval_seconds = Some(number(value)?),
            "health-check-timeout-seconds" => self.check.timeout_seconds = Some(number(value)?),
            "health-check-healthy" => self.check.healthy = Some(number(value)?),
            "health-check-unhealthy" => self.check.unhealthy = Some(number(value)?),
            "health-check-codes" => self.check.codes = Some(value.to_owned()),
            _ => return Err("is not known".to_owned()),
        }
        Ok(())
    }
}

fn word<T: for<'de> Deserialize<'de>>(value: &str) -> std::result::Result<T, String> {
    gantry_sdk::serde_json::from_value(value.into()).map_err(|e| e.to_string())
}

fn number<T: std::str::FromStr>(value: &str) -> std::result::Result<T, String> {
    value.parse().map_err(|_| format!("{value:?} is no number that fits"))
}

/// Separated by commas.
fn list(value: &str) -> std::result::Result<Vec<String>, String> {
    let all: Vec<String> = value.split(',').map(|one| one.trim().to_owned()).filter(|one| !one.is_empty()).collect();
    if all.is_empty() { Err("names nothing".to_owned()) } else { Ok(all) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn annotations_come_before_options() {
        let options = Options { subnets: vec!["s1".into()], vpc: "v".into(), ..Options::default() };
        let with = |key: &str, value: &str| {
            Settings::new(
                &options,
                &BTreeMap::from([(format!("{PREFIX}{key}"), value.to_owned()), ("other/x".into(), "y".into())]),
            )
        };
        assert_eq!(with("subnets", "a, b").unwrap().subnets, ["a", "b"]);
        assert_eq!(with("type", "alb").unwrap().kind, Kind::Alb);
        assert!(with("type", "classic").unwrap().leads_to_nodes());
        assert_eq!(with("scheme", "internet-facing").unwrap().scheme, Scheme::InternetFacing);
        assert_eq!(with("health-check-port", "81").unwrap().check.port, Some(81));
        for (key, value, want) in [
            ("type", "gateway", "unknown variant"),
            ("subnets", " , ", "names nothing"),
            ("health-check-port", "99999", "no number"),
            ("health-check-path", "x", "slash"),
            ("subnet", "a", "is not known"),
        ] {
            let error = with(key, value).unwrap_err().message;
            assert!(error.contains(want) && error.contains(key), "{error}");
        }
    }
}
