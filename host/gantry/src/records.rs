//! Events on their way to sinks.

use std::sync::Arc;

use gantry_control::records::{self, Handle};
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

    /// Lets what waits go, then stops.
    pub async fn stop(self) {
        for sink in self.sinks {
            sink.stop().await;
        }
    }
}
