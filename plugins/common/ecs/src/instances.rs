//! Nodes as container instances.

use gantry_sdk::objects::{self, Query};
use gantry_sdk::{KindRef, Result};

/// Names of the nodes that take tasks: not cordoned, and ready.
pub fn open() -> Result<Vec<String>> {
    let fields = ["/metadata/name", "/spec/unschedulable", "/status/conditions/type=Ready/status"];
    let rows: Vec<(String, Option<bool>, Option<String>)> =
        objects::rows(&Query::kind(KindRef::new("", "Node")), fields)?;
    let open =
        rows.into_iter().filter(|(_, cordoned, ready)| *cordoned != Some(true) && ready.as_deref() == Some("True"));
    Ok(open.map(|(name, ..)| name).collect())
}
