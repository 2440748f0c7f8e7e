//! Rules of probes and lifecycle hooks.

use serde_json::Value;

use super::{names, not_negative};
use crate::path::Path;
use crate::status::Cause;

pub(super) fn probe(path: &Path<'_>, probe: &Value, causes: &mut Vec<Cause>) {
    one_handler(path, probe, &["exec", "grpc", "httpGet", "tcpSocket"], causes);
    let fields = ["initialDelaySeconds", "timeoutSeconds", "periodSeconds", "successThreshold", "failureThreshold"];
    for field in fields {
        not_negative(path, probe, field, causes);
    }
    if let Some(seconds) = probe.get("terminationGracePeriodSeconds").and_then(Value::as_i64).filter(|n| *n <= 0) {
        let problem = "must be greater than 0";
        causes.push(Cause::invalid(path.field("terminationGracePeriodSeconds"), &seconds.into(), problem));
    }
}

pub(super) fn handler(path: &Path<'_>, handler: &Value, causes: &mut Vec<Cause>) {
    one_handler(path, handler, &["exec", "httpGet", "sleep", "tcpSocket"], causes);
}

fn one_handler(path: &Path<'_>, value: &Value, types: &[&str], causes: &mut Vec<Cause>) {
    let given: Vec<_> = types.iter().filter(|t| value.get(**t).is_some_and(|v| !v.is_null())).collect();
    if given.is_empty() {
        causes.push(Cause::required(*path, "must specify a handler type"));
    }
    for (n, type_) in given.into_iter().enumerate() {
        let at = path.field(type_);
        if n > 0 {
            causes.push(Cause::forbidden(at, "may not specify more than 1 handler type"));
            continue;
        }
        let handler = value.get(type_).unwrap_or(&Value::Null);
        match *type_ {
            "exec" if super::list(handler, "command").is_empty() => {
                causes.push(Cause::required(at.field("command"), ""));
            }
            "httpGet" | "tcpSocket" | "grpc" => port(&at, handler, causes),
            _ => {}
        }
    }
}

/// A port by number or by name.
fn port(path: &Path<'_>, handler: &Value, causes: &mut Vec<Cause>) {
    let Some(port) = handler.get("port") else { return };
    let problems = match (port.as_i64(), port.as_str()) {
        (Some(number), _) => names::port_number(number),
        (_, Some(name)) => names::port_name(name),
        _ => Vec::new(),
    };
    causes.extend(problems.into_iter().map(|problem| Cause::invalid(path.field("port"), port, problem)));
}
