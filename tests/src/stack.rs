//! One control plane with one node, as processes: containerd (unless the machine's is used) and the host.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, bail};

use crate::process::make_private;
use crate::suite::starting;
use crate::{Kubectl, Process, containerd, left, wait_for};

/// What to start, and where.
#[derive(Clone, Debug)]
pub struct Options {
    /// The gantry binary.
    pub gantry: PathBuf,
    /// Folder of the plugins' components.
    pub plugins: PathBuf,
    /// The bundle.
    pub bundle: PathBuf,
    /// All state goes here.
    pub data: PathBuf,
    /// `127.0.0.1:0` for any port.
    pub listen: String,
    /// Use the machine's containerd when one runs.
    pub share_containerd: bool,
    /// Image archives to import at the start.
    pub images: Vec<PathBuf>,
    /// More arguments for `gantry up`.
    pub args: Vec<OsString>,
}

/// A running control plane. Dropping it leaves it running: call [`Stack::stop`].
pub struct Stack {
    options: Options,
    containerd: Option<Process>,
    gantry: Option<Process>,
}

impl Stack {
    /// Starts containerd and the host, and waits until the API is ready.
    pub fn start(options: Options) -> Result<Self> {
        make_private(&options.data)?;
        let options = Options { data: options.data.canonicalize()?, ..options };
        let mut stack = Self { options, containerd: None, gantry: None };
        let shared = stack.options.share_containerd && containerd::answers(Path::new(containerd::SYSTEM));
        if !shared && Process::find(&stack.options.data, "containerd").is_none() {
            stack.containerd = Some(containerd::start(&stack.options.data)?);
        }
        match stack.start_gantry() {
            Ok(()) => Ok(stack),
            Err(error) => Err(match stack.stop() {
                Ok(()) => error,
                Err(also) => error.context(format!("and what had started could not be stopped: {also:#}")),
            }),
        }
    }

    /// What an earlier `start` left running in this data directory.
    pub fn find(options: Options) -> Option<Self> {
        let options = Options { data: options.data.canonicalize().ok()?, ..options };
        let gantry = Process::find(&options.data, "gantry");
        let containerd = Process::find(&options.data, "containerd");
        (gantry.is_some() || containerd.is_some()).then_some(Self { options, containerd, gantry })
    }

    /// Starts the host again after [`Stack::crash_gantry`] or [`Stack::stop_gantry`], and waits until the API is ready.
    pub fn start_gantry(&mut self) -> Result<()> {
        self.launch_gantry()?;
        self.until_ready()
    }

    /// Starts the host, and waits for nothing.
    pub fn launch_gantry(&mut self) -> Result<()> {
        let kubeconfig = self.kubeconfig();
        if kubeconfig.exists() {
            fs::remove_file(&kubeconfig)?;
        }
        let mut command = Command::new(&self.options.gantry);
        command.arg("up").arg("--data-dir").arg(&self.options.data);
        command.arg("--bundle").arg(&self.options.bundle).arg("--plugins").arg(&self.options.plugins);
        command.arg("--listen").arg(&self.options.listen).arg("--kubeconfig").arg(&kubeconfig);
        command.arg("--containerd").arg(self.socket());
        for image in &self.options.images {
            command.arg("--import").arg(image);
        }
        command.args(&self.options.args);
        // Kept before it is ready, so that whoever gets the error can stop it.
        self.gantry = Some(Process::start(&self.options.data, "gantry", &mut command)?);
        Ok(())
    }

    fn until_ready(&mut self) -> Result<()> {
        let (kubeconfig, kubectl) = (self.kubeconfig(), self.kubectl());
        let gantry = self.gantry.as_mut().context("the host was not started")?;
        let ready = wait_for("the API to be ready", starting(), || {
            if let Err(ended) = gantry.check() {
                return Ok(Err(ended));
            }
            if !kubeconfig.exists() {
                bail!("{} is not there yet", kubeconfig.display());
            }
            kubectl.run(&["get", "--raw", "/readyz"]).map(|_| Ok(()))
        });
        ready.with_context(|| gantry.log_end(30))?
    }

    /// Other arguments for the next start of the host.
    pub fn options_mut(&mut self) -> &mut Options {
        &mut self.options
    }

    /// Kills the host as a crash would; containers go on.
    pub fn crash_gantry(&mut self) -> Result<()> {
        self.gantry.take().map_or(Ok(()), Process::crash)
    }

    /// Stops the host in order; containers go on.
    pub fn stop_gantry(&mut self) -> Result<()> {
        self.gantry.take().map_or(Ok(()), |gantry| gantry.stop(Duration::from_secs(20)))
    }

    /// Stops everything and removes containers, links and rules. Objects stay in the data directory.
    pub fn stop(mut self) -> Result<()> {
        self.stop_gantry()?;
        let cleaned = self.clean_node();
        if let Some(containerd) = self.containerd.take() {
            containerd.stop(Duration::from_secs(20))?;
            containerd::clean(&self.options.data);
        }
        cleaned.and_then(|()| left::nothing(&self.options.data, std::slice::from_ref(&self.options.data)))
    }

    fn clean_node(&self) -> Result<()> {
        if !containerd::answers(&self.socket()) {
            return Ok(());
        }
        // The network that it used is that of its containerd, which whoever cleans up need not be in.
        let mut command = match &self.containerd {
            Some(containerd) => {
                let mut command = Command::new("nsenter");
                command.arg(format!("--net=/proc/{}/ns/net", containerd.pid())).arg(&self.options.gantry);
                command
            }
            None => Command::new(&self.options.gantry),
        };
        command.arg("clean").arg("--data-dir").arg(&self.options.data).arg("--containerd").arg(self.socket());
        let output = command.output().context("can't run gantry clean")?;
        if !output.status.success() {
            bail!("gantry clean failed: {}", String::from_utf8_lossy(&output.stderr));
        }
        Ok(())
    }

    /// The containerd in use.
    pub fn socket(&self) -> PathBuf {
        let own = containerd::socket(&self.options.data);
        let shared = self.options.share_containerd && self.containerd.is_none() && !containerd::answers(&own);
        if shared { containerd::SYSTEM.into() } else { own }
    }

    pub fn kubeconfig(&self) -> PathBuf {
        self.options.data.join("kubeconfig")
    }

    pub fn kubectl(&self) -> Kubectl {
        Kubectl::newest(&self.kubeconfig())
    }

    pub fn data(&self) -> &Path {
        &self.options.data
    }

    /// The containerd of its own, if it has one.
    pub fn containerd(&mut self) -> Option<&mut Process> {
        self.containerd.as_mut()
    }

    /// The host's process.
    pub fn gantry(&mut self) -> Option<&mut Process> {
        self.gantry.as_mut()
    }
}
