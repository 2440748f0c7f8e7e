//! A container as it is shown inside its task.

use std::collections::BTreeMap;

use gantry_sdk::{Value, json};

use super::view::{View, known, set};
use crate::object::{items, text, texts};
use crate::operations::tasks;

/// One container.
pub fn shown(view: &View<'_>, index: usize) -> Value {
    let (state, defined) = (view.state(index), view.defined(index));
    let last = match (text(state, "lastStatus"), view.usage(index)) {
        // The node hears of a start before anybody else.
        ("" | "PENDING", Some(_)) => "RUNNING",
        ("", None) => "PENDING",
        (last, _) => last,
    };
    let mut shown = json!({
        "Name": view.name(index),
        "Labels": labels(view, index),
        "DesiredStatus": view.desired(),
        "KnownStatus": last,
        "Limits": limits(view, index),
        "Type": "NORMAL",
        "ContainerARN": tasks::container_arn(view.context, &view.task, view.name(index)),
    });
    let image = view.containers().get(index).and_then(|container| known(container, "image"));
    let id = view.runtime_id(index).map(|id| json!(id));
    set(&mut shown, "DockerId", id.clone());
    // The one name that a runtime knows it by.
    set(&mut shown, "DockerName", id);
    set(&mut shown, "Image", image);
    set(&mut shown, "ImageID", known(state, "imageDigest"));
    set(&mut shown, "ExitCode", state.get("exitCode").filter(|code| code.is_i64()).cloned());
    set(&mut shown, "StartedAt", known(state, "startedAt"));
    set(&mut shown, "Health", known(state, "healthStatus").map(|status| json!({"status": status})));
    set(&mut shown, "LogDriver", defined.pointer("/logConfiguration/logDriver").cloned());
    set(&mut shown, "LogOptions", defined.pointer("/logConfiguration/options").cloned());
    let ports = ports(view, index);
    set(&mut shown, "Ports", (!ports.is_empty()).then(|| json!(ports)));
    set(&mut shown, "Networks", networks(view).map(|network| json!([network])));
    shown
}

/// What ECS's agent gives every container, and the definition's own.
fn labels(view: &View<'_>, index: usize) -> BTreeMap<String, Value> {
    let own = view.defined(index).get("dockerLabels").and_then(Value::as_object).into_iter().flatten();
    let mut all: BTreeMap<String, Value> = own.map(|(key, value)| (key.clone(), value.clone())).collect();
    for (name, value) in [
        ("cluster", view.cluster().to_owned()),
        ("container-name", view.name(index).to_owned()),
        ("task-arn", view.task_arn()),
        ("task-definition-family", text(&view.task.spec, "family").to_owned()),
        ("task-definition-version", view.revision()),
    ] {
        all.insert(format!("com.amazonaws.ecs.{name}"), json!(value));
    }
    all
}

/// CPU units and MiB; 0 where there is no bound.
fn limits(view: &View<'_>, index: usize) -> Value {
    let overrides = view.task.spec.get("overrides").cloned().unwrap_or_default();
    let own = items(&overrides, "containerOverrides").iter().find(|own| text(own, "name") == view.name(index));
    let kept = view.containers().get(index);
    let of = |key: &str| {
        let kept = || kept?.get(key)?.as_str()?.parse().ok();
        own.and_then(|own| own.get(key)?.as_u64()).or_else(kept).unwrap_or(0_u64)
    };
    json!({"CPU": of("cpu"), "Memory": of("memory")})
}

fn ports(view: &View<'_>, index: usize) -> Vec<Value> {
    let Some(container) = view.containers().get(index) else { return Vec::new() };
    let one = |port: &Value| {
        let mut shown = json!({});
        for (from, to) in [("containerPort", "ContainerPort"), ("protocol", "Protocol"), ("hostPort", "HostPort")] {
            set(&mut shown, to, port.get(from).cloned());
        }
        shown
    };
    // A task with a network of its own has none of the node's.
    let open = match text(&view.task.spec, "networkMode") {
        "awsvpc" => items(container, "portMappings").to_vec(),
        _ => tasks::bindings(&view.task, container),
    };
    open.iter().map(one).collect()
}

fn networks(view: &View<'_>) -> Option<Value> {
    let mode = match text(&view.task.spec, "networkMode") {
        "" => "bridge",
        mode => mode,
    };
    let (six, four): (Vec<&str>, Vec<&str>) =
        texts(&view.task.status, "addresses").partition(|address| address.contains(':'));
    if four.is_empty() && six.is_empty() {
        return None;
    }
    let mut network = json!({"NetworkMode": mode});
    set(&mut network, "IPv4Addresses", (!four.is_empty()).then(|| json!(four)));
    set(&mut network, "IPv6Addresses", (!six.is_empty()).then(|| json!(six)));
    Some(network)
}
