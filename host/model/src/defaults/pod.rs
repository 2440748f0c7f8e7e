//! Defaults of pods and of templates of pods.

use serde_json::{Map, Value, json};

use super::{object, put};

/// What only a pod itself has, and a template has not.
pub(super) fn pod(pod: &mut Map<String, Value>) {
    if let Some(spec) = pod.get_mut("spec").and_then(Value::as_object_mut) {
        service_account(spec);
        put(spec, "serviceAccountName", "default");
        put(spec, "serviceAccount", "default");
        priority(spec);
    }
    let class = quality(pod.get("spec").unwrap_or(&Value::Null));
    if let Some(status) = object(pod, "status") {
        put(status, "phase", "Pending");
        put(status, "qosClass", class);
    }
}

fn priority(spec: &mut Map<String, Value>) {
    let class = spec.get("priorityClassName").and_then(Value::as_str).unwrap_or_default();
    if let Some(priority) = priority_of(class) {
        put(spec, "priority", priority);
        put(spec, "preemptionPolicy", "PreemptLowerPriority");
    }
}

/// The priority of pods of a class, where it is known without looking at PriorityClass objects.
pub(crate) fn priority_of(class: &str) -> Option<i64> {
    match class {
        "" => Some(0),
        "system-cluster-critical" => Some(2_000_000_000),
        "system-node-critical" => Some(2_000_001_000),
        _ => None,
    }
}

/// `serviceAccount` is the old name of `serviceAccountName`; both are always said.
fn service_account(spec: &mut Map<String, Value>) {
    for (from, to) in [("serviceAccountName", "serviceAccount"), ("serviceAccount", "serviceAccountName")] {
        if let Some(name) = spec.get(from).filter(|v| v.as_str().is_some_and(|s| !s.is_empty())).cloned() {
            put(spec, to, name);
        }
    }
}

pub(super) fn spec(spec: &mut Map<String, Value>) {
    service_account(spec);
    if spec.get("hostNetwork") != Some(&Value::Bool(true)) {
        return;
    }
    for list in ["containers", "initContainers"] {
        let containers = spec.get_mut(list).and_then(Value::as_array_mut).into_iter().flatten();
        let ports = containers.filter_map(|c| c.get_mut("ports")?.as_array_mut()).flatten();
        for port in ports.filter_map(Value::as_object_mut) {
            if let Some(number) = port.get("containerPort").cloned() {
                put(port, "hostPort", number);
            }
        }
    }
}

pub(super) fn container(container: &mut Map<String, Value>) {
    let Some(image) = container.get("image").and_then(Value::as_str) else { return };
    let policy = if moves(image) { "Always" } else { "IfNotPresent" };
    put(container, "imagePullPolicy", policy);
}

/// Whether the image is `latest`, said or not.
fn moves(image: &str) -> bool {
    if image.contains('@') {
        return false;
    }
    // A colon before the last slash is a registry's port.
    match image.rsplit('/').next().unwrap_or(image).split_once(':') {
        Some((_, tag)) => tag == "latest",
        None => true,
    }
}

/// A limit without a request is a request, too.
pub(super) fn resources(resources: &mut Map<String, Value>) {
    let Some(limits) = resources.get("limits").and_then(Value::as_object).cloned() else { return };
    if limits.is_empty() {
        return;
    }
    if let Some(requests) = object(resources, "requests") {
        for (name, limit) in limits {
            requests.entry(name).or_insert(limit);
        }
    }
}

/// A volume without a source is an empty directory.
pub(super) fn volume(volume: &mut Map<String, Value>) {
    if !volume.iter().any(|(name, source)| name != "name" && !source.is_null()) {
        volume.insert("emptyDir".to_owned(), json!({}));
    }
}

const COUNTED: [&str; 2] = ["cpu", "memory"];

/// The class that decides who is evicted first. Requests that limits stand for are filled in later than this runs.
fn quality(spec: &Value) -> &'static str {
    let list = |name: &str| spec.get(name).and_then(Value::as_array).into_iter().flatten();
    let amount = |container: &Value, part: &str, name: &str| {
        let amount = container.get("resources")?.get(part)?.get(name)?;
        crate::quantity::Quantity::from_json(amount).ok().filter(|q| !q.is_zero())
    };
    let (mut any, mut all) = (false, true);
    for container in list("containers").chain(list("initContainers")) {
        for name in COUNTED {
            let limit = amount(container, "limits", name);
            let request = amount(container, "requests", name).or(limit);
            any |= limit.is_some() || request.is_some();
            all &= limit.is_some() && limit == request;
        }
    }
    match (any, all) {
        (false, _) => "BestEffort",
        (true, true) => "Guaranteed",
        (true, false) => "Burstable",
    }
}
