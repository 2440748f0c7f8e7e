//! `gantry clean`: what a stopped node left on this machine goes.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Result;
use clap::Args;
use gantry_node::{agent, containerd, network};

use crate::cli::Log;
use crate::node::{Prefixes, run_dir};
use crate::{logging, proxy};

#[derive(Args, Clone, Debug)]
pub struct Clean {
    /// The data directory that `gantry up` or `gantry agent` used.
    #[arg(long, default_value = "gantry-data", value_name = "FOLDER")]
    data_dir: PathBuf,
    /// containerd's socket.
    #[arg(long, default_value = "/run/containerd/containerd.sock", value_name = "SOCKET")]
    containerd: PathBuf,
    /// The namespace of containerd that belonged to the node.
    #[arg(long, default_value = "gantry", value_name = "NAME")]
    containerd_namespace: String,
    /// Remove images too.
    #[arg(long)]
    images: bool,
}

impl Clean {
    pub async fn run(self, log: Log) -> Result<ExitCode> {
        logging::start(&log)?;
        let data = self.data_dir.canonicalize().unwrap_or(self.data_dir);
        let run = run_dir(&data);
        proxy::end(&data).await?;
        let options = containerd::Options {
            socket: self.containerd,
            namespace: self.containerd_namespace,
            state: run.join("runtime"),
            ..containerd::Options::default()
        };
        containerd::clean(options, self.images).await?;
        let Prefixes { links, tables } = Prefixes::of(&data);
        let (netns_dir, data_dir) = (run.join("netns"), data.join("network"));
        let leavings = network::Leavings {
            netns_dir: &netns_dir,
            data_dir: &data_dir,
            links: &links,
            tables: &tables,
            node_netns: None,
        };
        network::clean(&leavings).await?;
        agent::clean(&data.join("node"))?;
        let _ = std::fs::remove_dir_all(&run);
        // Stays while another node of this machine has something in it.
        let _ = run.parent().map(std::fs::remove_dir);
        Ok(ExitCode::SUCCESS)
    }
}
