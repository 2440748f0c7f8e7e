//! A task as its containers see it.

use std::collections::BTreeMap;

use gantry_sdk::{Value, json};

use super::container;
use super::view::{View, known, set};
use crate::object::{items, text};
use crate::operations::run::SERVICE;

/// CPU units of a CPU.
const UNITS: f64 = 1024.0;

/// The task with all its containers. With `tags` its tags too; instances have none here.
pub fn shown(view: &View<'_>, tags: bool) -> Value {
    let (spec, status) = (&view.task.spec, &view.task.status);
    let last = match text(status, "lastStatus") {
        "" => "PROVISIONING",
        last => last,
    };
    let containers: Vec<Value> = (0..view.containers().len()).map(|index| container::shown(view, index)).collect();
    let mut shown = json!({
        "Cluster": view.cluster(),
        "TaskARN": view.task_arn(),
        "Family": text(spec, "family"),
        "Revision": view.revision(),
        "DesiredStatus": view.desired(),
        "KnownStatus": last,
        "Containers": containers,
    });
    set(&mut shown, "LaunchType", known(spec, "launchType"));
    set(&mut shown, "ServiceName", text(spec, "group").strip_prefix(SERVICE).map(|name| json!(name)));
    set(&mut shown, "AvailabilityZone", Some(&view.zone).filter(|zone| !zone.is_empty()).map(|zone| json!(zone)));
    set(&mut shown, "ExecutionStoppedAt", known(status, "stoppingAt"));
    set(&mut shown, "Limits", limits(view));
    if tags {
        let tags = items(spec, "tags").iter().map(|tag| (text(tag, "key"), text(tag, "value")));
        set(&mut shown, "TaskTags", Some(json!(tags.collect::<BTreeMap<_, _>>())));
    }
    shown
}

/// CPUs and MiB of the task itself, where it has such.
fn limits(view: &View<'_>) -> Option<Value> {
    let overrides = view.task.spec.get("overrides").cloned().unwrap_or_default();
    let of = |key: &str| {
        let said = [&overrides, &view.definition].into_iter().map(|from| text(from, key)).find(|text| !text.is_empty());
        said.and_then(|text| text.parse::<u32>().ok())
    };
    let mut limits = json!({});
    set(&mut limits, "CPU", of("cpu").map(|units| json!(f64::from(units) / UNITS)));
    set(&mut limits, "Memory", of("memory").map(|mebibytes| json!(mebibytes)));
    limits.as_object().is_some_and(|limits| !limits.is_empty()).then_some(limits)
}
