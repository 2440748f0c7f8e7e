//! Which capabilities a container has.

use std::collections::BTreeSet;

use oci_spec::runtime::Capability;

use crate::runtime::Security;

/// What containers have by custom.
const DEFAULT: [&str; 14] = [
    "CHOWN",
    "DAC_OVERRIDE",
    "FSETID",
    "FOWNER",
    "MKNOD",
    "NET_RAW",
    "SETGID",
    "SETUID",
    "SETFCAP",
    "SETPCAP",
    "NET_BIND_SERVICE",
    "SYS_CHROOT",
    "KILL",
    "AUDIT_WRITE",
];

/// By their numbers in the kernel.
const ALL: [&str; 41] = [
    "CHOWN",
    "DAC_OVERRIDE",
    "DAC_READ_SEARCH",
    "FOWNER",
    "FSETID",
    "KILL",
    "SETGID",
    "SETUID",
    "SETPCAP",
    "LINUX_IMMUTABLE",
    "NET_BIND_SERVICE",
    "NET_BROADCAST",
    "NET_ADMIN",
    "NET_RAW",
    "IPC_LOCK",
    "IPC_OWNER",
    "SYS_MODULE",
    "SYS_RAWIO",
    "SYS_CHROOT",
    "SYS_PTRACE",
    "SYS_PACCT",
    "SYS_ADMIN",
    "SYS_BOOT",
    "SYS_NICE",
    "SYS_RESOURCE",
    "SYS_TIME",
    "SYS_TTY_CONFIG",
    "MKNOD",
    "LEASE",
    "AUDIT_WRITE",
    "AUDIT_CONTROL",
    "SETFCAP",
    "MAC_OVERRIDE",
    "MAC_ADMIN",
    "SYSLOG",
    "WAKE_ALARM",
    "BLOCK_SUSPEND",
    "AUDIT_READ",
    "PERFMON",
    "BPF",
    "CHECKPOINT_RESTORE",
];

/// Those that this kernel has.
fn all() -> impl Iterator<Item = &'static str> {
    let last = std::fs::read_to_string("/proc/sys/kernel/cap_last_cap").ok();
    let count = last.and_then(|l| l.trim().parse::<usize>().ok()).map_or(ALL.len(), |last| last + 1);
    ALL.into_iter().take(count)
}

/// Added first, dropped last, as Kubernetes has it: a name in both is dropped, but `ALL` in either gives way to names.
pub fn of(security: &Security) -> Result<Vec<String>, String> {
    let (add, drop) = (names(&security.add_capabilities)?, names(&security.drop_capabilities)?);
    let mut have: BTreeSet<String> = match security.privileged {
        true => all().map(str::to_owned).collect(),
        false => DEFAULT.iter().map(|n| (*n).to_owned()).collect(),
    };
    let is_all = |list: &[String]| list.iter().any(|n| n == "ALL");
    if is_all(&add) {
        have.extend(all().map(str::to_owned));
    }
    if is_all(&drop) && !security.privileged {
        have.clear();
    }
    have.extend(add.iter().filter(|n| *n != "ALL").cloned());
    if !security.privileged {
        have.retain(|n| !drop.contains(n));
    }
    Ok(have.into_iter().map(|n| format!("CAP_{n}")).collect())
}

fn names(given: &[String]) -> Result<Vec<String>, String> {
    let name = |text: &String| {
        let upper = text.to_uppercase();
        let name = upper.strip_prefix("CAP_").unwrap_or(&upper);
        let valid = name == "ALL" || name.parse::<Capability>().is_ok();
        if valid { Ok(name.to_owned()) } else { Err(format!("unknown capability {text:?}")) }
    };
    given.iter().map(name).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn capabilities_are_added_and_dropped() {
        let of = |add: &[&str], drop: &[&str]| {
            let own = |list: &[&str]| list.iter().map(|s| (*s).to_owned()).collect();
            let security = Security { add_capabilities: own(add), drop_capabilities: own(drop), ..Security::default() };
            super::of(&security)
        };
        let all = all().count();
        for (add, drop, count) in [
            (&[][..], &[][..], 14),
            (&["SYS_TIME"], &[], 15),
            (&["CAP_SYS_TIME", "chown"], &["KILL"], 14),
            (&[], &["ALL"], 0),
            (&["NET_BIND_SERVICE"], &["ALL"], 1),
            (&["ALL"], &[], all),
            (&["ALL"], &["SYS_ADMIN"], all - 1),
        ] {
            assert_eq!(of(add, drop).unwrap().len(), count, "{add:?} {drop:?}");
        }
        assert!(of(&["FLY"], &[]).unwrap_err().contains("FLY"));
        assert_eq!(super::of(&Security { privileged: true, ..Security::default() }).unwrap().len(), all);
    }
}
