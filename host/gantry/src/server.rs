//! `gantry server`: the control plane, to which nodes link up; with a node in the same process it is `gantry up`.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use clap::Args;
use gantry_control::ranges;
use gantry_link::Hub;
use gantry_node::hollow::{Fleet, FleetOptions};
use ipnet::IpNet;

use crate::cli::Log;
use crate::control::{Control, Settings};
use crate::here::Here;
use crate::node::NodeArgs;
use crate::offer::Offer;
use crate::stop::{Reload, Stop};
use crate::{bundle, control, logging, telemetry};

/// Between attempts to start the node of this process by a new bundle.
const NODE_AGAIN: Duration = Duration::from_secs(5);

#[derive(Args, Clone, Debug)]
pub struct ServerArgs {
    /// Where all state goes.
    #[arg(long, default_value = "gantry-data", value_name = "FOLDER")]
    pub data_dir: PathBuf,
    /// The plugins to run, pinned by digest (`gantry bundle pin`).
    #[arg(long, value_name = "FILE")]
    pub bundle: PathBuf,
    /// Folders with the bundle's components. By default the bundle's own.
    #[arg(long, value_name = "FOLDER")]
    pub plugins: Vec<PathBuf>,
    /// Where the API listens, for clients and agents; port 0 takes a free one.
    #[arg(long, default_value = "127.0.0.1:6443", value_name = "ADDRESS")]
    pub listen: SocketAddr,
    /// More names and addresses for the server's certificate: those under which clients and agents reach it.
    #[arg(long, value_name = "NAME")]
    pub tls_name: Vec<String>,
    /// Where to write the administrator's kubeconfig. By default `kubeconfig` in the data directory.
    #[arg(long, value_name = "FILE")]
    pub kubeconfig: Option<PathBuf>,
    /// Bearer tokens, one a line: `token,user,uid,"group1,group2"`.
    #[arg(long, value_name = "FILE")]
    pub token_file: Option<PathBuf>,
    /// Register this many hollow nodes, whose pods advance by a model and run nothing.
    #[arg(long, default_value_t = 0, value_name = "COUNT")]
    pub hollow_nodes: u32,
    /// The seed of the hollow nodes' model.
    #[arg(long, default_value_t = 1, value_name = "NUMBER")]
    pub hollow_seed: u64,
    /// Silence after which a node is not ready, in seconds.
    #[arg(long, default_value_t = 40, value_name = "SECONDS")]
    pub node_grace: u64,
    /// Addresses of all pods, in CIDR notation; may be repeated for a second address family. Each node gets a part of it.
    #[arg(long, default_value = "10.64.0.0/16", value_name = "CIDR")]
    pub cluster_pod_range: Vec<IpNet>,
    /// How large the part of a node is: the length of its prefix, with IPv4.
    #[arg(long, default_value_t = 24, value_name = "BITS")]
    pub node_prefix: u8,
    /// The same with IPv6.
    #[arg(long, default_value_t = 64, value_name = "BITS")]
    pub node_prefix_v6: u8,
    /// How long certificates of nodes are good for, in seconds. Agents renew theirs in time.
    #[arg(long, default_value_t = 30 * 86_400, value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(10..))]
    pub node_certificate_life: u64,
}

