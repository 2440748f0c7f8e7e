//! Reading cgroups directly: the same facts as containerd's metrics, without a call through the shim. Version 1 with a
//! folder a controller, or version 2.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::thread::sleep;
use std::time::Duration;

use crate::runtime::Usage;

const ROOT: &str = "/sys/fs/cgroup";
/// How often a cgroup that is not empty is tried, and the pause in between: what was just killed takes a moment to leave.
const TRIES: u32 = 10;
const PAUSE: Duration = Duration::from_millis(50);

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

/// Removes a cgroup from every hierarchy, with all below it. Fails after a moment while processes are in it; blocks until
/// then.
pub fn remove(cgroup: &str) -> io::Result<()> {
    let mut tries = TRIES;
    loop {
        let failed = places(cgroup).into_iter().find_map(|place| prune(&place).err().map(|error| (place, error)));
        tries = tries.saturating_sub(1);
        match failed {
            None => return Ok(()),
            Some(_) if tries > 0 => sleep(PAUSE),
            Some((place, error)) => {
                return Err(io::Error::new(error.kind(), format!("can't remove {}: {error}", place.display())));
            }
        }
    }
}

/// Removes a cgroup from every hierarchy where nothing is in it or below it.
pub fn remove_empty(cgroup: &str) {
    for place in places(cgroup) {
        // Fails for what is gone already, and for what others use.
        let _ = fs::remove_dir(place);
    }
}

/// A cgroup's folder in each hierarchy, whether it is there or not.
fn places(cgroup: &str) -> Vec<PathBuf> {
    let cgroup = cgroup.trim_matches('/');
    match (cgroup, is_unified()) {
        ("", _) => Vec::new(),
        (_, true) => vec![Path::new(ROOT).join(cgroup)],
        (_, false) => {
            let hierarchies = fs::read_dir(ROOT).into_iter().flatten().flatten();
            hierarchies.map(|hierarchy| hierarchy.path().join(cgroup)).collect()
        }
    }
}

/// Removes a cgroup's folder after those in it, which are left when a runtime was killed at the wrong moment.
fn prune(dir: &Path) -> io::Result<()> {
    let gone = |result: io::Result<()>| match result {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    };
    let Ok(entries) = fs::read_dir(dir) else { return gone(fs::remove_dir(dir)) };
    for entry in entries.flatten().filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir())) {
        prune(&entry.path())?;
    }
    gone(fs::remove_dir(dir))
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
