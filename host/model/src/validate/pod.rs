//! Rules of `PodSpec`.

use std::collections::HashSet;

use serde_json::Value;

use super::container::{self, Place};
use super::{list, meta, named, names, not_found, not_negative, number, optional, resources, text};
use crate::defaults::priority_of;
use crate::order;
use crate::path::Path;
use crate::status::Cause;
use crate::ulimits;

/// What has a `PodSpec`: a pod without one would be a pod without containers.
pub(super) fn holder(path: &Path<'_>, value: &Value, causes: &mut Vec<Cause>) {
    if value.get("spec").is_none_or(Value::is_null) {
        causes.push(Cause::required(path.field("spec").field("containers"), ""));
    }
}

/// A pod's priority is its class's to say, as Kubernetes' admission plugin `Priority` has it.
pub(super) fn pod(path: &Path<'_>, value: &Value, causes: &mut Vec<Cause>) {
    holder(path, value, causes);
    let Some(spec) = value.get("spec") else { return };
    start_order(path, value, spec, causes);
    process_limits(path, value, spec, causes);
    let (Some(given), class) = (number(spec, "priority"), text(spec, "priorityClassName")) else { return };
    if priority_of(class) != Some(given) {
        let why =
            format!("must not be provided: the priority class {class:?} says it, and {given} is not what it says");
        causes.push(Cause::forbidden(path.field("spec").field("priority"), why));
    }
}

/// Who starts after whom, where an annotation says so.
fn start_order(path: &Path<'_>, value: &Value, spec: &Value, causes: &mut Vec<Cause>) {
    let names: Vec<&str> = list(spec, "containers").iter().map(|container| text(container, "name")).collect();
    if let Err(problem) = order::read(value).and_then(|order| order::check(&order, &names)) {
        let annotation = path.field("metadata");
        let annotation = annotation.field("annotations");
        let given = value.pointer("/metadata/annotations").and_then(|all| all.get(order::START_AFTER));
        causes.push(Cause::invalid(annotation.key(order::START_AFTER), given.unwrap_or(&Value::Null), problem));
    }
}

/// How much processes of containers may have, where an annotation says so.
fn process_limits(path: &Path<'_>, value: &Value, spec: &Value, causes: &mut Vec<Cause>) {
    let all = list(spec, "initContainers").iter().chain(list(spec, "containers"));
    let names: Vec<&str> = all.map(|container| text(container, "name")).collect();
    if let Err(problem) = ulimits::read(value).and_then(|limits| ulimits::check(&limits, &names)) {
        let annotation = path.field("metadata");
        let annotation = annotation.field("annotations");
        let given = value.pointer("/metadata/annotations").and_then(|all| all.get(ulimits::ULIMITS));
        causes.push(Cause::invalid(annotation.key(ulimits::ULIMITS), given.unwrap_or(&Value::Null), problem));
    }
}

/// Fields that are stored, and that nothing acts on.
pub(super) fn without_effect(path: &str, spec: &Value) -> Vec<String> {
    let mut out = Vec::new();
    let class = text(spec, "priorityClassName");
    if priority_of(class).is_none() {
        out.push(format!("{path}.priorityClassName: has no effect: no pod of this version goes before another"));
    }
    let mut note = |at: String, what: &str| out.push(format!("{at}: has no effect: nodes of this version {what}"));
    if spec.get("shareProcessNamespace") == Some(&Value::Bool(true)) {
        note(format!("{path}.shareProcessNamespace"), "give each container a process namespace of its own");
    }
    let mut context = |at: &str, context: Option<&Value>| {
        let Some(context) = context else { return };
        if context.get("seccompProfile").is_some_and(|profile| text(profile, "type") != "Unconfined") {
            note(format!("{at}.securityContext.seccompProfile"), "apply no seccomp profiles");
        }
        if context.get("appArmorProfile").is_some_and(|profile| text(profile, "type") != "Unconfined") {
            note(format!("{at}.securityContext.appArmorProfile"), "apply no AppArmor profiles");
        }
    };
    context(path, spec.get("securityContext"));
    for field in ["initContainers", "containers"] {
        for (n, container) in list(spec, field).iter().enumerate() {
            context(&format!("{path}.{field}[{n}]"), container.get("securityContext"));
        }
    }
    out
}

