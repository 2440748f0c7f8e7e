//! A container's mounts.

use std::path::Path;

use serde_json::{Value, json};

use super::super::sandbox::Shared;
use crate::runtime::{ContainerSpec, Mount};

/// The system's, then the Pod's. A destination that the Pod takes is not the system's.
pub fn all(spec: &ContainerSpec, shared: &Shared) -> Vec<Value> {
    let taken = |destination: &str| spec.mounts.iter().any(|m| m.destination == Path::new(destination));
    let system = system(spec.security.privileged, spec.netns.is_none());
    let system = system.into_iter().filter(|(destination, _)| !taken(destination)).map(|(_, mount)| mount);
    let mut mounts: Vec<Value> = system.collect();
    if !taken("/dev/shm") {
        let source = if spec.host_ipc { Path::new("/dev/shm") } else { &shared.shm };
        mounts.push(bind(source, Path::new("/dev/shm"), false, "rprivate"));
    }
    // Inner ones after those that they lie in.
    let mut own: Vec<&Mount> = spec.mounts.iter().collect();
    own.sort_by_key(|m| m.destination.components().count());
    mounts.extend(own.into_iter().map(|m| bind(&m.source, &m.destination, m.read_only, m.propagation)));
    mounts
}

fn system(privileged: bool, host_network: bool) -> Vec<(&'static str, Value)> {
    let access = if privileged { "rw" } else { "ro" };
    let mount = |destination: &'static str, kind: &str, source: &str, options: &[&str]| {
        (destination, json!({"destination": destination, "type": kind, "source": source, "options": options}))
    };
    // Without a network namespace of its own the kernel may refuse a new sysfs: show the node's.
    let sys = match host_network {
        true => mount("/sys", "bind", "/sys", &["rbind", "nosuid", "noexec", "nodev", access]),
        false => mount("/sys", "sysfs", "sysfs", &["nosuid", "noexec", "nodev", access]),
    };
    vec![
        mount("/proc", "proc", "proc", &["nosuid", "noexec", "nodev"]),
        mount("/dev", "tmpfs", "tmpfs", &["nosuid", "strictatime", "mode=755", "size=65536k"]),
        mount(
            "/dev/pts",
            "devpts",
            "devpts",
            &["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5"],
        ),
        mount("/dev/mqueue", "mqueue", "mqueue", &["nosuid", "noexec", "nodev"]),
        sys,
        mount("/sys/fs/cgroup", "cgroup", "cgroup", &["nosuid", "noexec", "nodev", "relatime", access]),
    ]
}

fn bind(source: &Path, destination: &Path, read_only: bool, propagation: &str) -> Value {
    let propagation = if propagation.is_empty() { "rprivate" } else { propagation };
    let access = if read_only { "ro" } else { "rw" };
    json!({
        "destination": destination, "type": "bind", "source": source, "options": ["rbind", propagation, access],
    })
}

/// Mounts can only come in or go out through a root that lets them.
pub fn root_propagation(spec: &ContainerSpec) -> &'static str {
    let has = |wanted: &str| spec.mounts.iter().any(|m| m.propagation == wanted);
    match (has("rshared"), has("rslave")) {
        (true, _) => "rshared",
        (false, true) => "rslave",
        (false, false) => "private",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pod_s_mounts_come_last_and_take_precedence() {
        let mount = |destination: &str| Mount {
            source: "/x".into(),
            destination: destination.into(),
            read_only: false,
            propagation: "rslave",
        };
        let spec = ContainerSpec { mounts: vec![mount("/a/b"), mount("/a"), mount("/dev/shm")], ..Default::default() };
        let shared = Shared { ipc: "/i".into(), uts: "/u".into(), shm: "/s".into() };
        let all = all(&spec, &shared);
        let names: Vec<&str> = all.iter().map(|m| m["destination"].as_str().unwrap()).collect();
        assert_eq!(names.iter().filter(|n| **n == "/dev/shm").count(), 1);
        let at = |name| names.iter().position(|n| *n == name).unwrap();
        assert!(at("/a") < at("/a/b") && at("/dev") < at("/dev/shm"));
        assert_eq!(root_propagation(&spec), "rslave");
    }
}
