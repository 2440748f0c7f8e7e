//! Rules of containers, which depend on the pod around them.

use std::collections::HashSet;

use serde_json::Value;

use super::{list, named, names, not_found, number, optional, text};
use crate::path::Path;
use crate::status::Cause;

/// Where a container stands.
#[derive(Clone, Copy)]
pub(super) struct Place<'a> {
    pub(super) init: bool,
    pub(super) host_network: bool,
    pub(super) volumes: &'a HashSet<&'a str>,
}

pub(super) fn container(path: &Path<'_>, container: &Value, place: Place<'_>, causes: &mut Vec<Cause>) {
    named(path, container, "name", names::dns_label, causes);
    match text(container, "image") {
        "" => causes.push(Cause::required(path.field("image"), "")),
        image if image.trim() != image => {
            let problem = "must not have leading or trailing whitespace";
            causes.push(Cause::invalid(path.field("image"), &image.into(), problem));
        }
        _ => {}
    }
    ports(path, container, place, causes);
    environment(path, container, causes);
    mounts(path, container, place, causes);
    if place.init {
        init(path, container, causes);
    } else {
        if container.get("restartPolicy").is_some_and(|p| !p.is_null()) {
            causes.push(Cause::forbidden(path.field("restartPolicy"), "may not be set for non-init containers"));
        }
        once(path, container, &["livenessProbe", "startupProbe"], causes);
    }
}

/// Init containers have no probes and hooks, unless they keep running.
fn init(path: &Path<'_>, container: &Value, causes: &mut Vec<Cause>) {
    match text(container, "restartPolicy") {
        "" => {
            for field in ["lifecycle", "livenessProbe", "readinessProbe", "startupProbe"] {
                if container.get(field).is_some_and(|v| !v.is_null()) {
                    let why = "may not be set for init containers without restartPolicy=Always";
                    causes.push(Cause::forbidden(path.field(field), why));
                }
            }
        }
        "Always" => once(path, container, &["livenessProbe", "startupProbe"], causes),
        other => causes.push(Cause::not_supported(path.field("restartPolicy"), &other.into(), &["Always"])),
    }
}

/// These probes succeed by succeeding once.
fn once(path: &Path<'_>, container: &Value, probes: &[&str], causes: &mut Vec<Cause>) {
    for probe in probes {
        let threshold = container.get(probe).and_then(|p| number(p, "successThreshold"));
        if let Some(n) = threshold.filter(|n| *n != 1) {
            causes.push(Cause::invalid(path.field(probe).field("successThreshold"), &n.into(), "must be 1"));
        }
    }
}

fn ports(path: &Path<'_>, container: &Value, place: Place<'_>, causes: &mut Vec<Cause>) {
    let at = path.field("ports");
    let mut seen = HashSet::new();
    for (n, port) in list(container, "ports").iter().enumerate() {
        let at = at.index(n);
        optional(&at, port, "name", names::port_name, causes);
        let name = text(port, "name");
        if !name.is_empty() && !seen.insert(name) {
            causes.push(Cause::duplicate(at.field("name"), &name.into()));
        }
        let inside = number(port, "containerPort");
        if inside == Some(0) {
            causes.push(Cause::required(at.field("containerPort"), ""));
        }
        let outside = number(port, "hostPort").filter(|n| *n != 0);
        for (field, number) in [("containerPort", inside.filter(|n| *n != 0)), ("hostPort", outside)] {
            let Some(number) = number else { continue };
            let problems = names::port_number(number).into_iter();
            causes.extend(problems.map(|problem| Cause::invalid(at.field(field), &number.into(), problem)));
        }
        if place.host_network && outside != inside {
            let problem = "must match `hostPort` when `hostNetwork` is true";
            causes.push(Cause::invalid(at.field("containerPort"), &inside.unwrap_or(0).into(), problem));
        }
    }
}

/// No two containers of a pod take the same port of the node.
pub(super) fn host_ports(
    path: &Path<'_>,
    container: &Value,
    taken: &mut HashSet<(String, String, i64)>,
    causes: &mut Vec<Cause>,
) {
    let at = path.field("ports");
    for (n, port) in list(container, "ports").iter().enumerate() {
        let Some(number) = number(port, "hostPort").filter(|n| *n != 0) else { continue };
        let (protocol, address) = (text(port, "protocol").to_owned(), text(port, "hostIP").to_owned());
        let shown = format!("{protocol}/{address}/{number}");
        if !taken.insert((protocol, address, number)) {
            causes.push(Cause::duplicate(at.index(n).field("hostPort"), &shown.into()));
        }
    }
}

fn environment(path: &Path<'_>, container: &Value, causes: &mut Vec<Cause>) {
    let at = path.field("env");
    for (n, variable) in list(container, "env").iter().enumerate() {
        let at = at.index(n);
        named(&at, variable, "name", names::env_name, causes);
        let Some(from) = variable.get("valueFrom").and_then(Value::as_object) else { continue };
        let sources = from.values().filter(|v| !v.is_null()).count();
        let shown = Value::from("");
        if !text(variable, "value").is_empty() {
            let problem = "may not be specified when `value` is not empty";
            causes.push(Cause::invalid(at.field("valueFrom"), &shown, problem));
        } else if sources == 0 {
            let problem = "must specify one of: `fieldRef`, `resourceFieldRef`, `configMapKeyRef` or `secretKeyRef`";
            causes.push(Cause::invalid(at.field("valueFrom"), &shown, problem));
        } else if sources > 1 {
            let problem = "may not have more than one field specified at a time";
            causes.push(Cause::invalid(at.field("valueFrom"), &shown, problem));
        }
    }
    let at = path.field("envFrom");
    for (n, from) in list(container, "envFrom").iter().enumerate() {
        let sources = ["configMapRef", "secretRef"].iter().filter(|s| from.get(**s).is_some_and(|v| !v.is_null()));
        let problem = match sources.count() {
            0 => "must specify one of: `configMapRef` or `secretRef`",
            1 => continue,
            _ => "may not have more than one field specified at a time",
        };
        causes.push(Cause::invalid(at.index(n), &Value::from(""), problem));
    }
}

fn mounts(path: &Path<'_>, container: &Value, place: Place<'_>, causes: &mut Vec<Cause>) {
    let at = path.field("volumeMounts");
    let mut seen = HashSet::new();
    for (n, mount) in list(container, "volumeMounts").iter().enumerate() {
        let at = at.index(n);
        let (name, target) = (text(mount, "name"), text(mount, "mountPath"));
        if name.is_empty() && mount.get("name").is_some() {
            causes.push(Cause::required(at.field("name"), ""));
        } else if !name.is_empty() && !place.volumes.contains(name) {
            causes.push(not_found(at.field("name"), name));
        }
        if target.is_empty() && mount.get("mountPath").is_some() {
            causes.push(Cause::required(at.field("mountPath"), ""));
        }
        if target.contains(':') {
            causes.push(Cause::invalid(at.field("mountPath"), &target.into(), "must not contain ':'"));
        }
        if !target.is_empty() && !seen.insert(target) {
            causes.push(Cause::invalid(at.field("mountPath"), &target.into(), "must be unique"));
        }
        for field in ["subPath", "subPathExpr"] {
            super::volume::relative(&at, mount, field, causes);
        }
        if !text(mount, "subPath").is_empty() && !text(mount, "subPathExpr").is_empty() {
            let value = Value::from(text(mount, "subPathExpr"));
            causes.push(Cause::invalid(
                at.field("subPathExpr"),
                &value,
                "subPathExpr and subPath are mutually exclusive",
            ));
        }
    }
}