pub(super) fn spec(path: &Path<'_>, spec: &Value, causes: &mut Vec<Cause>) {
    let volumes = volumes(path, spec, causes);
    containers(path, spec, &volumes, causes);
    numbers(path, spec, causes);
    resources::overhead(path, spec, causes);
    optional(path, spec, "nodeName", names::dns_subdomain, causes);
    optional(path, spec, "serviceAccountName", names::dns_subdomain, causes);
    optional(path, spec, "priorityClassName", names::dns_subdomain, causes);
    optional(path, spec, "hostname", names::dns_label, causes);
    optional(path, spec, "subdomain", names::dns_label, causes);
    optional(path, spec, "schedulerName", names::qualified_name, causes);
    if let Some(map) = spec.get("nodeSelector").and_then(Value::as_object) {
        meta::labels(&path.field("nodeSelector"), map, causes);
    }
    dns(path, spec, causes);
    if !text(spec, "runtimeClassName").is_empty() {
        causes.push(not_found(path.field("runtimeClassName"), text(spec, "runtimeClassName")));
    }
    if spec.get("hostUsers") == Some(&Value::Bool(false)) {
        causes
            .push(Cause::forbidden(path.field("hostUsers"), "nodes of this version have no user namespaces for pods"));
    }
    let aliases = path.field("hostAliases");
    for (n, alias) in list(spec, "hostAliases").iter().enumerate() {
        if text(alias, "ip").parse::<std::net::IpAddr>().is_err() {
            let problem = "must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)";
            causes.push(Cause::invalid(aliases.index(n).field("ip"), &text(alias, "ip").into(), problem));
        }
    }
    let gates = path.field("readinessGates");
    for (n, gate) in list(spec, "readinessGates").iter().enumerate() {
        named(&gates.index(n), gate, "conditionType", names::qualified_name, causes);
    }
}

fn volumes<'a>(path: &Path<'_>, spec: &'a Value, causes: &mut Vec<Cause>) -> HashSet<&'a str> {
    let at = path.field("volumes");
    let mut seen = HashSet::new();
    for (n, volume) in list(spec, "volumes").iter().enumerate() {
        let name = text(volume, "name");
        if !name.is_empty() && !seen.insert(name) {
            causes.push(Cause::duplicate(at.index(n).field("name"), &name.into()));
        }
    }
    seen
}

fn containers(path: &Path<'_>, spec: &Value, volumes: &HashSet<&str>, causes: &mut Vec<Cause>) {
    if spec.get("containers").and_then(Value::as_array).is_some_and(Vec::is_empty) {
        causes.push(Cause::required(path.field("containers"), ""));
    }
    let mut seen = HashSet::new();
    let mut ports = HashSet::new();
    let host_network = spec.get("hostNetwork") == Some(&Value::Bool(true));
    for (field, init) in [("initContainers", true), ("containers", false), ("ephemeralContainers", false)] {
        let at = path.field(field);
        for (n, container) in list(spec, field).iter().enumerate() {
            let at = at.index(n);
            let name = text(container, "name");
            if !name.is_empty() && !seen.insert(name) {
                causes.push(Cause::duplicate(at.field("name"), &name.into()));
            }
            container::container(&at, container, Place { init, host_network, volumes }, causes);
            // Init containers are over before the others begin, so that only these can meet.
            if !init {
                container::host_ports(&at, container, &mut ports, causes);
            }
        }
    }
}

fn numbers(path: &Path<'_>, spec: &Value, causes: &mut Vec<Cause>) {
    not_negative(path, spec, "terminationGracePeriodSeconds", causes);
    if let Some(seconds) = number(spec, "activeDeadlineSeconds").filter(|n| !(1..=2_147_483_647).contains(n)) {
        let problem = "must be between 1 and 2147483647, inclusive";
        causes.push(Cause::invalid(path.field("activeDeadlineSeconds"), &seconds.into(), problem));
    }
}

fn dns(path: &Path<'_>, spec: &Value, causes: &mut Vec<Cause>) {
    let path = path.field("dnsConfig");
    let config = spec.get("dnsConfig").unwrap_or(&Value::Null);
    let servers = list(config, "nameservers");
    if text(spec, "dnsPolicy") == "None" && servers.is_empty() {
        let why = "must provide at least one DNS nameserver when `dnsPolicy` is None";
        causes.push(Cause::required(path.field("nameservers"), why));
    }
    let at = path.field("nameservers");
    for (n, server) in servers.iter().enumerate() {
        if server.as_str().is_none_or(|s| s.parse::<std::net::IpAddr>().is_err()) {
            let problem = "must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)";
            causes.push(Cause::invalid(at.index(n), server, problem));
        }
    }
    let at = path.field("searches");
    for (n, search) in list(config, "searches").iter().enumerate() {
        let name = search.as_str().unwrap_or_default();
        for problem in names::dns_subdomain(name.strip_suffix('.').unwrap_or(name)) {
            causes.push(Cause::invalid(at.index(n), search, problem));
        }
    }
}

/// Users and groups of pods and containers.
pub(super) fn security(path: &Path<'_>, context: &Value, causes: &mut Vec<Cause>) {
    for field in ["runAsUser", "runAsGroup", "fsGroup"] {
        if let Some(id) = number(context, field).filter(|n| !(0..=2_147_483_647).contains(n)) {
            causes.push(Cause::invalid(path.field(field), &id.into(), "must be between 0 and 2147483647, inclusive"));
        }
    }
    let on = |field: &str| context.get(field) == Some(&Value::Bool(true));
    if on("privileged") && context.get("allowPrivilegeEscalation") == Some(&Value::Bool(false)) {
        let problem = "cannot set `allowPrivilegeEscalation` to false and `privileged` to true";
        causes.push(Cause::invalid(*path, context, problem));
    }
}
