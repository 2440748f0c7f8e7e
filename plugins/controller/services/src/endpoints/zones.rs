//! Zones of nodes.

use std::collections::HashMap;

use gantry_sdk::api::Node;
use gantry_sdk::objects;
use gantry_sdk::{ObjectRef, Result};

const ZONE: &str = "topology.kubernetes.io/zone";

/// Zones that were looked up during one batch of passes.
#[derive(Debug, Default)]
pub struct Zones {
    known: HashMap<String, Option<String>>,
}

impl Zones {
    /// Of a node; none when it has none or is gone.
    pub fn of(&mut self, node: &str) -> Result<Option<String>> {
        if let Some(known) = self.known.get(node) {
            return Ok(known.clone());
        }
        let found = objects::get::<Node>(&ObjectRef::of::<Node>("", node))?;
        let zone = found.and_then(|node| node.metadata.labels.get(ZONE).cloned());
        self.known.insert(node.to_owned(), zone.clone());
        Ok(zone)
    }
}
