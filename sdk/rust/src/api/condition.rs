use serde::{Deserialize, Serialize};

use super::{Other, Time};

/// `status.conditions[]`
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Condition {
    /// `Ready`, `Progressing`, ...
    #[serde(rename = "type")]
    pub condition_type: String,
    /// `True`, `False` or `Unknown`.
    pub status: String,
    /// CamelCase, for programs.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub reason: String,
    /// For people.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub message: String,
    /// When `status` last changed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_transition_time: Option<Time>,
    /// The rest (`lastUpdateTime`, `observedGeneration` and so on).
    #[serde(flatten)]
    pub other: Other,
}

impl Condition {
    /// A condition that holds or does not, from `now` on.
    pub fn new(condition_type: &str, holds: bool, reason: &str, message: impl Into<String>, now: Time) -> Self {
        Condition {
            condition_type: condition_type.to_string(),
            status: if holds { "True" } else { "False" }.to_string(),
            reason: reason.to_string(),
            message: message.into(),
            last_transition_time: Some(now),
            other: Other::new(),
        }
    }

    /// Is its status `True`?
    pub fn holds(&self) -> bool {
        self.status == "True"
    }

    /// The condition of a type.
    pub fn find<'a>(conditions: &'a [Condition], condition_type: &str) -> Option<&'a Condition> {
        conditions.iter().find(|c| c.condition_type == condition_type)
    }

    /// Puts a condition into a list in the place of the one of its type. While the status stays, so does the time of
    /// its last transition.
    pub fn set(conditions: &mut Vec<Condition>, mut condition: Condition) {
        match conditions.iter_mut().find(|c| c.condition_type == condition.condition_type) {
            None => conditions.push(condition),
            Some(old) => {
                if old.status == condition.status && old.last_transition_time.is_some() {
                    condition.last_transition_time = old.last_transition_time;
                }
                *old = condition;
            }
        }
    }
}
