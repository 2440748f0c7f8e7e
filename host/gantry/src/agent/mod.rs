//! `gantry agent`: a node of a control plane elsewhere.

mod folder;
mod objects;
mod plugins;

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::Result;
use clap::Args;
use gantry_link::{Client, Uplink};
use gantry_node::cluster::{Cluster, Remote, remote};
use gantry_node::logs::Notices;
use gantry_node::proxy::apart::Keeper;
use gantry_plugin::{Engine, EngineOptions};
use tokio_util::task::AbortOnDropHandle;

use crate::access::{Access, Current, Join, Kubeconfig};
use crate::cli::Log;
use crate::delivery::Through;
use crate::node::{Asked, Node, NodeArgs, Upstream};
use crate::stop::Stop;
use crate::streams::NodeStreams;
use crate::{files, local, logging, proxy};
use folder::Folder;
use plugins::{Plugins, Set};

#[derive(Args, Clone, Debug)]
pub struct AgentArgs {
    /// The server's address: `https://HOST:PORT`. By default that of last time, or that in the kubeconfig.
    #[arg(long, value_name = "URL")]
    pub server: Option<String>,
    /// What lets this machine join: a file that `gantry token create` wrote. Not needed once it has joined.
    #[arg(long, value_name = "FILE")]
    pub token: Option<PathBuf>,
    /// Credentials that somebody else manages: a kubeconfig with the server's authority and a client certificate of
    /// `system:nodes` for `system:node:NAME`. Then nothing is joined or renewed.
    #[arg(long, value_name = "FILE", conflicts_with = "token")]
    pub kubeconfig: Option<PathBuf>,
    /// Where all state goes.
    #[arg(long, default_value = "gantry-agent", value_name = "FOLDER")]
    pub data_dir: PathBuf,
    #[command(flatten)]
    pub node: NodeArgs,
}

impl AgentArgs {
    /// Runs a node until it is told to stop.
    pub async fn run(self, log: Log) -> Result<ExitCode> {
        logging::start(&log)?;
        files::make_data_dir(&self.data_dir)?;
        let data = self.data_dir.canonicalize()?;
        let folder = Folder::claim(&data)?;
        let mut stop = Stop::new()?;
        // Whatever it waits for, it stops when it is told to.
        let (access, current) = tokio::select! {
            access = self.access(&folder, &data) => access?,
            () = stop.wanted() => return Ok(ExitCode::SUCCESS),
        };
        let _renewal = current.map(|current| keep(current, &access)).transpose()?;
        let service = Service::new(self.node, &data, access, &log)?;
        tokio::select! {
            set = service.plugins.first() => service.run(set?, &mut stop).await,
            () = stop.wanted() => Ok(ExitCode::SUCCESS),
        }
    }

    /// How the server is reached, and the certificate that is to be renewed.
    async fn access(&self, folder: &Folder, data: &Path) -> Result<(Access, Option<Current>)> {
        if let Some(file) = &self.kubeconfig {
            let access = Kubeconfig::read(file)?.access(self.server.as_deref())?;
            folder.belongs_to(&access.authority)?;
            return Ok((access, None));
        }
        let node = self.node.name()?;
        let (server, token) = (self.server.as_deref(), self.token.as_deref());
        let join = Join { folder: data, node: &node, server, token };
        let (access, current) = join.access(|authority| folder.belongs_to(authority)).await?;
        Ok((access, Some(current)))
    }
}

/// Renews the certificate for as long as the answer lives.
fn keep(current: Current, access: &Access) -> Result<AbortOnDropHandle<()>> {
    let (server, tls) = (access.server.clone(), access.tls.clone());
    let client = remote::Client::new(remote::Options { server, tls, bearer: None })?;
    Ok(AbortOnDropHandle::new(tokio::spawn(current.keep(client))))
}

struct Service {
    args: NodeArgs,
    data: PathBuf,
    cluster: Arc<dyn Cluster>,
    client: Client,
    plugins: Plugins,
    proxy: Keeper,
    notices: Notices,
}

impl Service {
    fn new(args: NodeArgs, data: &Path, access: Access, log: &Log) -> Result<Self> {
        let Access { server, tls, .. } = access;
        let client = Client::new(&server, tls.clone()).map_err(anyhow::Error::msg)?;
        let cluster: Arc<dyn Cluster> = Arc::new(Remote::new(remote::Options { server, tls, bearer: None })?);
        let engine = Engine::new(EngineOptions::new(data.to_owned()))?;
        let plugins = Plugins::new(engine, client.clone(), data.join("plugins"))?;
        let (proxy, notices) = proxy::keeper(cluster.clone(), &args, data, log)?;
        Ok(Self { args, data: data.to_owned(), cluster, client, plugins, proxy, notices })
    }

    /// Runs the node; with other plugins, should the server get others. Containers go on meanwhile.
    async fn run(&self, mut set: Set, stop: &mut Stop) -> Result<ExitCode> {
        loop {
            let outlets = set.offer.sinks.iter().map(|sink| Through::outlet(&self.client, sink)).collect();
            let (addresses, answers) = (set.offer.local.clone(), local::Through::answers(&self.client));
            let upstream = Upstream {
                asked: Asked { addresses, answers },
                cluster: self.cluster.clone(),
                plugins: set.loaded.clone(),
                outlets,
                absent: set.absent.clone(),
                cluster_ranges: set.offer.cluster_ranges.clone(),
                notices: self.notices.clone(),
                proxy: self.proxy.clone(),
            };
            let node = tokio::select! {
                node = Node::start(&self.args, &self.data, upstream) => node?,
                () = stop.wanted() => break,
            };
            let uplink = Uplink::start(gantry_link::Options {
                client: self.client.clone(),
                node: node.name().to_owned(),
                agent: node.identity().to_owned(),
                streams: Arc::new(NodeStreams::new(node.agent().clone())),
            });
            tracing::info!(node = node.name(), "ready");
            let next = tokio::select! {
                next = self.plugins.next(&set, uplink.links()) => Some(next),
                () = stop.wanted() => None,
            };
            uplink.stop().await;
            node.stop().await;
            match next {
                Some(next) => set = next,
                None => break,
            }
            tracing::info!("the server has other plugins for nodes: starting over with them");
        }
        tracing::info!("stopped; containers go on");
        Ok(ExitCode::SUCCESS)
    }
}
