//! The host under test: a process of its own, with a data directory of its own.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};
use std::{fs, io};

use anyhow::{Context, Result, bail};
use gantry_tests::{Process, containerd};

use crate::client::Target;

/// Long enough for a start that compiles all plugins on a busy machine.
const START: Duration = Duration::from_secs(120);
/// How often it is asked whether it is ready: little beside what is measured.
const ASK_EVERY: Duration = Duration::from_millis(2);
/// The order in which a process is asked to end, until it is killed.
const STOP: Duration = Duration::from_secs(20);

/// What was built.
pub struct Built {
    pub gantry: PathBuf,
    pub plugins: PathBuf,
    pub bundle: PathBuf,
    pub image: PathBuf,
}

impl Built {
    /// All of it lies in cargo's target folder, unless said otherwise.
    pub fn in_target(target: &Path, gantry: Option<PathBuf>, plugins: Option<PathBuf>, image: Option<PathBuf>) -> Self {
        let plugins = plugins.unwrap_or_else(|| target.join("plugins"));
        Self {
            gantry: gantry.unwrap_or_else(|| target.join("release/gantry")),
            bundle: plugins.join("kubernetes.toml"),
            image: image.unwrap_or_else(|| target.join("images/web.tar")),
            plugins,
        }
    }
}

/// A running host, stopped when it is dropped.
pub struct Host {
    process: Option<Process>,
    pid: i32,
    target: Target,
    /// From the start of the process to the first answer that it is ready.
    pub ready_after: Duration,
}

impl Host {
    /// Starts it and waits until `/readyz` answers, over TLS, that it is ready.
    pub async fn start(built: &Built, data: &Path, args: &[&str]) -> Result<Self> {
        let kubeconfig = data.join("kubeconfig");
        match fs::remove_file(&kubeconfig) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error.into()),
            _ => {}
        }
        let mut command = Command::new(&built.gantry);
        command.arg("up").arg("--data-dir").arg(data).arg("--listen").arg("127.0.0.1:0");
        command.arg("--bundle").arg(&built.bundle).arg("--plugins").arg(&built.plugins).args(args);
        let begun = Instant::now();
        let process = Process::start(data, "gantry", &mut command)?;
        let mut stopper = Stopper(Some(process));
        let target = loop {
            if let Some(target) = ready(&kubeconfig).await {
                break target;
            }
            stopper.check()?;
            if begun.elapsed() > START {
                bail!("not ready after {} s", START.as_secs());
            }
            tokio::time::sleep(ASK_EVERY).await;
        };
        let ready_after = begun.elapsed();
        let process = stopper.0.take();
        let pid = process.as_ref().map(Process::pid).unwrap_or_default();
        Ok(Self { process, pid, target, ready_after })
    }

    pub fn target(&self) -> &Target {
        &self.target
    }

    pub fn pid(&self) -> i32 {
        self.pid
    }

    /// Memory in use, in bytes: what is resident.
    pub fn memory(&self) -> Result<f64> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.pid))?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).context("a process without memory")?;
        let kib: f64 = line.trim().trim_end_matches(" kB").parse()?;
        Ok(kib * 1024.0)
    }

    /// Stops it in order.
    pub fn stop(mut self) -> Result<()> {
        self.process.take().map_or(Ok(()), |process| process.stop(STOP))
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        drop(Stopper(self.process.take()));
    }
}

/// Stops a process when it is dropped.
pub struct Stopper(Option<Process>);

impl Stopper {
    fn check(&mut self) -> Result<()> {
        self.0.as_mut().map_or(Ok(()), Process::check)
    }
}

impl Drop for Stopper {
    fn drop(&mut self) {
        if let Some(process) = self.0.take()
            && let Err(error) = process.stop(STOP)
        {
            eprintln!("{error:#}");
        }
    }
}

/// A containerd of its own, stopped when it is dropped.
pub struct Containers {
    process: Stopper,
    gantry: PathBuf,
    data: PathBuf,
}

impl Containers {
    pub fn start(built: &Built, data: &Path) -> Result<Self> {
        let process = Stopper(Some(containerd::start(data)?));
        Ok(Self { process, gantry: built.gantry.clone(), data: data.to_path_buf() })
    }

    pub fn socket(&self) -> PathBuf {
        containerd::socket(&self.data)
    }
}

impl Drop for Containers {
    fn drop(&mut self) {
        // Of pods that a failed run left. The host has been stopped by now.
        let mut clean = Command::new(&self.gantry);
        clean.arg("clean").arg("--data-dir").arg(&self.data).arg("--containerd").arg(self.socket());
        match clean.output() {
            Ok(output) if output.status.success() => {}
            Ok(output) => eprintln!("gantry clean failed: {}", String::from_utf8_lossy(&output.stderr)),
            Err(error) => eprintln!("can't run gantry clean: {error}"),
        }
        drop(Stopper(self.process.0.take()));
        containerd::clean(&self.data);
    }
}

/// How to reach it, once it says that it is ready.
async fn ready(kubeconfig: &Path) -> Option<Target> {
    let target = Target::read(kubeconfig).ok()?;
    let mut connection = target.connect().await.ok()?;
    connection.get("/readyz").await.ok().map(|_| target)
}
