//! A node in the process of its control plane.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::Result;
use gantry_api::server::Readiness;
use gantry_link::Hub;
use gantry_node::proxy::Proxy;

use crate::control::Control;
use crate::node::{Node, NodeArgs};
use crate::proxy;
use crate::streams::NodeStreams;

/// The node in this process, if there is to be one.
pub struct Here<'a> {
    wanted: Option<&'a NodeArgs>,
    data: &'a Path,
    node: Option<Node>,
    /// From the first start on.
    proxy: Option<Proxy>,
    started: Arc<AtomicBool>,
}

impl<'a> Here<'a> {
    /// Nothing runs yet.
    pub fn new(wanted: Option<&'a NodeArgs>, data: &'a Path) -> Self {
        Self { wanted, data, node: None, proxy: None, started: Arc::new(AtomicBool::new(wanted.is_none())) }
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
        let (Some(wanted), None) = (self.wanted, &self.node) else { return Ok(()) };
        let proxy = match self.proxy.take() {
            Some(proxy) => proxy,
            None => proxy::start(control.cluster(), &wanted.name()?)?,
        };
        self.proxy = Some(proxy.clone());
        let node = Node::start(wanted, self.data, control.upstream(cluster_ranges, proxy)).await?;
        hub.add(node.name(), Arc::new(NodeStreams::new(node.agent().clone())));
        self.node = Some(node);
        self.started.store(true, Ordering::Release);
        Ok(())
    }

    /// Stops it, and what answers HTTP here; its containers go on.
    pub async fn end(mut self) {
        self.stop().await;
        if let Some(proxy) = self.proxy {
            proxy.stop().await;
        }
    }

    /// Stops it; its containers go on.
    pub async fn stop(&mut self) {
        if let Some(node) = self.node.take() {
            node.stop().await;
        }
    }
}
