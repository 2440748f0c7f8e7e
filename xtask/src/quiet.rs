//! Keeps packages from starting their services while they are installed.
//!
//! Debian's maintainer scripts ask one file, at a place that nothing can change, and it must not stay in force when whoever
//! wrote it is interrupted or killed. So the file itself asks whether its writer lives, and allows everything once it does
//! not; a mark tells the next run that the file is ours.

use std::fs;
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process::id;

use anyhow::{Context, Result};

/// What `invoke-rc.d` and `deb-systemd-invoke` ask.
pub const POLICY: &str = "/usr/sbin/policy-rc.d";
const MARK: &str = "# Written by gantry's xtask, in force while its process lives: ";

/// While it is there, no service is started. Somebody else's policy is left as it is.
pub struct Quiet(Option<PathBuf>);

impl Quiet {
    pub fn services(policy: &Path) -> Result<Self> {
        remove_left(policy)?;
        let started = start_time(id()).context("can't read when this process was started")?;
        let file = fs::OpenOptions::new().write(true).create_new(true).mode(0o755).open(policy);
        match file.and_then(|mut file| file.write_all(script(id(), &started).as_bytes())) {
            Ok(()) => Ok(Self(Some(policy.to_owned()))),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(Self(None)),
            Err(error) => Err(error).with_context(|| format!("can't write {}", policy.display())),
        }
    }
}

impl Drop for Quiet {
    fn drop(&mut self) {
        if let Some(policy) = self.0.take() {
            // It has no effect any more once this process has ended.
            let _ = fs::remove_file(policy);
        }
    }
}

/// Removes what a run left that was interrupted.
pub fn remove_left(policy: &Path) -> Result<()> {
    let text = fs::read_to_string(policy).unwrap_or_default();
    let Some(writer) = text.lines().find_map(|line| line.strip_prefix(MARK)) else { return Ok(()) };
    let (id, started) = writer.split_once(' ').unwrap_or_default();
    let lives = id.parse().is_ok_and(|id| start_time(id).is_some_and(|now| now == started));
    if lives {
        return Ok(());
    }
    fs::remove_file(policy).with_context(|| format!("can't remove {}, left by an interrupted run", policy.display()))
}

/// 101: not allowed; 0: allowed.
fn script(id: u32, started: &str) -> String {
    format!(
        "#!/bin/sh\n{MARK}{id} {started}\n\
         now=$(sed 's/.*) //' /proc/{id}/stat 2>/dev/null | cut -d ' ' -f 20)\n\
         [ \"$now\" = {started} ] && exit 101\nexit 0\n"
    )
}

/// Field 22 of `/proc/PID/stat`: ids are used again.
fn start_time(id: u32) -> Option<String> {
    let stat = fs::read_to_string(format!("/proc/{id}/stat")).ok()?;
    let (_, fields) = stat.rsplit_once(") ")?;
    fields.split_whitespace().nth(19).map(str::to_owned)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::process::Command;

    use super::*;

    fn asked(policy: &Path) -> Option<i32> {
        Command::new("sh").arg(policy).args(["containerd", "start"]).status().unwrap().code()
    }

    /// An interrupted installation left a file that kept every later service from starting.
    #[test]
    fn services_are_kept_from_starting_only_while_the_writer_lives() {
        let policy = std::env::temp_dir().join(format!("gantry-policy-{}", id()));
        let quiet = Quiet::services(&policy).unwrap();
        assert_eq!(asked(&policy), Some(101));
        remove_left(&policy).unwrap();
        assert_eq!(asked(&policy), Some(101), "its writer lives");
        drop(quiet);
        assert!(!policy.exists());
        // Of a process that was killed, and of one whose id somebody else has now.
        for (id, started) in [(u32::MAX, "1".to_owned()), (id(), "1".to_owned())] {
            fs::write(&policy, script(id, &started)).unwrap();
            assert_eq!(asked(&policy), Some(0));
            let quiet = Quiet::services(&policy).unwrap();
            assert_eq!(asked(&policy), Some(101), "what was left is no obstacle");
            drop(quiet);
            assert!(!policy.exists());
        }
        fs::write(&policy, "#!/bin/sh\nexit 101\n").unwrap();
        drop(Quiet::services(&policy).unwrap());
        assert!(policy.exists(), "it is somebody else's");
        fs::remove_file(&policy).unwrap();
    }
}
