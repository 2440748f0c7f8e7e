//! The listeners, for as long as the node runs.

use std::io;
use std::net::SocketAddrV4;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tracing::{info, warn};

use super::desk::Desk;
use super::listener::{Places, serve};
use super::{Answers, Pods, link};
use crate::network::netns::within;

/// Between attempts to listen.
const RETRY: Duration = Duration::from_secs(2);

/// What is needed to start.
pub struct Options {
    /// The node's name.
    pub node: String,
    /// Where pods ask; of 169.254.0.0/16, or loopback in tests, which is there already.
    pub addresses: Vec<SocketAddrV4>,
    /// Who they are.
    pub pods: Arc<dyn Pods>,
    /// Who answers them.
    pub answers: Arc<dyn Answers>,
    /// The network namespace that plays the node; `None`: the one of this process.
    pub node_netns: Option<PathBuf>,
}

/// Listeners at work. They end when this is dropped; the links with the addresses stay.
pub struct Local {
    _tasks: JoinSet<()>,
}

impl Local {
    /// Starts them. They wait for their addresses by themselves.
    pub fn start(options: Options) -> Self {
        let Options { node, addresses, pods, answers, node_netns } = options;
        let desk = Arc::new(Desk::new(node, pods, answers));
        let places = Arc::new(Places::default());
        let mut tasks = JoinSet::new();
        for at in addresses {
            tasks.spawn(listen(at, desk.clone(), places.clone(), node_netns.clone()));
        }
        Self { _tasks: tasks }
    }
}

/// Listens, for ever. What is in the way (another listener at the address) may go.
async fn listen(at: SocketAddrV4, desk: Arc<Desk>, places: Arc<Places>, netns: Option<PathBuf>) {
    loop {
        match bind(at, netns.as_deref()).await {
            Ok(listener) => {
                info!(address = %at, "pods ask here");
                // In a task of its own: a fault in there is one attempt's.
                let mut serving = JoinSet::new();
                serving.spawn(serve(listener, at, desk.clone(), places.clone()));
                if let Some(Err(fault)) = serving.join_next().await {
                    warn!(address = %at, error = %fault, "what pods ask is not answered now; trying again");
                }
            }
            Err(error) => warn!(address = %at, %error, "pods can't ask on this node now; trying again"),
        }
        tokio::time::sleep(RETRY).await;
    }
}

async fn bind(at: SocketAddrV4, netns: Option<&Path>) -> io::Result<TcpListener> {
    if !at.ip().is_loopback() {
        link::ensure(*at.ip(), netns).await?;
    }
    let listener = within(netns, move || {
        let listener = std::net::TcpListener::bind(at)?;
        listener.set_nonblocking(true)?;
        Ok(listener)
    })
    .await?;
    TcpListener::from_std(listener)
}
