//! Target groups.

use std::collections::BTreeSet;

use super::Target;
use crate::aws::TargetGroup;
use crate::object::HealthCheck;
use crate::settings::Check;

/// A target group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Group {
    /// Follows from what can't be changed about it.
    pub name: String,
    /// `TCP`, `UDP` or `HTTP`
    pub protocol: &'static str,
    /// Of HTTP: `HTTP1` or `HTTP2`
    pub version: Option<&'static str>,
    /// For targets that do not say.
    pub port: u16,
    /// `ip` or `instance`
    pub target_type: &'static str,
    /// How targets are asked.
    pub health: Health,
    /// Who serves.
    pub targets: BTreeSet<Target>,
}

/// How targets are asked whether they are well. What is `None` is AWS's to choose.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Health {
    /// `TCP` or `HTTP`
    pub protocol: &'static str,
    /// `traffic-port`, or a number.
    pub port: String,
    /// Of HTTP.
    pub path: Option<String>,
    /// Seconds.
    pub interval: Option<u32>,
    /// Seconds.
    pub timeout: Option<u32>,
    /// Answers in a row.
    pub healthy: Option<u32>,
    /// Failures in a row.
    pub unhealthy: Option<u32>,
    /// Of HTTP.
    pub codes: Option<String>,
}

impl Health {
    /// Of a port.
    pub fn of_port(check: &Check, http: bool) -> Self {
        let asked = http || check.path.is_some();
        Self {
            protocol: if asked { "HTTP" } else { "TCP" },
            port: check.port.map_or_else(|| "traffic-port".to_owned(), |port| port.to_string()),
            path: asked.then(|| check.path.clone().unwrap_or_else(|| "/".to_owned())),
            interval: check.interval_seconds,
            timeout: check.timeout_seconds,
            healthy: check.healthy,
            unhealthy: check.unhealthy,
            codes: check.codes.clone().filter(|_| asked),
        }
    }

    /// Of a backend, which may have a check of its own.
    pub fn of_backend(own: Option<&HealthCheck>, check: &Check) -> Self {
        let Some(own) = own else { return Self::of_port(check, true) };
        let seconds = |milliseconds: Option<u32>| milliseconds.map(|ms| ms.div_ceil(1000));
        Self {
            protocol: "HTTP",
            port: if own.port == 0 { "traffic-port".to_owned() } else { own.port.to_string() },
            path: Some(own.path.clone()),
            // AWS asks every 5 s at most.
            interval: seconds(own.interval_milliseconds).map(|s| s.clamp(5, 300)),
            timeout: seconds(own.timeout_milliseconds).map(|s| s.clamp(2, 120)),
            healthy: own.healthy_threshold.map(|n| n.clamp(2, 10)),
            unhealthy: own.unhealthy_threshold.map(|n| n.clamp(2, 10)),
            codes: Some(if own.codes.is_empty() { "200-399".to_owned() } else { own.codes.join(",") }),
        }
    }

    /// Whether AWS has it so, as far as it is said.
    pub fn is_so(&self, found: &TargetGroup) -> bool {
        let same = |wanted: Option<u32>, found: Option<u32>| wanted.is_none() || wanted == found;
        found.health_check_protocol.as_deref() == Some(self.protocol)
            && found.health_check_port.as_deref() == Some(&self.port)
            && (self.path.is_none() || self.path == found.health_check_path)
            && same(self.interval, found.health_check_interval_seconds)
            && same(self.timeout, found.health_check_timeout_seconds)
            && same(self.healthy, found.healthy_threshold_count)
            && same(self.unhealthy, found.unhealthy_threshold_count)
            && (self.codes.is_none() || self.codes == found.matcher.as_ref().and_then(|m| m.http_code.clone()))
    }
}
