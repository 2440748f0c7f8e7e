//! The node's DNS server, with the plugins that say what it answers.

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::sync::{Arc, RwLock};
use std::time::Duration;

use gantry_plugin::Discovery;
use gantry_plugin::family::discovery::NodeInfo;
use tokio::net::{TcpListener, UdpSocket};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tracing::{info, warn};

use super::kept::Kept;
use super::names::Names;
use super::responder::Responder;
use super::source::Source;
use super::tables::Tables;
use super::upstream::{Upstream, UpstreamOptions};
use super::{link, server};
use crate::cluster::Cluster;
use crate::network::netns::within;

/// Between attempts to listen.
const RETRY: Duration = Duration::from_secs(2);
/// DNS.
const PORT: u16 = 53;

/// A plugin of the family `discovery`.
pub struct Plugin {
    /// The plugin.
    pub plugin: Box<dyn Discovery>,
    /// Its name.
    pub name: String,
}

/// What is needed to start.
pub struct Options {
    /// In the bundle's order; at least one.
    pub plugins: Vec<Plugin>,
    /// The node's place in the cluster.
    pub node: NodeInfo,
    /// The objects that plugins want to see.
    pub cluster: Arc<dyn Cluster>,
    /// Where the server listens: an address that is nowhere else.
    pub address: IpAddr,
    /// Whom it asks about what it does not know.
    pub upstream: UpstreamOptions,
    /// Where it keeps what it knows.
    pub data: PathBuf,
    /// The network namespace that plays the node; `None`: the one of this process.
    pub node_netns: Option<PathBuf>,
}

/// Names at work. They end when this is dropped; the link with the address stays.
pub struct Dns {
    names: watch::Receiver<Option<Arc<Names>>>,
    _tasks: JoinSet<()>,
}

impl Dns {
    /// Starts them. They wait for everything that they need by themselves.
    pub fn start(options: Options) -> Self {
        let Options { plugins, node, cluster, address, mut upstream, data, node_netns } = options;
        let tables = Arc::new(RwLock::new(Tables::new(plugins.len())));
        let (tell, names) = watch::channel(None);
        let mut tasks = JoinSet::new();
        for (number, Plugin { plugin, name }) in plugins.into_iter().enumerate() {
            let source = Source {
                number,
                plugin,
                kept: Kept::new(&data, &name),
                name,
                node: node.clone(),
                cluster: cluster.clone(),
                tables: tables.clone(),
                names: tell.clone(),
                server: address,
                followed: None,
            };
            tasks.spawn(source.run());
        }
        upstream.own = Some(address);
        let responder = Arc::new(Responder::new(tables, Upstream::new(upstream)));
        tasks.spawn(answer(SocketAddr::new(address, PORT), responder, node_netns));
        Self { names, _tasks: tasks }
    }

    /// How pods' resolvers are to be set up; `None` until a plugin has said so.
    pub fn names(&self) -> watch::Receiver<Option<Arc<Names>>> {
        self.names.clone()
    }
}

/// Answers, for ever. What is in the way (another server at the address) may go.
async fn answer(at: SocketAddr, responder: Arc<Responder>, netns: Option<PathBuf>) {
    loop {
        let outcome = match listen(at, netns.clone()).await {
            Ok((udp, tcp)) => {
                info!(address = %at, "DNS");
                // In a task of its own: a fault in there is one attempt's.
                let mut serving = JoinSet::new();
                serving.spawn(server::serve(udp, tcp, responder.clone()));
                match serving.join_next().await {
                    Some(Ok(outcome)) => outcome,
                    Some(Err(fault)) => Err(std::io::Error::other(fault)),
                    None => Ok(()),
                }
            }
            Err(error) => Err(error),
        };
        if let Err(error) = outcome {
            warn!(address = %at, %error, "no DNS on this node now; trying again");
        }
        tokio::time::sleep(RETRY).await;
    }
}

async fn listen(at: SocketAddr, netns: Option<PathBuf>) -> std::io::Result<(UdpSocket, TcpListener)> {
    if !at.ip().is_loopback() {
        link::ensure(at.ip(), netns.as_deref()).await?;
    }
    let (udp, tcp) = within(netns.as_deref(), move || {
        let (udp, tcp) = (std::net::UdpSocket::bind(at)?, std::net::TcpListener::bind(at)?);
        udp.set_nonblocking(true)?;
        tcp.set_nonblocking(true)?;
        Ok((udp, tcp))
    })
    .await?;
    Ok((UdpSocket::from_std(udp)?, TcpListener::from_std(tcp)?))
}
