//! `up` and `down`: a control plane on this machine, from source.

use std::cell::Cell;
use std::path::{Path, PathBuf};
use std::sync::mpsc;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use clap::Args;
use gantry_tests::stack::{Options, Stack};

use crate::first;
use crate::shell::Step;
use crate::{build, packages, paths};

#[derive(Args)]
pub struct Up {
    /// Where all state goes.
    #[arg(long, default_value = ".gantry")]
    data_dir: PathBuf,
    /// The plugins to run.
    #[arg(long)]
    bundle: Option<PathBuf>,
    /// Where the API listens.
    #[arg(long, default_value = "127.0.0.1:6443")]
    listen: String,
    /// Leave it running and return. `cargo xtask down` stops it.
    #[arg(long)]
    detach: bool,
    /// Start what was built before.
    #[arg(long)]
    no_build: bool,
}

#[derive(Args)]
pub struct Down {
    /// Where `up` keeps its state.
    #[arg(long, default_value = ".gantry")]
    data_dir: PathBuf,
}

impl Up {
    pub fn run(&self) -> Result<()> {
        packages::install(&[packages::BUILD, packages::RUN])?;
        if Stack::find(options(&self.data_dir)).is_some() {
            bail!("a control plane runs in {} already; `cargo xtask down` stops it", self.data_dir.display());
        }
        if !self.no_build {
            build::everything()?;
        }
        // From here on Ctrl-C stops in order what was started. With --detach as well, until it has been left running.
        let stop = Stop::on_interrupt()?;
        let step = Step::new("start the control plane");
        let mut stack = Stack::start(self.options())?;
        step.done(&self.listen);
        // Whatever the bundle makes of it: the control plane is there, and stays.
        if let Err(why) = first::deployment(&mut stack, &stop) {
            println!("\n! examples/web.yaml does not run: {why:#}");
        }
        let ended = stack.gantry().and_then(|gantry| gantry.check().err());
        if ended.is_some() || stop.within(Duration::ZERO) {
            self.end(stack)?;
            return ended.map_or_else(|| bail!("interrupted"), Err);
        }
        self.explain(&stack);
        if self.detach {
            return Ok(());
        }
        println!("\nCtrl-C stops it.");
        self.watch(stack, &stop)
    }

    fn options(&self) -> Options {
        let bundle = self.bundle.clone().unwrap_or_else(paths::pinned_bundle);
        Options { bundle, listen: self.listen.clone(), ..options(&self.data_dir) }
    }

    fn explain(&self, stack: &Stack) {
        let kubeconfig = stack.kubeconfig();
        println!("\nkubeconfig: {}\n\nNext, try:", kubeconfig.display());
        println!("  export KUBECONFIG={}", kubeconfig.display());
        for line in [
            "kubectl get pods -o wide",
            "kubectl scale deployment web --replicas 5",
            "kubectl set env deployment web VERSION=2 && kubectl rollout status deployment web",
            "kubectl logs -f deployment/web",
            "kubectl get plugins",
        ] {
            println!("  {line}");
        }
        if self.detach {
            println!("\n`cargo xtask down` stops it.");
        }
    }

    /// Until Ctrl-C, or until the host ends by itself.
    fn watch(&self, mut stack: Stack, stop: &Stop) -> Result<()> {
        let outcome = loop {
            if stop.within(Duration::from_millis(500)) {
                break Ok(());
            }
            if let Some(error) = stack.gantry().and_then(|gantry| gantry.check().err()) {
                break Err(error);
            }
        };
        self.end(stack)?;
        outcome
    }

    fn end(&self, stack: Stack) -> Result<()> {
        let step = Step::new("stop");
        stack.stop()?;
        step.done(&format!("state stays in {}", self.data_dir.display()));
        Ok(())
    }
}

/// Whether it is to end: Ctrl-C, SIGTERM, or the terminal is gone.
pub struct Stop {
    pressed: mpsc::Receiver<()>,
    seen: Cell<bool>,
}

impl Stop {
    fn on_interrupt() -> Result<Self> {
        let (press, pressed) = mpsc::channel();
        ctrlc::set_handler(move || _ = press.send(())).context("can't catch Ctrl-C")?;
        Ok(Self { pressed, seen: Cell::new(false) })
    }

    /// Waits so long for it.
    pub fn within(&self, patience: Duration) -> bool {
        let quiet = self.pressed.recv_timeout(patience) == Err(mpsc::RecvTimeoutError::Timeout);
        self.seen.set(self.seen.get() || !quiet);
        self.seen.get()
    }
}

impl Down {
    pub fn run(&self) -> Result<()> {
        let Some(stack) = Stack::find(options(&self.data_dir)) else {
            println!("nothing runs in {}", self.data_dir.display());
            return Ok(());
        };
        let step = Step::new("stop");
        stack.stop()?;
        step.done(&format!("state stays in {}", self.data_dir.display()));
        Ok(())
    }
}

/// With nothing chosen but the data directory.
pub fn options(data: &Path) -> Options {
    Options {
        gantry: paths::gantry(),
        plugins: paths::plugins(),
        bundle: paths::pinned_bundle(),
        data: data.to_path_buf(),
        listen: String::new(),
        share_containerd: true,
        images: vec![paths::image()],
        args: Vec::new(),
    }
}
