//! Rules of what decides where a pod goes.

use serde_json::Value;

use super::{names, number, text};
use crate::path::Path;
use crate::status::Cause;

pub(super) fn toleration(path: &Path<'_>, toleration: &Value, causes: &mut Vec<Cause>) {
    let (key, value) = (text(toleration, "key"), text(toleration, "value"));
    let (operator, effect) = (text(toleration, "operator"), text(toleration, "effect"));
    if !key.is_empty() {
        let problems = names::qualified_name(key).into_iter();
        causes.extend(problems.map(|problem| Cause::invalid(path.field("key"), &key.into(), problem)));
    } else if operator != "Exists" {
        let problem = "operator must be Exists when `key` is empty, which means \"match all values and all keys\"";
        causes.push(Cause::invalid(path.field("operator"), &operator.into(), problem));
    }
    if operator == "Exists" && !value.is_empty() {
        let problem = "value must be empty when `operator` is 'Exists'";
        causes.push(Cause::invalid(path.field("operator"), toleration, problem));
    } else {
        let problems = names::label_value(value).into_iter();
        causes.extend(problems.map(|problem| Cause::invalid(path.field("operator"), &value.into(), problem)));
    }
    if number(toleration, "tolerationSeconds").is_some() && effect != "NoExecute" {
        let problem = "effect must be 'NoExecute' when `tolerationSeconds` is set";
        causes.push(Cause::invalid(path.field("effect"), &effect.into(), problem));
    }
}

pub(super) fn spread(path: &Path<'_>, constraint: &Value, causes: &mut Vec<Cause>) {
    if let Some(skew) = number(constraint, "maxSkew").filter(|n| *n <= 0) {
        causes.push(Cause::invalid(path.field("maxSkew"), &skew.into(), "must be greater than zero"));
    }
    if let Some(domains) = number(constraint, "minDomains").filter(|n| *n <= 0) {
        causes.push(Cause::invalid(path.field("minDomains"), &domains.into(), "must be greater than zero"));
    }
    topology_key(path, constraint, causes);
}

fn topology_key(path: &Path<'_>, value: &Value, causes: &mut Vec<Cause>) {
    let Some(key) = value.get("topologyKey").and_then(Value::as_str) else { return };
    if key.is_empty() {
        causes.push(Cause::required(path.field("topologyKey"), "can not be empty"));
        return;
    }
    let problems = names::qualified_name(key).into_iter();
    causes.extend(problems.map(|problem| Cause::invalid(path.field("topologyKey"), &key.into(), problem)));
}

pub(super) fn pod_affinity_term(path: &Path<'_>, term: &Value, causes: &mut Vec<Cause>) {
    topology_key(path, term, causes);
}

pub(super) fn weight(path: &Path<'_>, term: &Value, causes: &mut Vec<Cause>) {
    if let Some(weight) = number(term, "weight").filter(|n| !(1..=100).contains(n)) {
        causes.push(Cause::invalid(path.field("weight"), &weight.into(), "must be in the range 1-100"));
    }
}

/// The highest priority that is not the system's own.
const HIGHEST: i64 = 1_000_000_000;

pub(super) fn priority_class(path: &Path<'_>, class: &Value, causes: &mut Vec<Cause>) {
    let name = class.get("metadata").map_or("", |m| text(m, "name"));
    let known = matches!(name, "system-node-critical" | "system-cluster-critical");
    if name.starts_with("system-") && !known {
        let why = "priority class names with 'system-' prefix are reserved for system use only";
        causes.push(Cause::forbidden(path.field("metadata").field("name"), why));
    }
    if !known && let Some(value) = number(class, "value").filter(|n| *n > HIGHEST) {
        let why = format!("maximum allowed value of a user defined priority is {HIGHEST}");
        causes.push(Cause::forbidden(path.field("value"), format!("{why}, not {value}")));
    }
}
