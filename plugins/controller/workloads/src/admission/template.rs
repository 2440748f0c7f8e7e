//! The template of pods that are meant to run for ever.

use gantry_sdk::admission::Cause;
use gantry_sdk::api::LabelSelector;
use gantry_sdk::{Value, json};

use crate::replicaset::object::labels;

pub(super) fn check(template: &Value, selector: &LabelSelector, causes: &mut Vec<Cause>) {
    if !selector.is_empty() && !selector.matches(&labels(template)) {
        let shown = template.pointer("/metadata/labels").unwrap_or(&Value::Null);
        let detail = "`selector` does not match template `labels`";
        causes.push(Cause::invalid("spec.template.metadata.labels", shown, detail));
    }
    // The schema of a ReplicaSet asks for no template, since one that is absent has a meaning in old clients.
    if template.pointer("/spec/containers").is_none() {
        causes.push(Cause::required("spec.template.spec.containers", ""));
    }
    let restart = template.pointer("/spec/restartPolicy").and_then(Value::as_str).unwrap_or("Always");
    if restart != "Always" {
        causes.push(Cause::not_supported("spec.template.spec.restartPolicy", &json!(restart), &["Always"]));
    }
    if template.pointer("/spec/activeDeadlineSeconds").is_some_and(|seconds| !seconds.is_null()) {
        let detail = "activeDeadlineSeconds in ReplicaSet is not Supported";
        causes.push(Cause::forbidden("spec.template.spec.activeDeadlineSeconds", detail));
    }
}
