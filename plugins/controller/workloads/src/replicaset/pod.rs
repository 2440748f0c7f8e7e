//! Pods as columns: the little that counting and ranking them needs.

use std::time::Duration;

use gantry_sdk::api::Time;
use serde::Deserialize;

use crate::object::Labels;
use crate::object::json::or_default;

/// Where the columns that every pass reads are; `Row` has its fields in this order.
pub const COLUMNS: [&str; 8] = [
    "/metadata/name",
    "/metadata/uid",
    "/metadata/ownerReferences/controller=true/uid",
    "/metadata/labels",
    "/metadata/deletionTimestamp",
    "/status/phase",
    "/status/conditions/type=Ready/status",
    "/status/conditions/type=Ready/lastTransitionTime",
];

/// Where the further columns are that only the choice of victims reads.
pub const RANK_COLUMNS: [&str; 4] = [
    "/metadata/creationTimestamp",
    "/metadata/annotations/controller.kubernetes.io~1pod-deletion-cost",
    "/spec/nodeName",
    "/status/containerStatuses",
];

/// One pod.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
pub struct Row(
    /// name
    #[serde(deserialize_with = "or_default")]
    pub String,
    /// uid
    #[serde(deserialize_with = "or_default")]
    pub String,
    /// the controller's uid
    #[serde(deserialize_with = "or_default")]
    pub String,
    /// labels
    #[serde(deserialize_with = "or_default")]
    pub Labels,
    /// deletion timestamp
    pub Option<Time>,
    /// phase
    #[serde(deserialize_with = "or_default")]
    pub String,
    /// status of the condition Ready
    #[serde(deserialize_with = "or_default")]
    pub String,
    /// its last transition
    pub Option<Time>,
    /// creation timestamp
    #[serde(default)]
    pub Option<Time>,
    /// deletion cost
    #[serde(default, deserialize_with = "or_default")]
    pub String,
    /// node
    #[serde(default, deserialize_with = "or_default")]
    pub String,
    /// containers
    #[serde(default, deserialize_with = "or_default")]
    pub Vec<Container>,
);

/// `status.containerStatuses[]`
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Container {
    /// How often it was started again.
    pub restart_count: i64,
}

impl Row {
    /// The pod's name.
    pub fn name(&self) -> &str {
        &self.0
    }

    /// The pod's uid.
    pub fn uid(&self) -> &str {
        &self.1
    }

    /// The uid of its controller; empty when it has none.
    pub fn controller(&self) -> &str {
        &self.2
    }

    /// Its labels.
    pub fn labels(&self) -> &Labels {
        &self.3
    }

    /// Whether deletion has begun.
    pub fn deleting(&self) -> bool {
        self.4.is_some()
    }

    /// Whether its containers have ended for good.
    pub fn finished(&self) -> bool {
        matches!(self.5.as_str(), "Succeeded" | "Failed")
    }

    /// Whether it counts: neither finished nor going.
    pub fn active(&self) -> bool {
        !self.finished() && !self.deleting()
    }

    /// `Pending`, `Running`, `Unknown`
    pub fn phase(&self) -> &str {
        &self.5
    }

    /// Whether it is ready.
    pub fn ready(&self) -> bool {
        self.6 == "True"
    }

    /// When it became ready or unready.
    pub fn ready_since(&self) -> Option<Time> {
        self.7
    }

    /// When it has been ready for `seconds`; `None` when it is not ready.
    pub fn available_at(&self, seconds: i64) -> Option<Time> {
        match u64::try_from(seconds) {
            _ if !self.ready() => None,
            Ok(1..) => Some(self.ready_since()?.after(Duration::from_secs(seconds.unsigned_abs()))),
            _ => Some(Time::default()),
        }
    }

    /// When it was made.
    pub fn created(&self) -> Option<Time> {
        self.8
    }

    /// What the user says that deleting it costs.
    pub fn deletion_cost(&self) -> i32 {
        self.9.parse().unwrap_or(0)
    }

    /// The node that it is on; empty before it was placed.
    pub fn node(&self) -> &str {
        &self.10
    }

    /// The most restarts of any of its containers.
    pub fn restarts(&self) -> i64 {
        self.11.iter().map(|container| container.restart_count).max().unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_columns_with_and_without_the_ranking() {
        let short = r#"["a","1","rs",null,null,"Running","True","1970-01-01T00:00:10Z"]"#;
        let row: Row = gantry_sdk::serde_json::from_str(short).unwrap();
        assert!(row.active() && row.ready());
        assert_eq!(row.available_at(0), Some(Time::default()));
        assert_eq!(row.available_at(5), Some(Time::from_millis(15_000)));
        assert_eq!((row.node(), row.restarts(), row.created()), ("", 0, None));
        let long = r#"["a","1",null,{"app":"web"},"1970-01-01T00:00:10Z","Pending",null,null,
            "1970-01-01T00:00:01Z","-7","n1",[{"name":"c","restartCount":2},{"restartCount":3}]]"#;
        let row: Row = gantry_sdk::serde_json::from_str(long).unwrap();
        assert!(!row.active() && !row.ready() && row.deleting());
        assert_eq!((row.node(), row.restarts(), row.created()), ("n1", 3, Some(Time::from_millis(1_000))));
        assert_eq!(row.deletion_cost(), -7);
        assert_eq!(COLUMNS.len() + RANK_COLUMNS.len(), 12);
    }
}
