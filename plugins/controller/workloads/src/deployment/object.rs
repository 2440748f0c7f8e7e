//! A Deployment, as far as this plugin reads it.

use std::time::Duration;

use gantry_sdk::api::{IntOrString, LabelSelector, ObjectMeta, Resource};
use gantry_sdk::{Error, Result, Value};
use serde::{Deserialize, Serialize};

use crate::object::json::{is_zero, or_default};
use crate::object::{Condition, Labels};
use crate::replicaset::object::labels;

/// The number that stands for "never" and "all" in the API.
const NO_LIMIT: i64 = i32::MAX as i64;

/// A Deployment.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Deployment {
    /// `metadata`
    pub metadata: ObjectMeta,
    /// `spec`
    #[serde(deserialize_with = "or_default")]
    pub spec: Spec,
    /// `status`
    #[serde(deserialize_with = "or_default")]
    pub status: Status,
}

/// `spec`
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Spec {
    /// Pods wanted; absent: one.
    pub replicas: Option<i64>,
    /// Which ReplicaSets and pods are its own.
    #[serde(deserialize_with = "or_default")]
    pub selector: LabelSelector,
    /// What pods are made of.
    pub template: Value,
    /// How a new template replaces an old one.
    #[serde(deserialize_with = "or_default")]
    pub strategy: Strategy,
    /// Seconds that a pod must be ready to count as available.
    #[serde(deserialize_with = "or_default")]
    pub min_ready_seconds: i64,
    /// Old ReplicaSets kept for rollbacks.
    pub revision_history_limit: Option<i64>,
    /// Whether new templates wait.
    #[serde(deserialize_with = "or_default")]
    pub paused: bool,
    /// Seconds without progress after which a rollout has failed.
    pub progress_deadline_seconds: Option<i64>,
}

/// `spec.strategy`
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Strategy {
    /// `RollingUpdate` (also when absent) or `Recreate`.
    #[serde(rename = "type", deserialize_with = "or_default")]
    pub kind: String,
    /// Bounds of a rolling update.
    #[serde(deserialize_with = "or_default")]
    pub rolling_update: RollingUpdate,
}

/// `spec.strategy.rollingUpdate`
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct RollingUpdate {
    /// How many pods there may be beyond those wanted; absent: 25%.
    pub max_surge: Option<IntOrString>,
    /// How many of those wanted may be unavailable; absent: 25%.
    pub max_unavailable: Option<IntOrString>,
}

/// `status`
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Status {
    /// The generation that this status is about.
    #[serde(skip_serializing_if = "is_zero")]
    pub observed_generation: i64,
    /// Pods of all ReplicaSets.
    #[serde(skip_serializing_if = "is_zero")]
    pub replicas: i64,
    /// Pods of the newest template.
    #[serde(skip_serializing_if = "is_zero")]
    pub updated_replicas: i64,
    /// Pods that are ready.
    #[serde(skip_serializing_if = "is_zero")]
    pub ready_replicas: i64,
    /// Pods that have been ready for long enough.
    #[serde(skip_serializing_if = "is_zero")]
    pub available_replicas: i64,
    /// Pods that are still missing or not available.
    #[serde(skip_serializing_if = "is_zero")]
    pub unavailable_replicas: i64,
    /// `Available`, `Progressing`, `ReplicaFailure`
    #[serde(deserialize_with = "or_default", skip_serializing_if = "Vec::is_empty")]
    pub conditions: Vec<Condition>,
    /// How often the name of a new ReplicaSet was taken; part of the hash that names it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub collision_count: Option<i64>,
}

/// How far a rolling update may stray from the number of pods wanted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Limits {
    /// Pods beyond.
    pub surge: i64,
    /// Pods short.
    pub unavailable: i64,
}

impl Resource for Deployment {
    const GROUP: &'static str = "apps";
    const VERSION: &'static str = "v1";
    const KIND: &'static str = "Deployment";

    fn meta(&self) -> &ObjectMeta {
        &self.metadata
    }

    fn meta_mut(&mut self) -> &mut ObjectMeta {
        &mut self.metadata
    }
}

impl Deployment {
    /// Pods wanted.
    pub fn replicas(&self) -> i64 {
        self.spec.replicas.unwrap_or(1).max(0)
    }

    /// Whether old pods must be gone before new ones are made.
    pub fn recreates(&self) -> bool {
        self.spec.strategy.kind == "Recreate"
    }

