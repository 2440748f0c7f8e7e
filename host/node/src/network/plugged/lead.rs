//! The way to other nodes: whoever comes, changes or goes, the plugin says what leads there.

use std::sync::{Arc, PoisonError};

use gantry_plugin::family::network::NodeInfo;
use tracing::warn;

use super::Inner;
use crate::cluster::{PodFeed, Steady};
use crate::network::NetError;
use crate::pauses::Pauses;

/// Keeps up with the other nodes, for ever.
pub(super) async fn watch(inner: Arc<Inner>, feed: Box<dyn PodFeed>) {
    let mut feed = Steady::new("nodes", feed);
    loop {
        let events = feed.next().await;
        inner.peers.lock().unwrap_or_else(PoisonError::into_inner).take(events);
        inner.moved.notify_one();
    }
}

/// Leads to the other nodes. What fails is done again as a whole, with growing pauses.
pub(super) async fn lead(inner: Arc<Inner>) {
    let mut pauses = Pauses::of_work();
    loop {
        inner.moved.notified().await;
        while let Err(error) = inner.reach().await {
            warn!(plugin = %inner.plugin, %error, "not every node can be reached; it will be tried again");
            inner.peers.lock().unwrap_or_else(PoisonError::into_inner).failed();
            pauses.wait().await;
        }
        pauses.reset();
    }
}

impl Inner {
    /// Tells the plugin what is new of other nodes, and does what it wants. Before everything is ready there is nothing
    /// to tell: it starts with everything.
    async fn reach(&self) -> Result<(), NetError> {
        if self.ready().is_err() {
            return Ok(());
        }
        // Held until it is done: the next plan builds on this one.
        let mut driver = self.driver.lock().await;
        let deltas = self.peers.lock().unwrap_or_else(PoisonError::into_inner).deltas(driver.instance());
        let Some((full, deltas)) = deltas else { return Ok(()) };
        let plan = driver.peers(full, deltas).await;
        let plan = self.noted(plan)?;
        self.permits.check(&plan)?;
        self.executor()?.apply_all(&plan).await
    }

    /// The largest packet between nodes; 0: not known.
    pub(super) async fn packet_size(&self, node: &NodeInfo) -> u32 {
        let address = node.addresses.first().and_then(|text| text.parse().ok());
        let (Some(address), Ok(executor)) = (address, self.executor()) else { return 0 };
        match executor.node().mtu_at(address).await {
            Ok(size) => size.unwrap_or_default(),
            Err(error) => {
                warn!(%address, %error, "can't see how large the packets of the node's link are");
                0
            }
        }
    }
}
