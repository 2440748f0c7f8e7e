//! A server and an agent as processes of their own, with one containerd: what two machines have, on one.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use serde_json::{Value, json};

use crate::kubectl::to_test_with;
use crate::stack::Options;
use crate::suite::{options, patience, starting};
use crate::{Case, Kubectl, Process, containerd, netns, wait_for};

/// Each test has a network of its own, so this port is free; it stays the same when the server starts again.
const LISTEN: &str = "127.0.0.1:6443";
const NODE: &str = "apart";

/// A running server and agent. Stops what runs when it is dropped.
pub struct Pair {
    options: Options,
    containerd: Option<Process>,
    server: Option<Process>,
    agent: Option<Process>,
}

impl Pair {
    /// Starts both, and waits until the node is ready. This thread enters a network of its own.
    pub fn start(name: &str) -> Result<Self> {
        netns::enter()?;
        let options = options(name)?;
        let mut pair = Self { options, containerd: None, server: None, agent: None };
        for part in ["server", "agent"] {
            fs::create_dir_all(pair.data(part))?;
            let cache = pair.options.data.join("cache");
            if cache.exists() {
                std::os::unix::fs::symlink(cache, pair.data(part).join("cache"))?;
            }
        }
        pair.containerd = Some(containerd::start(&pair.options.data)?);
        let started = pair.start_server().and_then(|()| pair.start_agent());
        started.with_context(|| pair.logs())?;
        Ok(pair)
    }

    /// Where a part keeps its state.
    pub fn data(&self, part: &str) -> PathBuf {
        self.options.data.join(part)
    }

    pub fn kubeconfig(&self) -> PathBuf {
        self.options.data.join("kubeconfig")
    }

    pub fn kubectl(&self) -> Kubectl {
        Kubectl::newest(&self.kubeconfig())
    }

    /// A namespace, and the newest kubectl for it.
    pub fn case(&self, name: &str) -> Result<Case> {
        let (version, binary) = to_test_with()?.pop_last().context("there is no kubectl on this machine")?;
        Case::new(name, &Kubectl::new(version, binary, &self.kubeconfig()))
    }

    /// Starts the server, and waits until it answers.
    pub fn start_server(&mut self) -> Result<()> {
        self.start_server_with(&[])
    }

    /// The same with more arguments.
    pub fn start_server_with(&mut self, more: &[&str]) -> Result<()> {
        let mut command = Command::new(&self.options.gantry);
        command.arg("server").arg("--data-dir").arg(self.data("server")).args(["--listen", LISTEN]);
        command.arg("--bundle").arg(&self.options.bundle).arg("--plugins").arg(&self.options.plugins);
        command.arg("--kubeconfig").arg(self.kubeconfig()).args(["--node-grace", "15"]).args(more);
        let server = self.server.insert(Process::start(&self.options.data, "server", &mut command)?);
        let kubectl = Kubectl::newest(&self.options.data.join("kubeconfig"));
        wait_for("the server to be ready", starting(), || {
            server.check()?;
            kubectl.run(&["get", "--raw", "/readyz"])
        })
        .map(drop)
    }

    /// Starts the agent without waiting for anything. The first time it joins with a token.
    pub fn launch_agent(&mut self) -> Result<()> {
        let mut command = Command::new(&self.options.gantry);
        command.arg("agent").arg("--data-dir").arg(self.data("agent"));
        command.args(["--node-name", NODE]).arg("--containerd").arg(self.socket());
        if !self.data("agent").join("identity.pem").exists() {
            let token = self.options.data.join("token");
            self.token(&["create", "--node", NODE, "--output", &token.to_string_lossy()])?;
            command.args(["--server", &format!("https://{LISTEN}")]).arg("--token").arg(token);
        }
        for image in &self.options.images {
            command.arg("--import").arg(image);
        }
        self.agent = Some(Process::start(&self.options.data, "agent", &mut command)?);
        Ok(())
    }

