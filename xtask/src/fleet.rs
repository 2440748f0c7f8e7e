//! `fleet`: several nodes on this machine, from source.

use std::path::{Path, PathBuf};

use anyhow::{Result, bail};
use clap::{Args, Subcommand};
use gantry_tests::Fleet;
use gantry_tests::fleet::Options;

use crate::shell::Step;
use crate::{build, packages, paths};

#[derive(Args)]
pub struct Command {
    /// Where all state goes.
    #[arg(long, default_value = ".gantry/fleet", global = true)]
    data_dir: PathBuf,
    #[command(subcommand)]
    what: What,
}

#[derive(Subcommand)]
enum What {
    /// Build everything, and start a server and nodes. They stay until `fleet down`.
    Up(Up),
    /// Cut a node off from the server, or from everybody. What runs on it goes on.
    Cut {
        /// As `kubectl get nodes` shows it.
        node: String,
        /// From the other nodes too, as if its plug were pulled.
        #[arg(long)]
        all: bool,
    },
    /// Undo `cut`.
    Heal { node: String },
    /// End a node at once, as if its power had gone: agent and containers, and nothing of it answers.
    Kill { node: String },
    /// Start a node that was killed.
    Start { node: String },
    /// Stop everything, and remove containers, namespaces, links and rules. Objects stay.
    Down,
}

#[derive(Args)]
struct Up {
    /// How many nodes.
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u8).range(1..=64))]
    nodes: u8,
    /// Over how many zones they are spread: the label `topology.kubernetes.io/zone`.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u8).range(1..))]
    zones: u8,
    /// What joins the nodes: `network-routes` or `network-vxlan`.
    #[arg(long, default_value = "network-routes", value_name = "PLUGIN")]
    network: String,
    /// The plugins to run.
    #[arg(long, value_name = "FILE")]
    bundle: Option<PathBuf>,
    /// Start what was built before.
    #[arg(long)]
    no_build: bool,
}

/// With nothing chosen but the data directory.
pub fn options(data: &Path) -> Options {
    Options {
        gantry: paths::gantry(),
        plugins: paths::plugins(),
        bundle: paths::pinned_bundle(),
        network: String::new(),
        data: data.to_path_buf(),
        nodes: 0,
        zones: 1,
        images: vec![paths::image()],
        server: Vec::new(),
        agent: Vec::new(),
    }
}

impl Command {
    pub fn run(&self) -> Result<()> {
        match &self.what {
            What::Up(up) => up.run(options(&self.data_dir)),
            What::Cut { node, all } => self.fleet()?.cut(node, *all),
            What::Heal { node } => self.fleet()?.heal(node),
            What::Kill { node } => self.fleet()?.kill(node),
            What::Start { node } => self.fleet()?.revive(node),
            What::Down => self.down(),
        }
    }

    fn fleet(&self) -> Result<Fleet> {
        match Fleet::find(options(&self.data_dir)) {
            Some(fleet) => Ok(fleet),
            None => bail!("no fleet runs in {}; `cargo xtask fleet up` starts one", self.data_dir.display()),
        }
    }

    fn down(&self) -> Result<()> {
        let Some(fleet) = Fleet::find(options(&self.data_dir)) else {
            println!("nothing runs in {}", self.data_dir.display());
            return Ok(());
        };
        let step = Step::new("stop");
        fleet.stop()?;
        step.done(&format!("state stays in {}", self.data_dir.display()));
        Ok(())
    }
}

impl Up {
    fn run(&self, options: Options) -> Result<()> {
        packages::install(&[packages::BUILD, packages::RUN])?;
        if Fleet::find(options.clone()).is_some() {
            bail!("a fleet runs in {} already; `cargo xtask fleet down` stops it", options.data.display());
        }
        if !self.no_build {
            build::everything()?;
        }
        let bundle = self.bundle.clone().unwrap_or(options.bundle);
        let (nodes, zones, network) = (self.nodes.into(), self.zones.into(), self.network.clone());
        let step = Step::new(format!("start a server and {nodes} nodes"));
        let mut fleet = Fleet::start(Options { bundle, nodes, zones, network, ..options }, |what| step.detail(what))?;
        fleet.leave();
        step.done("");
        let kubeconfig = fleet.kubeconfig();
        print!("\n{}", fleet.kubectl().run(&["get", "nodes", "-o", "wide"])?);
        println!("\nkubeconfig: {}\n\nNext, try:", kubeconfig.display());
        println!("  export KUBECONFIG={}", kubeconfig.display());
        for line in [
            "kubectl apply -f examples/web.yaml && kubectl get pods -o wide",
            "kubectl expose deployment web --port 80 --target-port 8080 --type NodePort",
            "cargo xtask fleet cut node-2      # its server is away; its pods serve on",
            "cargo xtask fleet heal node-2",
            "cargo xtask fleet kill node-3     # gone at once; its pods leave the Service",
            "cargo xtask fleet start node-3",
        ] {
            println!("  {line}");
        }
        println!("\n`cargo xtask fleet down` stops it.");
        Ok(())
    }
}
