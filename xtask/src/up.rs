//! `up` and `down`: a control plane on this machine, from source.

use std::cell::Cell;
use std::path::{Path, PathBuf};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use clap::Args;
use gantry_tests::stack::{Options, Stack};
use gantry_tests::{Kubectl, wait_for};
use serde_json::Value;

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
        let stack = Stack::start(self.options())?;
        step.done(&self.listen);
        let shown = first_deployment(&stack.kubectl(), &stop).and_then(|()| self.explain(&stack));
        match shown {
            Ok(()) if self.detach => Ok(()),
            Ok(()) => {
                println!("\nCtrl-C stops it.");
                self.watch(stack, &stop)
            }
            Err(error) => {
                self.end(stack)?;
                Err(error)
            }
        }
    }

    fn options(&self) -> Options {
        let bundle = self.bundle.clone().unwrap_or_else(paths::pinned_bundle);
        Options { bundle, listen: self.listen.clone(), ..options(&self.data_dir) }
    }

    fn explain(&self, stack: &Stack) -> Result<()> {
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
        Ok(())
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
struct Stop {
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
    fn within(&self, patience: Duration) -> bool {
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

/// Applies the example and shows three pods with their addresses, and an answer from one of them.
fn first_deployment(kubectl: &Kubectl, stop: &Stop) -> Result<()> {
    let begun = Instant::now();
    let step = Step::new("apply examples/web.yaml");
    kubectl.run(&["apply", "-f", &paths::root().join("examples/web.yaml").to_string_lossy()])?;
    let address = wait_for("three pods to be ready", Duration::from_secs(60), || {
        if stop.within(Duration::ZERO) {
            return Ok(None);
        }
        let ready = ready_addresses(kubectl)?;
        step.detail(&format!("{} of 3 pods are ready", ready.len()));
        match ready.as_slice() {
            [first, _, _, ..] => Ok(Some(first.clone())),
            _ => bail!("only {} of 3 pods are ready; `kubectl describe pods -l app=web` says why", ready.len()),
        }
    })?;
    let Some(address) = address else { bail!("interrupted before three pods were ready") };
    step.done(&format!("three pods are ready after {:.1} s", begun.elapsed().as_secs_f32()));
    print!("\n{}", kubectl.run(&["get", "pods", "-o", "wide"])?);
    println!("\nhttp://{address}:8080/ answers:\n{}", fetch(&address)?);
    Ok(())
}

fn ready_addresses(kubectl: &Kubectl) -> Result<Vec<String>> {
    let pods = kubectl.json(&["get", "pods", "-l", "app=web"])?;
    let ready = |pod: &&Value| pod.pointer("/status/containerStatuses/0/ready") == Some(&Value::Bool(true));
    let address = |pod: &Value| pod.pointer("/status/podIP").and_then(Value::as_str).map(str::to_owned);
    let items = pods.get("items").and_then(Value::as_array);
    Ok(items.into_iter().flatten().filter(ready).filter_map(address).collect())
}

fn fetch(address: &str) -> Result<String> {
    use std::io::{Read, Write};
    let mut stream =
        std::net::TcpStream::connect((address, 8080)).with_context(|| format!("can't reach {address}:8080"))?;
    stream.set_read_timeout(Some(Duration::from_secs(5)))?;
    write!(stream, "GET / HTTP/1.0\r\nHost: {address}\r\n\r\n")?;
    stream.shutdown(std::net::Shutdown::Write)?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    Ok(answer.split_once("\r\n\r\n").map_or(answer.clone(), |(_, body)| body.to_owned()))
}