    /// `gantry token`, as the server's administrator.
    pub fn token(&self, args: &[&str]) -> Result<String> {
        let mut command = Command::new(&self.options.gantry);
        command.arg("token").args(args).arg("--kubeconfig").arg(self.kubeconfig());
        let output = command.output().context("can't run gantry token")?;
        ensure!(output.status.success(), "gantry token {args:?}: {}", String::from_utf8_lossy(&output.stderr));
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }

    /// Tries to join with a token, as a machine of this name without a runtime: what the agent says when it fails, or
    /// nothing when it has joined.
    pub fn try_to_join(&self, token: &Path, node: &str) -> Result<Option<String>> {
        let folder = self.options.data.join(format!("joining-{node}"));
        let mut command = Command::new("timeout");
        command.arg("60").arg(&self.options.gantry).arg("agent").arg("--data-dir").arg(&folder);
        command.args(["--server", &format!("https://{LISTEN}"), "--node-name", node]);
        command.arg("--token").arg(token).arg("--containerd").arg(self.options.data.join("no.sock"));
        let output = command.output().context("can't run gantry agent")?;
        if folder.join("identity.pem").exists() {
            return Ok(None);
        }
        ensure!(output.status.code() == Some(1), "an agent that can't join goes on: {output:?}");
        Ok(Some(String::from_utf8_lossy(&output.stderr).into_owned()))
    }

    /// Starts another agent with what the first one proves itself with, and waits until it says this.
    pub fn second_agent(&self, says: &str) -> Result<()> {
        let folder = self.options.data.join("second");
        fs::create_dir_all(&folder)?;
        for file in ["identity.pem", "server.json", "authority"] {
            fs::copy(self.data("agent").join(file), folder.join(file))?;
        }
        let mut command = Command::new(&self.options.gantry);
        command.arg("agent").arg("--data-dir").arg(&folder);
        command.args(["--node-name", NODE]).arg("--containerd").arg(self.socket());
        let mut agent = Process::start(&self.options.data, "second", &mut command)?;
        let said = wait_for("what the second agent says", patience(), || {
            agent.check()?;
            let log = agent.log_tail(100);
            ensure!(log.contains(says), "{log}");
            Ok(())
        });
        agent.stop(Duration::from_secs(20))?;
        fs::remove_dir_all(&folder)?;
        said
    }

    /// kubectl with the certificate of the node's agent.
    pub fn as_node(&self) -> Result<Kubectl> {
        let folder = self.data("agent");
        let known: Value = serde_json::from_slice(&fs::read(folder.join("server.json"))?)?;
        let authority = self.options.data.join("authority.pem");
        fs::write(&authority, known.get("authority").and_then(Value::as_str).context("no authority")?)?;
        let (identity, file) = (folder.join("identity.pem"), self.options.data.join("node.kubeconfig"));
        let text = json!({
            "apiVersion": "v1", "kind": "Config", "current-context": "node",
            "clusters": [{"name": "c", "cluster": {"server": format!("https://{LISTEN}"), "certificate-authority": authority}}],
            "users": [{"name": "u", "user": {"client-certificate": identity, "client-key": identity}}],
            "contexts": [{"name": "node", "context": {"cluster": "c", "user": "u"}}],
        });
        fs::write(&file, text.to_string())?;
        Ok(Kubectl::newest(&file))
    }

    /// The certificate that the agent has now.
    pub fn certificate(&self) -> Result<String> {
        Ok(fs::read_to_string(self.data("agent").join("identity.pem"))?)
    }

    /// Starts the agent, and waits until its node is ready.
    pub fn start_agent(&mut self) -> Result<()> {
        self.launch_agent()?;
        self.until_ready("True")
    }

