//! Conditions of a status.

use gantry_sdk::api::Time;
use serde::{Deserialize, Serialize};

/// One condition. ReplicaSets leave `lastUpdateTime` out.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Condition {
    /// `Available`, `Progressing`, `ReplicaFailure`
    #[serde(rename = "type")]
    pub kind: String,
    /// `True`, `False` or `Unknown`
    pub status: String,
    /// When anything about it changed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_update_time: Option<Time>,
    /// When `status` changed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_transition_time: Option<Time>,
    /// CamelCase, for programs.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub reason: String,
    /// For people.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub message: String,
}

impl Condition {
    /// A condition that came true, false or unknown now.
    pub fn new(kind: &str, status: &str, reason: &str, message: String, now: Time) -> Self {
        Self {
            kind: kind.to_owned(),
            status: status.to_owned(),
            last_update_time: Some(now),
            last_transition_time: Some(now),
            reason: reason.to_owned(),
            message,
        }
    }
}

/// The condition of this type.
pub fn find<'a>(conditions: &'a [Condition], kind: &str) -> Option<&'a Condition> {
    conditions.iter().find(|condition| condition.kind == kind)
}

/// Forgets the condition of this type.
pub fn remove(conditions: &mut Vec<Condition>, kind: &str) {
    conditions.retain(|condition| condition.kind != kind);
}

/// Puts a condition in unless one says the same already; the time of the last transition stays while the status does.
pub fn set(conditions: &mut Vec<Condition>, condition: Condition) {
    match find(conditions, &condition.kind) {
        Some(old) if same(old, &condition) => {}
        _ => renew(conditions, condition),
    }
}

/// Like `set`, but notes the time even if nothing else changed: something moved.
pub fn renew(conditions: &mut Vec<Condition>, mut condition: Condition) {
    match conditions.iter_mut().find(|old| old.kind == condition.kind) {
        None => conditions.push(condition),
        Some(old) => {
            if old.status == condition.status {
                condition.last_transition_time = old.last_transition_time;
            }
            *old = condition;
        }
    }
}

fn same(a: &Condition, b: &Condition) -> bool {
    (&a.status, &a.reason, &a.message) == (&b.status, &b.reason, &b.message)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_transition_is_a_change_of_status() {
        let time = Time::from_millis;
        let at = |status: &str, reason: &str, now| Condition::new("Progressing", status, reason, String::new(), now);
        let mut conditions = vec![at("True", "A", time(0))];
        set(&mut conditions, at("True", "A", time(5_000)));
        assert_eq!(conditions, [at("True", "A", time(0))]);
        set(&mut conditions, at("True", "B", time(5_000)));
        assert_eq!(conditions[0].last_update_time, Some(time(5_000)));
        assert_eq!(conditions[0].last_transition_time, Some(time(0)));
        renew(&mut conditions, at("True", "B", time(7_000)));
        assert_eq!(conditions[0].last_update_time, Some(time(7_000)));
        set(&mut conditions, at("False", "B", time(9_000)));
        assert_eq!(conditions[0].last_transition_time, Some(time(9_000)));
        remove(&mut conditions, "Progressing");
        assert!(conditions.is_empty());
    }
}
