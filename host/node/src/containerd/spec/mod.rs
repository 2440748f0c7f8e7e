//! The OCI runtime specification of a container.

mod capabilities;
mod devices;
mod mounts;

use serde_json::{Value, json};

use super::cgroup;
use super::known::Facts;
use super::sandbox::Shared;
use super::users::User;
use crate::runtime::{ContainerSpec, Limits};

/// The type of a spec in containerd's records.
pub const SPEC_TYPE: &str = "types.containerd.io/opencontainers/runtime-spec/1/Spec";
/// The type of a process to execute.
pub const PROCESS_TYPE: &str = "types.containerd.io/opencontainers/runtime-spec/1/Process";
/// Containers with the same value share a shim.
const SHIM_GROUP: &str = "io.containerd.runc.v2.group";

/// What `/proc` and `/sys` do not show.
const MASKED: [&str; 11] = [
    "/proc/acpi",
    "/proc/asound",
    "/proc/kcore",
    "/proc/keys",
    "/proc/latency_stats",
    "/proc/timer_list",
    "/proc/timer_stats",
    "/proc/sched_debug",
    "/proc/scsi",
    "/sys/firmware",
    "/sys/devices/virtual/powercap",
];
/// What they show but do not let be changed.
const READ_ONLY: [&str; 5] = ["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"];

/// The specification. No seccomp profile is set: a container may make every system call that its capabilities allow.
pub fn build(spec: &ContainerSpec, user: &User, shared: &Shared) -> Result<Value, String> {
    let privileged = spec.security.privileged;
    let mut linux = json!({
        "cgroupsPath": Facts::of(spec).cgroup,
        "namespaces": namespaces(spec, shared),
        "resources": resources(&spec.limits, privileged),
        "maskedPaths": if privileged { &[][..] } else { &MASKED[..] },
        "readonlyPaths": if privileged { &[][..] } else { &READ_ONLY[..] },
        "rootfsPropagation": mounts::root_propagation(spec),
    });
    put(&mut linux, "sysctl", (!spec.security.sysctls.is_empty()).then(|| json!(spec.security.sysctls)));
    put(&mut linux, "devices", privileged.then(|| json!(devices::of_the_node())));
    let mut out = json!({
        "ociVersion": "1.0.2",
        "process": process(spec, user)?,
        "root": {"path": "rootfs", "readonly": spec.security.read_only_root},
        "mounts": mounts::all(spec, shared),
        "annotations": {SHIM_GROUP: spec.sandbox},
        "linux": linux,
    });
    // On the node's own UTS namespace it would rename the node.
    let named = spec.netns.is_some() && !spec.hostname.is_empty();
    put(&mut out, "hostname", named.then(|| json!(spec.hostname)));
    Ok(out)
}

fn put(object: &mut Value, key: &str, value: Option<Value>) {
    if let (Some(object), Some(value)) = (object.as_object_mut(), value) {
        object.insert(key.to_owned(), value);
    }
}

fn process(spec: &ContainerSpec, user: &User) -> Result<Value, String> {
    let caps = capabilities::of(&spec.security)?;
    let mut env = spec.env.clone();
    if !env.iter().any(|e| e.starts_with("PATH=")) {
        env.insert(0, "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin".to_owned());
    }
    if spec.tty && !env.iter().any(|e| e.starts_with("TERM=")) {
        env.push("TERM=xterm".to_owned());
    }
    let mut process = json!({
        "terminal": spec.tty,
        "user": {"uid": user.uid, "gid": user.gid, "additionalGids": user.groups},
        "args": spec.args,
        "env": env,
        "cwd": if spec.working_dir.is_empty() { "/" } else { &spec.working_dir },
        "capabilities": {"bounding": caps, "effective": caps, "permitted": caps},
        "noNewPrivileges": !spec.security.allow_privilege_escalation && !spec.security.privileged,
    });
    put(&mut process, "rlimits", (!spec.ulimits.is_empty()).then(|| json!(rlimits(&spec.ulimits))));
    put(&mut process, "oomScoreAdj", spec.limits.oom_score_adj.map(|s| json!(allowed_oom_score(s))));
    Ok(process)
}

/// `RLIMIT_NOFILE` and so on.
fn rlimits(ulimits: &[(String, u64, u64)]) -> Vec<Value> {
    let one = |(name, soft, hard): &(String, u64, u64)| json!({"type": format!("RLIMIT_{}", name.to_ascii_uppercase()), "soft": soft, "hard": hard});
    ulimits.iter().map(one).collect()
}

/// A process without this capability can't protect another one better than it is protected itself, and the start would
/// fail. containerd and the agent are taken to have the same rights.
fn allowed_oom_score(wanted: i32) -> i32 {
    const SYS_RESOURCE: u64 = 1 << 24;
    let read = |file: &str| std::fs::read_to_string(format!("/proc/self/{file}")).ok();
    let status = read("status").unwrap_or_default();
    let effective = status.lines().find_map(|line| line.strip_prefix("CapEff:"));
    let effective = effective.and_then(|hex| u64::from_str_radix(hex.trim(), 16).ok());
    if effective.is_none_or(|bits| bits & SYS_RESOURCE != 0) {
        return wanted;
    }
    let own = read("oom_score_adj").and_then(|text| text.trim().parse().ok());
    own.map_or(wanted, |own: i32| wanted.max(own))
}

