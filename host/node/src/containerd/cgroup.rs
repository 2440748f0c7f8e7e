//! Reading cgroups directly: the same facts as containerd's metrics, without a call through the shim. Version 1 with a
//! folder a controller, or version 2.

use std::fs;
use std::path::{Path, PathBuf};

use crate::runtime::Usage;

const ROOT: &str = "/sys/fs/cgroup";

/// Whether the machine has only version 2.
pub fn is_unified() -> bool {
    Path::new(ROOT).join("cgroup.controllers").exists()
}

/// Whether swap is accounted, so that it can be forbidden.
pub fn counts_swap() -> bool {
    is_unified() || Path::new(ROOT).join("memory/memory.memsw.limit_in_bytes").exists()
}

/// A cgroup's folder; in version 1 that of one controller.
fn dir(controller: &str, cgroup: &str) -> PathBuf {
    let root = Path::new(ROOT);
    let root = if is_unified() { root.to_owned() } else { root.join(controller) };
    root.join(cgroup.trim_start_matches('/'))
}

/// How often the kernel killed for lack of memory; zero when the cgroup is gone.
pub fn oom_kills(cgroup: &str) -> u64 {
    let file = if is_unified() { "memory.events" } else { "memory.oom_control" };
    let text = fs::read_to_string(dir("memory", cgroup).join(file)).unwrap_or_default();
    field(&text, "oom_kill").unwrap_or_default()
}

/// What a cgroup uses. `None`: it is gone.
pub fn usage(cgroup: &str) -> Option<Usage> {
    if is_unified() {
        let dir = dir("", cgroup);
        let read = |file: &str| fs::read_to_string(dir.join(file)).ok();
        let cpu = field(&read("cpu.stat")?, "usage_usec")?;
        let (used, stat) = (number(&read("memory.current")?)?, read("memory.stat")?);
        let idle = field(&stat, "inactive_file").unwrap_or_default();
        return Some(Usage { cpu_nanos: cpu.saturating_mul(1000), memory: used.saturating_sub(idle) });
    }
    let cpu = number(&fs::read_to_string(dir("cpuacct", cgroup).join("cpuacct.usage")).ok()?)?;
    let memory = dir("memory", cgroup);
    let used = number(&fs::read_to_string(memory.join("memory.usage_in_bytes")).ok()?)?;
    let stat = fs::read_to_string(memory.join("memory.stat")).ok()?;
    let idle = field(&stat, "total_inactive_file").unwrap_or_default();
    Some(Usage { cpu_nanos: cpu, memory: used.saturating_sub(idle) })
}

/// Removes an empty cgroup from every hierarchy. One that is not empty stays.
pub fn remove(cgroup: &str) {
    let cgroup = cgroup.trim_matches('/');
    if cgroup.is_empty() {
        return;
    }
    // Fails for what is gone already.
    let _ = fs::remove_dir(Path::new(ROOT).join(cgroup));
    if is_unified() {
        return;
    }
    for hierarchy in fs::read_dir(ROOT).into_iter().flatten().flatten() {
        let _ = fs::remove_dir(hierarchy.path().join(cgroup));
    }
}

fn number(text: &str) -> Option<u64> {
    text.trim().parse().ok()
}

fn field(text: &str, name: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '))?;
    number(line)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_found_by_their_whole_name() {
        let text = "oom_kill_disable 0\nunder_oom 0\noom_kill 3\n";
        assert_eq!(field(text, "oom_kill"), Some(3));
        assert_eq!(field(text, "oom"), None);
        assert_eq!(usage("no/such/cgroup"), None);
        assert_eq!(oom_kills("no/such/cgroup"), 0);
    }
}
