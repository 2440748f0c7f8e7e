//! `gantry up`: the control plane and a node in one process.

use std::process::ExitCode;

use anyhow::Result;
use clap::Args;

use crate::cli::Log;
use crate::files;
use crate::node::NodeArgs;
use crate::server::{self, ServerArgs};

#[derive(Args, Clone, Debug)]
pub struct Up {
    #[command(flatten)]
    pub server: ServerArgs,
    /// Run no node: the control plane only, as `gantry server` does.
    #[arg(long)]
    pub no_node: bool,
    #[command(flatten)]
    pub node: NodeArgs,
}

/// `gantry server`: the same without a node.
pub async fn server(args: ServerArgs, log: Log) -> Result<ExitCode> {
    files::make_server_dir(&args.data_dir)?;
    server::run(&args, None, &log).await
}

impl Up {
    pub async fn run(self, log: Log) -> Result<ExitCode> {
        files::make_server_dir(&self.server.data_dir)?;
        server::run(&self.server, (!self.no_node).then_some(&self.node), &log).await
    }
}