/// Shared ones by path; the process ids are each container's own.
fn namespaces(spec: &ContainerSpec, shared: &Shared) -> Vec<Value> {
    let mut namespaces = vec![json!({"type": "mount"})];
    if !spec.host_pid {
        namespaces.push(json!({"type": "pid"}));
    }
    if !spec.host_ipc {
        namespaces.push(json!({"type": "ipc", "path": shared.ipc}));
    }
    if let Some(path) = &spec.netns {
        namespaces.push(json!({"type": "network", "path": path}));
        namespaces.push(json!({"type": "uts", "path": shared.uts}));
    }
    if cgroup::is_unified() && !spec.security.privileged {
        namespaces.push(json!({"type": "cgroup"}));
    }
    namespaces
}

/// For version 1; runc converts for version 2.
fn resources(limits: &Limits, privileged: bool) -> Value {
    let mut cpu = json!({});
    put(&mut cpu, "shares", (limits.cpu_shares > 0).then(|| json!(limits.cpu_shares)));
    put(&mut cpu, "quota", limits.cpu_quota.map(|q| json!(q)));
    put(&mut cpu, "period", limits.cpu_period.map(|p| json!(p)));
    let mut memory = json!({});
    put(&mut memory, "limit", limits.memory.map(|m| json!(m)));
    // As much memory and swap together as memory: no swap.
    put(&mut memory, "swap", limits.memory.filter(|_| cgroup::counts_swap()).map(|m| json!(m)));
    let mut resources = json!({"cpu": cpu, "memory": memory, "devices": devices::rules(privileged)});
    put(&mut resources, "pids", limits.pids.map(|p| json!({"limit": p})));
    resources
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use oci_spec::runtime::Spec;

    use super::*;
    use crate::runtime::{Mount, Security};

    fn shared() -> Shared {
        Shared { ipc: "/s/ipc".into(), uts: "/s/uts".into(), shm: "/s/shm".into() }
    }

    fn container() -> ContainerSpec {
        ContainerSpec {
            id: "c1".into(),
            sandbox: "s1".into(),
            args: vec!["/bin/x".into()],
            hostname: "pod".into(),
            netns: Some(PathBuf::from("/n")),
            cgroup_parent: "gantry/pod1".into(),
            mounts: vec![Mount {
                source: "/a".into(),
                destination: "/b".into(),
                read_only: true,
                propagation: "rprivate",
            }],
            limits: Limits {
                cpu_shares: 512,
                cpu_quota: Some(50_000),
                cpu_period: Some(100_000),
                memory: Some(1 << 26),
                pids: Some(100),
                oom_score_adj: Some(-998),
            },
            ulimits: vec![("nofile".into(), 1024, 4096), ("core".into(), 0, u64::MAX)],
            security: Security { sysctls: [("net.a".into(), "1".into())].into(), ..Security::default() },
            ..ContainerSpec::default()
        }
    }

    /// Every member that we write must be one that the specification has: reading drops others.
    fn survives(ours: &Value, read: &Value, path: &str) {
        match (ours, read) {
            (Value::Object(a), Value::Object(b)) => {
                for (key, value) in a {
                    let empty =
                        value.as_array().is_some_and(Vec::is_empty) || value.as_object().is_some_and(|o| o.is_empty());
                    match b.get(key) {
                        Some(other) => survives(value, other, &format!("{path}.{key}")),
                        None => assert!(empty, "{path}.{key} is not in the specification"),
                    }
                }
            }
            (Value::Array(a), Value::Array(b))
                if path.ends_with("capabilities.bounding")
                    || path.ends_with("effective")
                    || path.ends_with("permitted") =>
            {
                assert_eq!(a.len(), b.len(), "{path}");
            }
            (Value::Array(a), Value::Array(b)) => {
                assert_eq!(a.len(), b.len(), "{path}");
                a.iter().zip(b).for_each(|(a, b)| survives(a, b, path));
            }
            _ => assert_eq!(ours, read, "{path}"),
        }
    }

    #[test]
    fn everything_written_is_in_the_specification() {
        let mut privileged = container();
        privileged.security.privileged = true;
        privileged.tty = true;
        for spec in [container(), privileged] {
            let ours = build(&spec, &User { uid: 1, gid: 2, groups: vec![2, 3] }, &shared()).unwrap();
            let typed: Spec = serde_json::from_value(ours.clone()).unwrap();
            survives(&ours, &serde_json::to_value(&typed).unwrap(), "");
        }
    }

    #[test]
    fn a_container_on_the_node_s_network_keeps_the_node_s_name() {
        let mut spec = container();
        let kinds = |v: &Value| -> Vec<String> {
            let list = v["linux"]["namespaces"].as_array().unwrap();
            list.iter().map(|n| n["type"].as_str().unwrap().to_owned()).collect()
        };
        let with = build(&spec, &User::default(), &shared()).unwrap();
        assert!(kinds(&with).contains(&"uts".to_owned()) && with["hostname"] == "pod");
        spec.netns = None;
        spec.host_pid = true;
        spec.host_ipc = true;
        let without = build(&spec, &User::default(), &shared()).unwrap();
        assert!(without.get("hostname").is_none());
        assert!(kinds(&without).iter().all(|k| !["uts", "network", "pid", "ipc"].contains(&k.as_str())));
    }
}
