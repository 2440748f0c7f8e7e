//! What is wanted, as parameters of requests.

use std::collections::BTreeMap;

use gantry_sdk::{Error, Result};

use crate::aws::Params;
use crate::wanted::{Action, Condition, Health};

/// How targets are asked.
pub fn health(params: Params, health: &Health) -> Params {
    params
        .set("HealthCheckProtocol", health.protocol)
        .set("HealthCheckPort", &health.port)
        .set_some("HealthCheckPath", health.path.as_ref())
        .set_some("HealthCheckIntervalSeconds", health.interval)
        .set_some("HealthCheckTimeoutSeconds", health.timeout)
        .set_some("HealthyThresholdCount", health.healthy)
        .set_some("UnhealthyThresholdCount", health.unhealthy)
        .set_some("Matcher.HttpCode", health.codes.as_ref())
}

/// Whether clients stay with a target of a group.
pub fn sticky(group: &str, on: bool) -> Params {
    let attributes = [("stickiness.enabled", if on { "true" } else { "false" }), ("stickiness.type", "source_ip")];
    let of = Params::default().set("TargetGroupArn", group);
    of.each("Attributes", attributes, |params, at, (key, value)| {
        params.set(format!("{at}.Key"), key).set(format!("{at}.Value"), value)
    })
}

/// What is done.
pub fn action(params: Params, at: &str, action: &Action, arns: &BTreeMap<String, String>) -> Result<Params> {
    let arn =
        |name: &String| arns.get(name).ok_or_else(|| Error::internal(format!("target group {name} was not made")));
    Ok(match action {
        Action::Forward(groups) if groups.len() == 1 => {
            let name = groups.keys().next().map(arn).transpose()?;
            params.set(format!("{at}.Type"), "forward").set_some(&format!("{at}.TargetGroupArn"), name)
        }
        Action::Forward(groups) => {
            let mut params = params.set(format!("{at}.Type"), "forward");
            for (n, (name, weight)) in groups.iter().enumerate() {
                let one = format!("{at}.ForwardConfig.TargetGroups.member.{}", n + 1);
                params = params.set(format!("{one}.TargetGroupArn"), arn(name)?).set(format!("{one}.Weight"), weight);
            }
            params
        }
        Action::Fixed(status, kind, body) => {
            let part = |name: &str| format!("{at}.FixedResponseConfig.{name}");
            let body = Some(body).filter(|body| !body.is_empty());
            params
                .set(format!("{at}.Type"), "fixed-response")
                .set(part("StatusCode"), status)
                .set(part("ContentType"), kind)
                .set_some(&part("MessageBody"), body)
        }
        Action::Redirect { status, parts } => {
            let names = ["Protocol", "Host", "Port", "Path", "Query"];
            let params =
                params.set(format!("{at}.Type"), "redirect").set(format!("{at}.RedirectConfig.StatusCode"), status);
            names
                .iter()
                .zip(parts)
                .fold(params, |params, (name, value)| params.set(format!("{at}.RedirectConfig.{name}"), value))
        }
        Action::Other => return Err(Error::internal("an action that is nobody's wish")),
    })
}

/// What requests must be like.
pub fn condition(params: Params, at: &str, condition: &Condition) -> Params {
    let (field, config) = match condition {
        Condition::Hosts(_) => ("host-header", "HostHeaderConfig"),
        Condition::Paths(_) => ("path-pattern", "PathPatternConfig"),
        Condition::Methods(_) => ("http-request-method", "HttpRequestMethodConfig"),
        Condition::Sources(_) => ("source-ip", "SourceIpConfig"),
        Condition::Header(..) => ("http-header", "HttpHeaderConfig"),
        Condition::Query(_) => ("query-string", "QueryStringConfig"),
    };
    let params = params.set(format!("{at}.Field"), field);
    let values = format!("{at}.{config}.Values");
    match condition {
        Condition::Hosts(all) | Condition::Paths(all) | Condition::Methods(all) | Condition::Sources(all) => {
            params.list(&values, all)
        }
        Condition::Header(name, all) => params.set(format!("{at}.{config}.HttpHeaderName"), name).list(&values, all),
        Condition::Query(all) => params.each(&values, all, |params, at, (key, value)| {
            params
                .set_some(&format!("{at}.Key"), Some(key).filter(|key| !key.is_empty()))
                .set(format!("{at}.Value"), value)
        }),
    }
}
