//! cgroups directly. What containers use is the same as in containerd's metrics, without a call through the shim; and pods
//! have a cgroup around those that runc makes. Version 1 with a folder a controller, or version 2.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::thread::sleep;
use std::time::Duration;

use crate::runtime::{Limits, Usage};

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

/// Makes a cgroup with a weight and limits of CPU and memory. Those below it share them.
pub fn limit(cgroup: &str, limits: &Limits) -> io::Result<()> {
    if is_unified() {
        delegate(cgroup)?;
    }
    for (controller, file, value) in settings(is_unified(), limits) {
        let dir = dir(controller, cgroup);
        let named = |error: io::Error| io::Error::new(error.kind(), format!("{}: {error}", dir.join(file).display()));
        fs::create_dir_all(&dir).map_err(named)?;
        fs::write(dir.join(file), value).map_err(named)?;
    }
    Ok(())
}

/// Version 2 gives a cgroup the files of those controllers that all above it pass on.
fn delegate(cgroup: &str) -> io::Result<()> {
    let mut dir = PathBuf::from(ROOT);
    for part in cgroup.trim_matches('/').split('/') {
        fs::write(dir.join("cgroup.subtree_control"), "+cpu +memory")?;
        dir.push(part);
        fs::create_dir_all(&dir)?;
    }
    Ok(())
}

/// Controller, file and value. The period comes before the quota, which is of it.
fn settings(unified: bool, limits: &Limits) -> Vec<(&'static str, &'static str, String)> {
    let mut out = Vec::new();
    let shares = limits.cpu_shares;
    let quota = limits.cpu_quota.zip(limits.cpu_period);
    if unified {
        // 2 to 262,144 become 1 to 10,000, as runc does it.
        let weight = || 1 + shares.saturating_sub(2).saturating_mul(9999) / 262_142;
        out.extend((shares > 0).then(|| ("cpu", "cpu.weight", weight().to_string())));
        out.extend(quota.map(|(quota, period)| ("cpu", "cpu.max", format!("{quota} {period}"))));
        out.extend(limits.memory.map(|bytes| ("memory", "memory.max", bytes.to_string())));
        return out;
    }
    out.extend((shares > 0).then(|| ("cpu", "cpu.shares", shares.to_string())));
    if let Some((quota, period)) = quota {
        out.push(("cpu", "cpu.cfs_period_us", period.to_string()));
        out.push(("cpu", "cpu.cfs_quota_us", quota.to_string()));
    }
    out.extend(limits.memory.map(|bytes| ("memory", "memory.limit_in_bytes", bytes.to_string())));
    out
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
    fn a_pods_settings_are_those_of_the_version() {
        let all = Limits {
            cpu_shares: 1024,
            cpu_quota: Some(50_000),
            cpu_period: Some(100_000),
            memory: Some(1 << 20),
            ..Limits::default()
        };
        let shown = |unified, limits: &Limits| -> Vec<String> {
            settings(unified, limits).iter().map(|(_, file, value)| format!("{file}={value}")).collect()
        };
        let old =
            ["cpu.shares=1024", "cpu.cfs_period_us=100000", "cpu.cfs_quota_us=50000", "memory.limit_in_bytes=1048576"];
        assert_eq!(shown(false, &all), old);
        assert_eq!(shown(true, &all), ["cpu.weight=39", "cpu.max=50000 100000", "memory.max=1048576"]);
        for (shares, weight) in [(2, 1), (262_144, 10_000)] {
            let limits = Limits { cpu_shares: shares, ..Limits::default() };
            assert_eq!(shown(true, &limits), [format!("cpu.weight={weight}")]);
        }
        assert!(settings(false, &Limits::default()).is_empty());
    }

    #[test]
    fn fields_are_found_by_their_whole_name() {
        let text = "oom_kill_disable 0\nunder_oom 0\noom_kill 3\n";
        assert_eq!(field(text, "oom_kill"), Some(3));
        assert_eq!(field(text, "oom"), None);
        assert_eq!(usage("no/such/cgroup"), None);
        assert_eq!(oom_kills("no/such/cgroup"), 0);
    }
}