    /// The bounds of its rolling update; none for `Recreate`.
    pub fn limits(&self) -> Result<Limits> {
        if self.recreates() {
            return Ok(Limits::default());
        }
        let quarter = || IntOrString::String("25%".to_owned());
        let (rolling, wanted) = (&self.spec.strategy.rolling_update, self.replicas());
        let count = |amount: &Option<IntOrString>, up, field: &str| {
            let count = amount.clone().unwrap_or_else(quarter).of_total(wanted, up);
            match count {
                Ok(count @ 0..) => Ok(count),
                Ok(_) => Err(Error::invalid(format!("spec.strategy.rollingUpdate.{field} is negative"))),
                Err(error) => Err(error.context(format!("spec.strategy.rollingUpdate.{field}"))),
            }
        };
        let surge = count(&rolling.max_surge, true, "maxSurge")?;
        let unavailable = count(&rolling.max_unavailable, false, "maxUnavailable")?;
        // With neither it could never move; small shares round to that.
        let unavailable = if surge == 0 && unavailable == 0 { 1 } else { unavailable };
        Ok(Limits { surge, unavailable: unavailable.min(wanted) })
    }

    /// How long a rollout may stand still, if there is a limit.
    pub fn progress_deadline(&self) -> Option<Duration> {
        let seconds = self.spec.progress_deadline_seconds.filter(|seconds| *seconds != NO_LIMIT)?;
        Some(Duration::from_secs(u64::try_from(seconds).unwrap_or(0)))
    }

    /// How many old ReplicaSets are kept, if there is a limit.
    pub fn history_limit(&self) -> Option<usize> {
        let limit = self.spec.revision_history_limit.filter(|limit| *limit != NO_LIMIT)?;
        usize::try_from(limit).ok()
    }

    /// Whether a status says that the rollout is over.
    pub fn complete(&self, status: &Status) -> bool {
        let wanted = self.replicas();
        status.updated_replicas == wanted
            && status.replicas == wanted
            && status.available_replicas == wanted
            && status.observed_generation >= self.metadata.generation
    }

    /// What makes it impossible to act on: rules that its schema can't say.
    pub fn problem(&self) -> Option<String> {
        let restart = self.spec.template.pointer("/spec/restartPolicy").and_then(Value::as_str).unwrap_or("Always");
        if !self.spec.selector.matches(&self.template_labels()) {
            Some("spec.selector does not match spec.template.metadata.labels".to_owned())
        } else if restart != "Always" {
            Some(format!("spec.template.spec.restartPolicy is {restart:?}, must be \"Always\""))
        } else {
            self.limits().err().map(|error| error.message)
        }
    }

    fn template_labels(&self) -> Labels {
        labels(&self.spec.template)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use gantry_sdk::json;

    fn deployment(spec: Value) -> Deployment {
        gantry_sdk::serde_json::from_value(json!({ "spec": spec })).unwrap()
    }

    #[test]
    fn limits_round_away_from_standing_still() {
        for (replicas, surge, unavailable, wanted) in [
            (10, json!(null), json!(null), Some((3, 2))),
            (1, json!(null), json!(null), Some((1, 0))),
            (4, json!("25%"), json!("25%"), Some((1, 1))),
            (3, json!(0), json!(0), Some((0, 1))),
            (3, json!("0%"), json!("10%"), Some((0, 1))),
            (0, json!(0), json!(0), Some((0, 0))),
            (3, json!(2), json!(7), Some((2, 3))),
            (3, json!("150%"), json!(0), Some((5, 0))),
            (3, json!("x"), json!(0), None),
            (3, json!(-1), json!(0), None),
        ] {
            let spec = json!({"replicas": replicas, "strategy": {"rollingUpdate": {"maxSurge": surge, "maxUnavailable": unavailable}}});
            let limits = deployment(spec.clone()).limits().ok();
            assert_eq!(limits.map(|l| (l.surge, l.unavailable)), wanted, "{spec}");
        }
        assert_eq!(deployment(json!({"strategy": {"type": "Recreate"}})).limits().unwrap(), Limits::default());
    }

    #[test]
    fn says_what_can_not_work() {
        let spec = |labels: Value, restart: &str| json!({"selector": {"matchLabels": {"app": "web"}}, "template": {"metadata": {"labels": labels}, "spec": {"restartPolicy": restart}}});
        assert_eq!(deployment(spec(json!({"app": "web", "tier": "a"}), "Always")).problem(), None);
        assert!(deployment(spec(json!({"app": "db"}), "Always")).problem().is_some());
        assert!(deployment(spec(json!({"app": "web"}), "Never")).problem().is_some());
    }

    #[test]
    fn the_greatest_number_is_no_limit() {
        let never = deployment(json!({"progressDeadlineSeconds": i32::MAX, "revisionHistoryLimit": i32::MAX}));
        assert_eq!((never.progress_deadline(), never.history_limit()), (None, None));
        let some = deployment(json!({"progressDeadlineSeconds": 5, "revisionHistoryLimit": 0}));
        assert_eq!((some.progress_deadline(), some.history_limit()), (Some(Duration::from_secs(5)), Some(0)));
    }
}
