//! Records on their way to sinks: Events of this control plane, and log lines of its node.

use std::sync::Arc;

use async_trait::async_trait;
use gantry_control::records::{self, Handle, Inlet};
use gantry_node::records::{Away, Batch, Fate, Outlet};
use gantry_objects::Objects;
use gantry_plugin::Loaded;

/// The sinks of the bundle.
pub struct Records {
    sinks: Vec<Handle>,
}

impl Records {
    /// Starts one pipeline per sink.
    pub fn start(loaded: &[Arc<Loaded>], objects: &Objects) -> Self {
        let sinks = loaded.iter().filter_map(|plugin| {
            let sink = plugin.sink()?;
            Some(records::start(records::Options { plugin: plugin.name().to_owned(), sink, objects: objects.clone() }))
        });
        Self { sinks: sinks.collect() }
    }

    /// Where a node in this process hands its log lines over.
    pub fn outlets(&self) -> Vec<Arc<dyn Outlet>> {
        self.sinks.iter().map(|sink| Arc::new(Direct(sink.inlet())) as Arc<dyn Outlet>).collect()
    }

    /// Stops the pipelines.
    pub async fn stop(self) {
        for sink in self.sinks {
            sink.stop().await;
        }
    }
}

/// From a node to a sink within this process.
struct Direct(Inlet);

#[async_trait]
impl Outlet for Direct {
    fn name(&self) -> &str {
        self.0.plugin()
    }

    async fn deliver(&self, batch: Arc<Batch>) -> Result<Fate, Away> {
        match self.0.deliver(batch).await {
            Some(records::Fate::Accepted) => Ok(Fate::Accepted),
            Some(records::Fate::Rejected(why)) => Ok(Fate::Rejected(why)),
            None => Err(Away("its pipeline has stopped".to_owned())),
        }
    }
}
