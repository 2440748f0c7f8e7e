//! `up` and `down`: a control plane on this machine, from source.

use std::path::PathBuf;
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
        if !self.no_build {
            build::everything()?;
        }
        let (stop, stopped) = mpsc::channel();
        if !self.detach {
            ctrlc::set_handler(move || drop(stop.send(()))).context("can't catch Ctrl-C")?;
        }
        if Stack::find(options(&self.data_dir)).is_some() {
            bail!("a control plane runs in {} already; `cargo xtask down` stops it", self.data_dir.display());
        }
        let step = Step::new("start the control plane");
        let stack = Stack::start(self.options())?;
        step.done(&self.listen);
        let shown = first_deployment(&stack.kubectl()).and_then(|()| self.explain(&stack));
        if let Err(error) = shown {
            stack.stop()?;
            return Err(error);
        }
        if self.detach {
            return Ok(());
        }
        println!("\nCtrl-C stops it.");
        self.watch(stack, &stopped)
    }

    fn options(&self) -> Options {
        let bundle = self.bundle.clone().unwrap_or_else(paths::bundle);
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
    fn watch(&self, mut stack: Stack, stopped: &mpsc::Receiver<()>) -> Result<()> {
        let outcome = loop {
            match stopped.recv_timeout(Duration::from_millis(500)) {
                Err(mpsc::RecvTimeoutError::Timeout) => {
                    if let Some(error) = stack.gantry().and_then(|gantry| gantry.check().err()) {
                        break Err(error);
                    }
                }
                Ok(()) | Err(mpsc::RecvTimeoutError::Disconnected) => break Ok(()),
            }
        };
        let step = Step::new("stop");
        stack.stop()?;
        step.done(&format!("state stays in {}", self.data_dir.display()));
        outcome
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

fn options(data: &std::path::Path) -> Options {
    Options {
        gantry: paths::gantry(),
        plugins: paths::plugins(),
        bundle: paths::bundle(),
        data: data.to_path_buf(),
        listen: String::new(),
        share_containerd: true,
        images: vec![paths::image()],
        args: Vec::new(),
    }
}

/// Applies the example and shows three pods with their addresses, and an answer from one of them.
fn first_deployment(kubectl: &Kubectl) -> Result<()> {
    let begun = Instant::now();
    let step = Step::new("apply examples/web.yaml");
    kubectl.run(&["apply", "-f", &paths::root().join("examples/web.yaml").to_string_lossy()])?;
    let address = wait_for("three pods to be ready", Duration::from_secs(60), || {
        let pods = kubectl.json(&["get", "pods", "-l", "app=web"])?;
        let text = |pod: &Value, path| pod.pointer(path).and_then(Value::as_str).map(str::to_owned);
        let ready: Vec<String> = pods
            .get("items")
            .and_then(Value::as_array)
            .into_iter()
            .flatten()
            .filter(|pod| pod.pointer("/status/containerStatuses/0/ready") == Some(&Value::Bool(true)))
            .filter_map(|pod| text(pod, "/status/podIP"))
            .collect();
        step.detail(&format!("{} of 3 pods are ready", ready.len()));
        match ready.as_slice() {
            [first, _, _, ..] => Ok(first.clone()),
            _ => bail!("only {} of 3 pods are ready; `kubectl describe pods -l app=web` says why", ready.len()),
        }
    })?;
    step.done(&format!("three pods are ready after {:.1} s", begun.elapsed().as_secs_f32()));
    print!("\n{}", kubectl.run(&["get", "pods", "-o", "wide"])?);
    println!("\nhttp://{address}:8080/ answers:\n{}", fetch(&address)?);
    Ok(())
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
