//! Paths of rules.

use gantry_sdk::admission::Cause;
use gantry_sdk::json;

use crate::object::Path;

/// What may not stand in a path, and not at its end: servers do not agree on what it means.
const INSIDE: [&str; 5] = ["//", "/./", "/../", "%2f", "%2F"];
const AT_THE_END: [&str; 2] = ["/..", "/."];

/// Checks one path with its type.
pub fn check(field: &str, path: &Path, causes: &mut Vec<Cause>) {
    let value = json!(path.path);
    let mut wrong = |detail: String| causes.push(Cause::invalid(format!("{field}.path"), &value, detail));
    match path.path_type.as_str() {
        "Exact" | "Prefix" => {
            if !path.path.starts_with('/') {
                wrong("must be an absolute path".to_owned());
            }
            for part in INSIDE.iter().filter(|part| path.path.contains(*part)) {
                wrong(format!("must not contain '{part}'"));
            }
            for end in AT_THE_END.iter().filter(|end| path.path.ends_with(*end)) {
                wrong(format!("cannot end with '{end}'"));
            }
        }
        "ImplementationSpecific" if path.path.is_empty() || path.path.starts_with('/') => {}
        "ImplementationSpecific" => wrong("must be an absolute path".to_owned()),
        "" => causes.push(Cause::required(format!("{field}.pathType"), "pathType must be specified")),
        other => {
            let known = &["Exact", "ImplementationSpecific", "Prefix"];
            causes.push(Cause::not_supported(format!("{field}.pathType"), &json!(other), known));
        }
    }
}