/// Runs a control plane until it is told to stop.
pub async fn run(args: &ServerArgs, node: Option<&NodeArgs>, log: &Log) -> Result<ExitCode> {
    logging::start(log)?;
    let begun = std::time::Instant::now();
    std::fs::create_dir_all(&args.data_dir).with_context(|| format!("can't make {}", args.data_dir.display()))?;
    let data = args.data_dir.canonicalize()?;
    let counted = telemetry::start()?;
    let (mut stop, mut reload) = (Stop::new()?, Reload::new()?);
    let mut control = Control::start(args.settings(&data)).await?;
    let hub = Hub::new(Arc::new(args.offer(&control)?));
    let mut here = Here::new(node, &data, &control, log)?;
    let metrics = telemetry::metrics(counted, here.proxy());
    let api = control::serve(&mut control, &args.serving(&data), &hub, metrics, here.readiness()).await?;
    let fleet = (args.hollow_nodes > 0).then(|| Fleet::start(control.cluster(), args.fleet()));
    // The API is served first: what keeps a node from starting can be mended through it.
    let started = tokio::select! {
        started = here.start(&control, &hub, args.cluster_ranges()) => started.map(|()| true),
        () = stop.wanted() => Ok(false),
    };
    let outcome = match started {
        Ok(true) => {
            tracing::info!(url = api.url(), seconds = begun.elapsed().as_secs_f64(), "ready");
            self::serve(args, &mut control, &hub, &mut here, &mut stop, &mut reload).await;
            Ok(ExitCode::SUCCESS)
        }
        Ok(false) => Ok(ExitCode::SUCCESS),
        Err(error) => Err(error),
    };
    tracing::info!("stopping; containers go on");
    hub.stop();
    api.stop().await;
    if let Some(fleet) = fleet {
        fleet.stop().await;
    }
    here.stop().await;
    control.stop().await;
    outcome
}

/// Until it is told to stop. Whatever goes wrong with a new bundle, the API goes on.
async fn serve(
    args: &ServerArgs,
    control: &mut Control,
    hub: &Hub,
    here: &mut Here<'_>,
    stop: &mut Stop,
    reload: &mut Reload,
) {
    loop {
        let missing = here.is_missing();
        let again = async {
            match missing {
                true => tokio::time::sleep(NODE_AGAIN).await,
                false => std::future::pending().await,
            }
        };
        tokio::select! {
            () = stop.wanted() => return,
            () = reload.wanted() => {
                if let Err(error) = self::reload(args, control, hub).await {
                    tracing::error!(error = format!("{error:#}"), "the bundle can't be taken: what ran before goes on");
                    continue;
                }
                here.stop().await;
                tracing::info!("running by the bundle as it is now");
            }
            () = again => {}
        }
        let started = tokio::select! {
            started = here.start(control, hub, args.cluster_ranges()) => started,
            () = stop.wanted() => return,
        };
        if let Err(error) = started {
            tracing::error!(error = format!("{error:#}"), "this machine's node can't start; it will be tried again");
        }
    }
}

/// Takes the bundle as it is now, and tells the nodes.
async fn reload(args: &ServerArgs, control: &mut Control, hub: &Hub) -> Result<()> {
    control.reload().await?;
    hub.renew(Arc::new(args.offer(control)?));
    Ok(())
}

impl ServerArgs {
    fn offer(&self, control: &Control) -> Result<Offer> {
        Offer::new(&self.bundle, control, self.cluster_ranges())
    }

    fn settings(&self, data: &Path) -> Settings {
        Settings {
            data: data.to_owned(),
            bundle: self.bundle.clone(),
            folders: bundle::folders(&self.bundle, &self.plugins),
            node_grace: Duration::from_secs(self.node_grace),
            ranges: ranges::Options {
                clusters: self.cluster_pod_range.clone(),
                prefixes: (self.node_prefix, self.node_prefix_v6),
                reserved: Vec::new(),
            },
        }
    }

    fn cluster_ranges(&self) -> Vec<String> {
        self.cluster_pod_range.iter().map(ToString::to_string).collect()
    }

    fn serving(&self, data: &Path) -> control::Serving {
        control::Serving {
            listen: self.listen,
            names: self.tls_name.clone(),
            pki: data.join("pki"),
            kubeconfig: self.kubeconfig.clone().unwrap_or_else(|| data.join("kubeconfig")),
            tokens: self.token_file.clone(),
            node_certificates: Duration::from_secs(self.node_certificate_life),
        }
    }

    fn fleet(&self) -> FleetOptions {
        let mut options = FleetOptions { nodes: self.hollow_nodes, ..FleetOptions::default() };
        options.model.seed = self.hollow_seed;
        options
    }
}