    /// Waits until the node is ready, or is not.
    pub fn until_ready(&mut self, ready: &str) -> Result<()> {
        let kubectl = self.kubectl();
        let query = "jsonpath={.status.conditions[?(@.type==\"Ready\")].status}";
        let agent = &mut self.agent;
        wait_for(&format!("the node's Ready to be {ready}"), patience(), || {
            if let Some(agent) = agent {
                agent.check()?;
            }
            let found = kubectl.run(&["get", "node", NODE, "-o", query])?;
            let message = kubectl.run(&["get", "node", NODE, "-o", &query.replace("status}", "message}")])?;
            ensure!(found == ready, "Ready is {found:?}: {message}");
            Ok(())
        })
    }

    /// Kills the server as a crash would.
    pub fn crash_server(&mut self) -> Result<()> {
        self.server.take().map_or(Ok(()), Process::crash)
    }

    /// Kills the agent as a crash would.
    pub fn crash_agent(&mut self) -> Result<()> {
        self.agent.take().map_or(Ok(()), Process::crash)
    }

    /// The node's containerd.
    pub fn socket(&self) -> PathBuf {
        containerd::socket(&self.options.data)
    }

    /// `ctr` in the node's namespace.
    pub fn ctr(&self, args: &[&str]) -> Result<String> {
        let mut command = Command::new("ctr");
        command.arg("--address").arg(self.socket()).args(["--namespace", "gantry"]).args(args);
        let output = command.output().context("can't run ctr")?;
        ensure!(output.status.success(), "ctr {args:?}: {}", String::from_utf8_lossy(&output.stderr));
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }

    /// The ends of both logs.
    pub fn logs(&self) -> String {
        let tail = |name: &str, process: &Option<Process>| {
            let lines = process.as_ref().map(|process| process.log_tail(40)).unwrap_or_default();
            format!("the end of the {name}'s log:\n{lines}\n")
        };
        format!("{}{}", tail("server", &self.server), tail("agent", &self.agent))
    }

    /// Stops everything and removes what it left.
    pub fn stop(mut self) -> Result<()> {
        self.end()
    }

    /// What an earlier `start` left running in this data directory.
    pub fn find(options: Options) -> Option<Self> {
        let found = |name: &str| Process::find(&options.data, name);
        let (server, agent, containerd) = (found("server"), found("agent"), found("containerd"));
        let one_of_ours = server.is_some() || agent.is_some() || options.data.join("agent").is_dir();
        (one_of_ours && (server.is_some() || agent.is_some() || containerd.is_some())).then_some(Self {
            options,
            containerd,
            server,
            agent,
        })
    }

    /// Whatever fails, the rest is tried too.
    fn end(&mut self) -> Result<()> {
        let patience = Duration::from_secs(20);
        let mut outcome = Ok(());
        for process in [self.agent.take(), self.server.take()].into_iter().flatten() {
            outcome = outcome.and(process.stop(patience));
        }
        if let Some(containerd) = self.containerd.take() {
            outcome = outcome.and(self.clean(containerd.pid())).and(containerd.stop(patience));
            containerd::clean(&self.options.data);
        }
        if !self.options.data.exists() {
            return outcome;
        }
        if std::env::var_os("GANTRY_KEEP").is_some() {
            println!("kept {}", self.options.data.display());
            return outcome;
        }
        outcome.and(fs::remove_dir_all(&self.options.data).context("can't remove a pair's data directory"))
    }

    fn clean(&self, containerd: i32) -> Result<()> {
        let mut command = Command::new("nsenter");
        command.arg(format!("--net=/proc/{containerd}/ns/net")).arg(&self.options.gantry);
        command.arg("clean").arg("--data-dir").arg(self.data("agent")).arg("--containerd").arg(self.socket());
        let output = command.output().context("can't run gantry clean")?;
        if !output.status.success() {
            bail!("gantry clean failed: {}", String::from_utf8_lossy(&output.stderr));
        }
        Ok(())
    }
}

impl Drop for Pair {
    fn drop(&mut self) {
        if let Err(error) = self.end() {
            eprintln!("can't clean up: {error:#}");
        }
    }
}
