//! One node of a fleet.

use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use anyhow::{Result, bail};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::wire::{SERVER, Wire};
use super::{Options, PORT, folder, said};
use crate::{Process, containerd, left};

/// The table that keeps the server's packets away from a node that is cut off.
const CUT: &str = "fleet-cut";

/// A node: a namespace and an agent in it.
pub struct Node {
    number: usize,
    name: String,
    options: Options,
    wire: Wire,
}

impl Node {
    pub(super) fn new(number: usize, options: &Options) -> Self {
        let wire = Wire::of(&options.data);
        Self { number, name: format!("node-{number}"), options: options.clone(), wire }
    }

    /// Its name, also that of its Node.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// On the wire.
    pub fn address(&self) -> String {
        Wire::address(self.number)
    }

    /// What a program says in its network.
    pub fn within(&self, words: &[&str]) -> Result<String> {
        self.wire.within(self.number, words)
    }

    /// Its namespace.
    pub fn place(&self) -> PathBuf {
        self.wire.place(self.number)
    }

    /// `ctr` in its namespace of containerd.
    pub fn ctr(&self, arguments: &[&str]) -> Result<String> {
        let mut command = Command::new("ctr");
        command.arg("--address").arg(containerd::socket(&self.options.data));
        said(command.args(["--namespace", &self.name]).args(arguments))
    }

    pub(super) fn make(&self) -> Result<()> {
        self.wire.plug(self.number)
    }

    /// Starts its agent, without waiting for anything. The first time it joins with a token.
    pub fn start(&self) -> Result<Process> {
        self.must_be_dead()?;
        let Options { data, gantry, images, .. } = &self.options;
        let mut command = self.wire.command(self.number, gantry);
        let folder = folder(data, &self.name)?;
        command.arg("agent").arg("--data-dir").arg(&folder).args(["--node-name", &self.name]);
        if !folder.join("identity.pem").exists() {
            let token = folder.join("token");
            let mut create = Command::new(gantry);
            create.args(["token", "create", "--node", &self.name]).arg("--output").arg(&token);
            said(create.arg("--kubeconfig").arg(data.join("kubeconfig")))?;
            command.arg("--server").arg(format!("https://{SERVER}:{PORT}")).arg("--token").arg(token);
        }
        command.arg("--containerd").arg(containerd::socket(data)).args(["--containerd-namespace", &self.name]);
        command.args(&self.options.agent);
        for image in images {
            command.arg("--import").arg(image);
        }
        Process::start(data, &self.name, &mut command)
    }

    /// Where its agent keeps its state.
    pub(super) fn data(&self) -> PathBuf {
        self.options.data.join(&self.name)
    }

    pub(super) fn must_be_dead(&self) -> Result<()> {
        // Not only the one that was noted: another one would end as soon as it sees that its folder is in use.
        match left::processes(&[self.data()]).as_slice() {
            [] => Ok(()),
            running => bail!("{} runs already, as {}", self.name, running.join(", ")),
        }
    }

    /// Whether its agent runs.
    pub fn is_alive(&self) -> bool {
        Process::find(&self.options.data, &self.name).is_some()
    }

    /// Stops its agent in order; containers go on.
    pub fn stop(&self) -> Result<()> {
        Process::find(&self.options.data, &self.name).map_or(Ok(()), |agent| agent.stop(Duration::from_secs(20)))
    }

    /// Kills its agent as a crash would; containers go on.
    pub fn crash(&self) -> Result<()> {
        Process::find(&self.options.data, &self.name).map_or(Ok(()), Process::crash)
    }

    pub(super) fn cut(&self, from_all: bool) -> Result<()> {
        if from_all {
            return self.wire.connected(self.number, false);
        }
        self.within(&["nft", "add", "table", "ip", CUT])?;
        for (hook, field) in [("input", "saddr"), ("output", "daddr")] {
            let chain = format!("add chain ip {CUT} {hook} {{ type filter hook {hook} priority -400; }}");
            self.within(&["nft", &chain])?;
            self.within(&["nft", &format!("add rule ip {CUT} {hook} ip {field} {SERVER} drop")])?;
        }
        Ok(())
    }

    pub(super) fn heal(&self) -> Result<()> {
        self.wire.connected(self.number, true)?;
        let tables = self.within(&["nft", "list", "tables"])?;
        if tables.contains(CUT) {
            self.within(&["nft", "delete", "table", "ip", CUT])?;
        }
        Ok(())
    }

    pub(super) fn kill(&self) -> Result<()> {
        self.wire.connected(self.number, false)?;
        self.crash()?;
        for proxy in left::proxies(&[self.data()]) {
            // It may have ended meanwhile.
            let _ = kill(Pid::from_raw(proxy), Signal::SIGKILL);
        }
        for task in self.ctr(&["tasks", "list", "--quiet"])?.lines() {
            // It may have ended meanwhile.
            let _ = self.ctr(&["tasks", "kill", "--all", "--signal", "SIGKILL", task]);
        }
        Ok(())
    }

    /// Stops its agent, and removes everything of it.
    pub(super) fn end(&self) -> Result<()> {
        let Options { data, gantry, .. } = &self.options;
        let mut outcome = Ok(());
        if let Some(agent) = Process::find(data, &self.name) {
            outcome = agent.stop(Duration::from_secs(20));
        }
        if self.place().exists() && containerd::answers(&containerd::socket(data)) {
            let mut command = self.wire.command(self.number, gantry);
            command.arg("clean").arg("--data-dir").arg(data.join(&self.name));
            command.arg("--containerd").arg(containerd::socket(data)).args(["--containerd-namespace", &self.name]);
            outcome = outcome.and(said(&mut command).map(drop));
        }
        outcome.and(self.wire.unplug(self.number))
    }
}
