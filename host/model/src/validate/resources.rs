//! Rules of quantities and of what containers ask for.

use serde_json::Value;

use super::names;
use crate::path::Path;
use crate::quantity::Quantity;
use crate::status::Cause;

pub(super) fn quantity(path: &Path<'_>, value: &Value, causes: &mut Vec<Cause>) {
    if let Err(problem) = Quantity::from_json(value) {
        causes.push(Cause::invalid(*path, value, problem));
    }
}

/// What a pod costs beyond its containers.
pub(super) fn overhead(path: &Path<'_>, spec: &Value, causes: &mut Vec<Cause>) {
    let at = path.field("overhead");
    for (name, amount) in spec.get("overhead").and_then(Value::as_object).into_iter().flatten() {
        if Quantity::from_json(amount).is_ok_and(|quantity| quantity.is_negative()) {
            causes.push(Cause::invalid(at.key(name), amount, "must be greater than or equal to 0"));
        }
    }
}

/// Limits and requests.
pub(super) fn requirements(path: &Path<'_>, value: &Value, causes: &mut Vec<Cause>) {
    for part in ["limits", "requests"] {
        let at = path.field(part);
        for (name, amount) in value.get(part).and_then(Value::as_object).into_iter().flatten() {
            resource_name(&at, name, causes);
            let Ok(quantity) = Quantity::from_json(amount) else { continue };
            if quantity.is_negative() {
                causes.push(Cause::invalid(at.key(name), amount, "must be greater than or equal to 0"));
            } else if extended(name) && !quantity.is_whole() {
                causes.push(Cause::invalid(at.key(name), amount, "must be an integer"));
            }
        }
    }
    let limits = value.get("limits").and_then(Value::as_object);
    for (name, request) in value.get("requests").and_then(Value::as_object).into_iter().flatten() {
        let limit = limits.and_then(|l| l.get(name));
        let Some((asked, limit)) =
            limit.and_then(|l| Some((Quantity::from_json(request).ok()?, Quantity::from_json(l).ok()?)))
        else {
            continue;
        };
        let at = path.field("requests");
        if extended(name) && asked != limit {
            causes.push(Cause::invalid(at, request, format!("must be equal to {name} limit of {limit}")));
        } else if asked > limit {
            causes.push(Cause::invalid(at, request, format!("must be less than or equal to {name} limit of {limit}")));
        }
    }
}

/// Resources that belong to somebody: devices, licences.
fn extended(name: &str) -> bool {
    name.split_once('/').is_some_and(|(domain, _)| domain != "kubernetes.io" && !domain.ends_with(".kubernetes.io"))
}

fn resource_name(path: &Path<'_>, name: &str, causes: &mut Vec<Cause>) {
    for problem in names::qualified_name(name) {
        causes.push(Cause::invalid(path.key(name), &name.into(), problem));
    }
    let standard = ["cpu", "memory", "ephemeral-storage", "storage"].contains(&name) || name.starts_with("hugepages-");
    if !name.contains('/') && !standard {
        let problem = "must be a standard resource type or fully qualified";
        causes.push(Cause::invalid(path.key(name), &name.into(), problem));
    }
}
