//! A process that may outlive whoever started it: known by its id and start time, never by its name.

use std::fs::{self, File};
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::wait_for;

/// A running process with its id file and log.
pub struct Process {
    name: String,
    pid: i32,
    started: String,
    child: Option<Child>,
    files: Files,
}

struct Files {
    id: PathBuf,
    log: PathBuf,
}

impl Files {
    fn of(dir: &Path, name: &str) -> Self {
        Self { id: dir.join(format!("{name}.pid")), log: dir.join(format!("{name}.log")) }
    }
}

impl Process {
    /// Starts `command` in a process group of its own, so that Ctrl-C on the terminal reaches only its starter.
    pub fn start(dir: &Path, name: &str, command: &mut Command) -> Result<Self> {
        fs::create_dir_all(dir).with_context(|| format!("can't make {}", dir.display()))?;
        let files = Files::of(dir, name);
        let log = File::options().create(true).append(true).open(&files.log)?;
        let child = command
            .process_group(0)
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .spawn()
            .with_context(|| format!("can't start {name}"))?;
        let pid = i32::try_from(child.id())?;
        let started = start_time(pid).unwrap_or_default();
        fs::write(&files.id, format!("{pid} {started}"))?;
        Ok(Self { name: name.to_owned(), pid, started, child: Some(child), files })
    }

    /// The process that an earlier `start` left running, if it still does.
    pub fn find(dir: &Path, name: &str) -> Option<Self> {
        let files = Files::of(dir, name);
        let text = fs::read_to_string(&files.id).ok()?;
        let (pid, started) = text.split_once(' ')?;
        let pid = pid.parse().ok()?;
        let found = Self { name: name.to_owned(), pid, started: started.to_owned(), child: None, files };
        found.is_alive().then_some(found)
    }

    pub fn pid(&self) -> i32 {
        self.pid
    }

    /// Not ended, and still the process that was started: ids are used again.
    pub fn is_alive(&self) -> bool {
        start_time(self.pid).is_some_and(|now| now == self.started)
    }

    /// Fails with the end of the log once the process has ended.
    pub fn check(&mut self) -> Result<()> {
        if let Some(child) = &mut self.child
            && let Some(status) = child.try_wait()?
        {
            bail!("{} ended ({status}); {}", self.name, self.log_end(30));
        }
        if !self.is_alive() {
            bail!("{} is not running; {}", self.name, self.log_end(30));
        }
        Ok(())
    }

    /// Where its log is and how it ends, to be shown below an error.
    pub fn log_end(&self, lines: usize) -> String {
        let (log, end) = (self.files.log.display(), self.log_tail(lines));
        match end.trim().is_empty() {
            true => format!("its log {log} is empty"),
            false => format!("the end of its log {log}:\n{end}"),
        }
    }

    /// The last lines of its log.
    pub fn log_tail(&self, lines: usize) -> String {
        let text = fs::read_to_string(&self.files.log).unwrap_or_default();
        let all: Vec<&str> = text.lines().collect();
        all.get(all.len().saturating_sub(lines)..).unwrap_or_default().join("\n")
    }

    /// SIGTERM, and SIGKILL once `patience` is over.
    pub fn stop(mut self, patience: Duration) -> Result<()> {
        self.signal(Signal::SIGTERM);
        if self.wait(patience).is_err() {
            self.signal(Signal::SIGKILL);
            self.wait(Duration::from_secs(10))?;
        }
        Ok(())
    }

    /// SIGKILL, as a crash would.
    pub fn crash(mut self) -> Result<()> {
        self.signal(Signal::SIGKILL);
        self.wait(Duration::from_secs(10))
    }

    /// SIGHUP: it is to read what it was configured with again.
    pub fn reload(&self) -> Result<()> {
        kill(Pid::from_raw(self.pid), Signal::SIGHUP).with_context(|| format!("can't signal {}", self.name))
    }

    fn signal(&self, signal: Signal) {
        if self.is_alive() {
            // It may end between the check and here; then there is nothing to do.
            let _ = kill(Pid::from_raw(self.pid), signal);
        }
    }

    fn wait(&mut self, patience: Duration) -> Result<()> {
        let name = self.name.clone();
        wait_for(&format!("{name} to end"), patience, || {
            // A killed process is a zombie before its last thread has ended: only its parent learns when it is over.
            let over = match &mut self.child {
                Some(child) => child.try_wait()?.is_some(),
                None => !self.is_alive(),
            };
            if !over { bail!("{} still runs as process {}", self.name, self.pid) } else { Ok(()) }
        })?;
        fs::remove_file(&self.files.id).or_else(|error| match error.kind() {
            std::io::ErrorKind::NotFound => Ok(()),
            _ => Err(error),
        })?;
        Ok(())
    }
}

/// Makes a folder for state, which may have secrets in it; closes one that is there to all but its owner.
pub fn make_private(dir: &Path) -> Result<()> {
    let made = fs::DirBuilder::new().recursive(true).mode(0o700).create(dir);
    made.and_then(|()| fs::set_permissions(dir, fs::Permissions::from_mode(0o700)))
        .with_context(|| format!("can't make {}", dir.display()))
}

/// Field 22 of `/proc/PID/stat`; none for a process that is gone or a zombie.
fn start_time(pid: i32) -> Option<String> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
    if fields.first() == Some(&"Z") {
        return None;
    }
    fields.get(19).map(|s| (*s).to_owned())
}
