//! Zones of nodes.

use std::collections::{BTreeMap, HashMap};

use gantry_sdk::api::{Node, Quantity};
use gantry_sdk::objects::{self, Query};
use gantry_sdk::{ObjectRef, Result};
use serde::Deserialize;

use crate::object::or_default;

const ZONE: &str = "topology.kubernetes.io/zone";
/// Nodes with one of these serve nobody's clients.
const EXCLUDED: [&str; 2] = ["node-role.kubernetes.io/control-plane", "node-role.kubernetes.io/master"];

/// What was looked up about nodes during one batch of passes.
#[derive(Debug, Default)]
pub struct Zones {
    known: HashMap<String, Option<String>>,
    shares: Option<Option<Shares>>,
}

/// Parts of the cluster's processors by zone; together 1.
pub type Shares = BTreeMap<String, f64>;

/// Labels, allocatable processors, and whether it is ready.
#[derive(Clone, Debug, Default, Deserialize)]
struct Row(
    #[serde(deserialize_with = "or_default")] BTreeMap<String, String>,
    Option<Quantity>,
    #[serde(deserialize_with = "or_default")] String,
);

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

    /// Of all zones; none if there are fewer than two, or a node whose zone or processors nobody knows.
    pub fn shares(&mut self) -> Result<Option<Shares>> {
        if let Some(known) = &self.shares {
            return Ok(known.clone());
        }
        let columns = ["/metadata/labels", "/status/allocatable/cpu", "/status/conditions/type=Ready/status"];
        let rows: Vec<Row> = objects::rows(&Query::of::<Node>(), columns)?;
        let shares = shares(&rows);
        self.shares = Some(shares.clone());
        Ok(shares)
    }
}

fn shares(rows: &[Row]) -> Option<Shares> {
    let mut processors: BTreeMap<String, f64> = BTreeMap::new();
    let counts = |row: &&Row| row.2 == "True" && !EXCLUDED.iter().any(|label| row.0.contains_key(*label));
    for Row(labels, cpu, _) in rows.iter().filter(counts) {
        let zone = labels.get(ZONE).filter(|zone| !zone.is_empty())?;
        let milli = cpu.as_ref()?.milli().ok().filter(|milli| *milli > 0)?;
        // Exact far beyond any cluster.
        *processors.entry(zone.clone()).or_default() += milli as f64;
    }
    let all: f64 = processors.values().sum();
    (processors.len() > 1).then(|| processors.into_iter().map(|(zone, part)| (zone, part / all)).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn zones_have_shares_when_everything_is_known() {
        let node = |zone: &str, cpu: &str, ready: &str| {
            let labels = [(ZONE.to_owned(), zone.to_owned())].into();
            Row(labels, Some(Quantity::from(cpu)).filter(|q| !q.0.is_empty()), ready.to_owned())
        };
        let two =
            [node("a", "3", "True"), node("b", "500m", "True"), node("b", "500m", "True"), node("c", "9", "False")];
        assert_eq!(shares(&two), Some([("a".to_owned(), 0.75), ("b".to_owned(), 0.25)].into()));
        assert_eq!(shares(&two[..1]), None);
        for unknown in [node("", "1", "True"), node("c", "", "True"), node("c", "0", "True")] {
            assert_eq!(shares(&[&two[..], &[unknown]].concat()), None);
        }
        let mut excluded = node("", "1", "True");
        excluded.0.insert(EXCLUDED[0].to_owned(), String::new());
        assert!(shares(&[&two[..], &[excluded]].concat()).is_some());
    }
}
