//! Target groups.

use std::collections::BTreeSet;

use super::{Result, Target, unfit};
use crate::aws::TargetGroup;
use crate::object::HealthCheck;
use crate::settings::Check;

/// What a check of a Frontend means that does not say it: seconds between questions.
pub const INTERVAL: u32 = 10;
/// Seconds until an answer.
pub const TIMEOUT: u32 = 5;
/// Good answers in a row.
pub const GOOD: u32 = 2;
/// Failures in a row.
const BAD: u32 = 3;

/// A target group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Group {
    /// Follows from what can't be changed about it.
    pub name: String,
    /// `TCP`, `UDP`, `TCP_UDP` or `HTTP`
    pub protocol: &'static str,
    /// Of HTTP: `HTTP1` or `HTTP2`
    pub version: Option<&'static str>,
    /// For targets that do not say.
    pub port: u16,
    /// `ip` or `instance`
    pub target_type: &'static str,
    /// How targets are asked.
    pub health: Health,
    /// Whether a client stays with a target, by its address.
    pub sticky: bool,
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
    pub fn of_port(check: &Check, http: bool) -> Result<Self> {
        let asked = http || check.path.is_some();
        let (interval, timeout) = times(check.interval_seconds, check.timeout_seconds)?;
        Ok(Self {
            protocol: if asked { "HTTP" } else { "TCP" },
            port: check.port.map_or_else(|| "traffic-port".to_owned(), |port| port.to_string()),
            path: asked.then(|| check.path.clone().unwrap_or_else(|| "/".to_owned())),
            interval,
            timeout,
            healthy: check.healthy,
            unhealthy: check.unhealthy,
            codes: check.codes.clone().filter(|_| asked),
        })
    }

    /// Of a backend, which may have a check of its own. AWS asks every 5 s to 300 s, waits 2 s to 120 s, and always less than
    /// it is until the next question; 2 to 10 answers make a target well or not.
    pub fn of_backend(own: Option<&HealthCheck>, check: &Check) -> Result<Self> {
        let Some(own) = own else { return Self::of_port(check, true) };
        let seconds = |milliseconds: Option<u32>, default: u32| milliseconds.map_or(default, |ms| ms.div_ceil(1000));
        let timeout = seconds(own.timeout_milliseconds, TIMEOUT).clamp(2, 120);
        // An answer in good time is one: rather than its time, what is between two questions gives way.
        let interval = seconds(own.interval_milliseconds, INTERVAL).clamp(5, 300).max(timeout + 1);
        Ok(Self {
            protocol: "HTTP",
            port: if own.port == 0 { "traffic-port".to_owned() } else { own.port.to_string() },
            path: Some(own.path.clone()),
            interval: Some(interval),
            timeout: Some(timeout),
            healthy: Some(own.healthy_threshold.unwrap_or(GOOD).clamp(2, 10)),
            unhealthy: Some(own.unhealthy_threshold.unwrap_or(BAD).clamp(2, 10)),
            codes: Some(if own.codes.is_empty() { "200-399".to_owned() } else { own.codes.join(",") }),
        })
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

/// Interval and timeout. When one is said, AWS's default of the other may not fit to it.
pub fn times(interval: Option<u32>, timeout: Option<u32>) -> Result<(Option<u32>, Option<u32>)> {
    match (interval, timeout) {
        (Some(interval), Some(timeout)) if timeout >= interval => unfit(format!(
            "health checks every {interval} s that wait {timeout} s: AWS waits less than it is until the next one"
        )),
        (Some(interval), None) => Ok((Some(interval), Some(TIMEOUT.min(interval.saturating_sub(1)).max(2)))),
        (None, Some(timeout)) => Ok((Some(INTERVAL.max(timeout.saturating_add(1))), Some(timeout))),
        both => Ok(both),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_backends_check_fits_into_what_aws_takes() {
        // Milliseconds and answers of the Frontend; seconds and answers of AWS.
        let table = [
            ((None, None, None, None), (10, 5, 2, 3)),
            ((Some(10_000), Some(3_000), Some(4), Some(5)), (10, 3, 4, 5)),
            ((Some(5_000), None, None, None), (6, 5, 2, 3)),
            ((None, Some(20_000), None, None), (21, 20, 2, 3)),
            ((Some(5_000), Some(5_000), None, None), (6, 5, 2, 3)),
            ((Some(10), Some(10), Some(1), Some(1)), (5, 2, 2, 2)),
            ((Some(1_500), Some(2_500), None, None), (5, 3, 2, 3)),
            ((Some(3_600_000), Some(3_600_000), Some(100), Some(100)), (300, 120, 10, 10)),
        ];
        for (given, want) in table {
            let (interval_milliseconds, timeout_milliseconds, healthy_threshold, unhealthy_threshold) = given;
            let own = HealthCheck {
                path: "/".into(),
                interval_milliseconds,
                timeout_milliseconds,
                healthy_threshold,
                unhealthy_threshold,
                ..HealthCheck::default()
            };
            let health = Health::of_backend(Some(&own), &Check::default()).unwrap();
            let (interval, timeout) = (health.interval.unwrap(), health.timeout.unwrap());
            assert_eq!((interval, timeout, health.healthy.unwrap(), health.unhealthy.unwrap()), want, "{given:?}");
            assert!(interval > timeout, "{given:?}");
        }
    }

    #[test]
    fn an_interval_is_longer_than_its_timeout() {
        let table = [
            ((None, None), Ok((None, None))),
            ((Some(10), None), Ok((Some(10), Some(5)))),
            ((Some(5), None), Ok((Some(5), Some(4)))),
            ((None, Some(5)), Ok((Some(10), Some(5)))),
            ((None, Some(60)), Ok((Some(61), Some(60)))),
            ((Some(6), Some(5)), Ok((Some(6), Some(5)))),
            ((Some(5), Some(5)), Err(())),
        ];
        for ((interval, timeout), want) in table {
            assert_eq!(times(interval, timeout).map_err(drop), want, "{interval:?} {timeout:?}");
        }
    }
}
