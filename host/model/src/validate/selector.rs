//! Rules of selectors.

use serde_json::Value;

use super::{list, meta, names, text};
use crate::path::Path;
use crate::status::Cause;

/// `metav1.LabelSelector`
pub(super) fn labels(path: &Path<'_>, selector: &Value, causes: &mut Vec<Cause>) {
    if let Some(map) = selector.get("matchLabels").and_then(Value::as_object) {
        meta::labels(&path.field("matchLabels"), map, causes);
    }
    let at = path.field("matchExpressions");
    for (n, term) in list(selector, "matchExpressions").iter().enumerate() {
        let at = at.index(n);
        match text(term, "operator") {
            "In" | "NotIn" => values(&at, term, "must be specified when `operator` is 'In' or 'NotIn'", causes),
            "Exists" | "DoesNotExist" => no_values(&at, term, causes),
            other => {
                causes.push(Cause::invalid(at.field("operator"), &other.into(), "not a valid selector operator"));
            }
        }
        key(&at, term, causes);
        let at = at.field("values");
        for (n, value) in list(term, "values").iter().enumerate() {
            let problems = names::label_value(value.as_str().unwrap_or_default()).into_iter();
            causes.extend(problems.map(|problem| Cause::invalid(at.index(n), value, problem)));
        }
    }
}

fn key(path: &Path<'_>, term: &Value, causes: &mut Vec<Cause>) {
    let problems = names::qualified_name(text(term, "key")).into_iter();
    causes.extend(problems.map(|problem| Cause::invalid(path.field("key"), &text(term, "key").into(), problem)));
}

fn values(path: &Path<'_>, term: &Value, why: &str, causes: &mut Vec<Cause>) {
    if list(term, "values").is_empty() {
        causes.push(Cause::required(path.field("values"), why));
    }
}

fn no_values(path: &Path<'_>, term: &Value, causes: &mut Vec<Cause>) {
    if !list(term, "values").is_empty() {
        let why = "may not be specified when `operator` is 'Exists' or 'DoesNotExist'";
        causes.push(Cause::forbidden(path.field("values"), why));
    }
}

/// `NodeSelector`
pub(super) fn node(path: &Path<'_>, selector: &Value, causes: &mut Vec<Cause>) {
    if list(selector, "nodeSelectorTerms").is_empty() {
        causes.push(Cause::required(path.field("nodeSelectorTerms"), "must have at least one node selector term"));
    }
}

/// `NodeSelectorTerm`
pub(super) fn node_term(path: &Path<'_>, term: &Value, causes: &mut Vec<Cause>) {
    let at = path.field("matchExpressions");
    for (n, term) in list(term, "matchExpressions").iter().enumerate() {
        let at = at.index(n);
        match text(term, "operator") {
            "In" | "NotIn" => values(&at, term, "must be specified when `operator` is 'In' or 'NotIn'", causes),
            "Exists" | "DoesNotExist" => no_values(&at, term, causes),
            "Gt" | "Lt" if list(term, "values").len() != 1 => {
                let why = "must be specified single value when `operator` is 'Lt' or 'Gt'";
                causes.push(Cause::required(at.field("values"), why));
            }
            _ => {}
        }
        key(&at, term, causes);
    }
    let at = path.field("matchFields");
    for (n, term) in list(term, "matchFields").iter().enumerate() {
        let at = at.index(n);
        if text(term, "key") != "metadata.name" {
            let value = Value::from(text(term, "key"));
            causes.push(Cause::invalid(at.field("key"), &value, "not a valid field selector key"));
        }
        if list(term, "values").len() != 1 {
            let why = "must be only one value when `operator` is 'In' or 'NotIn' for node field selector";
            causes.push(Cause::required(at.field("values"), why));
        }
    }
}
