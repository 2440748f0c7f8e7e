//! A node in the process of its control plane.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::Result;
use gantry_api::server::Readiness;
use gantry_link::Hub;
use gantry_node::logs::Notices;
use gantry_node::proxy::apart::Keeper;

use crate::cli::Log;
use crate::control::Control;
use crate::node::{Node, NodeArgs};
use crate::proxy;
use crate::streams::NodeStreams;

/// The node in this process, if there is to be one.
pub struct Here<'a> {
    wanted: Option<Wanted<'a>>,
    data: &'a Path,
    node: Option<Node>,
    started: Arc<AtomicBool>,
}

struct Wanted<'a> {
    args: &'a NodeArgs,
    proxy: Keeper,
    notices: Notices,
}

impl<'a> Here<'a> {
    /// Nothing runs yet.
    pub fn new(args: Option<&'a NodeArgs>, data: &'a Path, control: &Control, log: &Log) -> Result<Self> {
        let wanted = args.map(|args| {
            let (proxy, notices) = proxy::keeper(control.cluster(), args, data, log)?;
            Ok::<_, anyhow::Error>(Wanted { args, proxy, notices })
        });
        Ok(Self { wanted: wanted.transpose()?, data, node: None, started: Arc::new(AtomicBool::new(args.is_none())) })
    }

    /// What answers HTTP here.
    pub fn proxy(&self) -> Option<Keeper> {
        self.wanted.as_ref().map(|wanted| wanted.proxy.clone())
    }

    /// Whether there is to be one and none runs.
    pub fn is_missing(&self) -> bool {
        self.wanted.is_some() && self.node.is_none()
    }

    /// For `/readyz`: whether it has started at all.
    pub fn readiness(&self) -> Readiness {
        let started = self.started.clone();
        let waiting = || ("node".to_owned(), "it has not started yet".to_owned());
        Arc::new(move || (!started.load(Ordering::Acquire)).then(waiting).into_iter().collect())
    }

    /// Starts it, unless it runs.
    pub async fn start(&mut self, control: &Control, hub: &Hub, cluster_ranges: Vec<String>) -> Result<()> {
        let (Some(wanted), None) = (&self.wanted, &self.node) else { return Ok(()) };
        let upstream = control.upstream(cluster_ranges, wanted.proxy.clone(), wanted.notices.clone());
        let node = Node::start(wanted.args, self.data, upstream).await?;
        hub.add(node.name(), Arc::new(NodeStreams::new(node.agent().clone())));
        self.node = Some(node);
        self.started.store(true, Ordering::Release);
        Ok(())
    }

    /// Stops it; its containers and its proxy go on.
    pub async fn stop(&mut self) {
        if let Some(node) = self.node.take() {
            node.stop().await;
        }
    }
}
