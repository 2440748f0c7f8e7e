//! A machine beside the node of a control plane under test.

use std::io::Read;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use anyhow::{Context, Result};

use crate::netns;
use crate::traffic::within;

/// Its address.
pub const ADDRESS: &str = "192.0.2.1";

/// The machine: a network namespace, which goes with this.
pub struct Outside {
    machine: Child,
}

impl Outside {
    /// Takes the other end of the node's link there.
    pub fn new() -> Result<Self> {
        let mut command = Command::new("unshare");
        command.args(["--net", "sh", "-c", "echo there; exec sleep 3600"]).stdout(Stdio::piped());
        let mut outside = Self { machine: command.spawn()? };
        let mut there = [0; 6];
        outside.machine.stdout.as_mut().context("no output")?.read_exact(&mut there)?;
        let pid = outside.machine.id();
        netns::ip(&format!("link set outside netns {pid}"))?;
        outside.within(|| {
            netns::ip("link set outside up")?;
            netns::ip(&format!("address add {ADDRESS}/24 dev outside"))
        })?;
        Ok(outside)
    }

    /// Does something there.
    pub fn within<T: Send>(&self, job: impl FnOnce() -> Result<T> + Send) -> Result<T> {
        within(&PathBuf::from(format!("/proc/{}/ns/net", self.machine.id())), job)
    }
}

impl Drop for Outside {
    fn drop(&mut self) {
        let _ = self.machine.kill();
        let _ = self.machine.wait();
    }
}
