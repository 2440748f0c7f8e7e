//! What `kubectl get --watch` says, and when: a change is told of as it happens, and whoever measures a time does not
//! count the time of a question.

use std::io::{BufRead, BufReader};
use std::process::{Child, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::thread;
use std::time::Instant;

use anyhow::{Context, Result, bail};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::Kubectl;
use crate::suite::patience;

/// A kubectl that watches; it ends when this is dropped, or by itself as every kubectl of a test does.
pub struct Watch {
    child: Child,
    lines: Receiver<(Instant, String)>,
}

impl Watch {
    /// `get --watch` with these arguments, which say what a line is.
    pub fn start(kubectl: &Kubectl, args: &[&str]) -> Result<Self> {
        let mut command = kubectl.command(&[&["get", "--watch"], args].concat());
        let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().context("can't run kubectl")?;
        let output = child.stdout.take().context("no output")?;
        let (tell, lines) = mpsc::channel();
        thread::spawn(move || {
            for line in BufReader::new(output).lines().map_while(Result::ok) {
                // Nobody may listen any more.
                let _ = tell.send((Instant::now(), line));
            }
        });
        Ok(Self { child, lines })
    }

    /// Waits for such a line; gives when it came.
    pub fn until(&self, what: &str, wanted: impl Fn(&str) -> bool) -> Result<Instant> {
        let (deadline, mut seen) = (Instant::now() + patience(), Vec::new());
        loop {
            match self.lines.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
                Ok((when, line)) if wanted(&line) => return Ok(when),
                Ok((_, line)) => seen.push(line),
                Err(why) => bail!("watched for {what}: {why}; there were {seen:#?}"),
            }
        }
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        if let Ok(pid) = i32::try_from(self.child.id()) {
            // To `timeout`, which passes it on; it may have ended.
            let _ = kill(Pid::from_raw(pid), Signal::SIGTERM);
        }
        let _ = self.child.wait();
    }
}
