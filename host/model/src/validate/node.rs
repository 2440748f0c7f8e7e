//! Rules of nodes and their leases.

use std::collections::HashSet;

use serde_json::Value;

use super::{list, named, names, number, text};
use crate::path::Path;
use crate::status::Cause;

pub(super) fn spec(path: &Path<'_>, spec: &Value, causes: &mut Vec<Cause>) {
    let at = path.field("taints");
    let mut seen = HashSet::new();
    for (n, taint) in list(spec, "taints").iter().enumerate() {
        let at = at.index(n);
        named(&at, taint, "key", names::qualified_name, causes);
        let value = text(taint, "value");
        let problems = names::label_value(value).into_iter();
        causes.extend(problems.map(|problem| Cause::invalid(at.field("value"), &value.into(), problem)));
        if !seen.insert((text(taint, "key"), text(taint, "effect"))) {
            causes.push(Cause::duplicate(at, taint));
        }
    }
}

pub(super) fn lease(path: &Path<'_>, spec: &Value, causes: &mut Vec<Cause>) {
    if let Some(seconds) = number(spec, "leaseDurationSeconds").filter(|n| *n <= 0) {
        causes.push(Cause::invalid(path.field("leaseDurationSeconds"), &seconds.into(), "must be greater than 0"));
    }
    if let Some(count) = number(spec, "leaseTransitions").filter(|n| *n < 0) {
        causes.push(Cause::invalid(
            path.field("leaseTransitions"),
            &count.into(),
            "must be greater than or equal to 0",
        ));
    }
}
