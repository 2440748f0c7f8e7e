//! What a ReplicaSet's status says after a pass.

use std::time::Duration;

use gantry_sdk::api::Time;

use super::object::{ReplicaSet, Status};
use super::plan::Report;
use super::pod::Row;
use crate::object::{Condition, condition};

/// The condition that says that pods can't be made or deleted.
pub const REPLICA_FAILURE: &str = "ReplicaFailure";

/// The status that follows from the pods as they were read and what was done since. The second answer: when to look
/// again, because a ready pod becomes available then.
pub fn next(set: &ReplicaSet, pods: &[Row], report: &Report, now: Time) -> (Status, Option<Duration>) {
    let template = set.template_labels();
    let mut status = Status {
        replicas: count(report.created),
        fully_labeled_replicas: count(report.created),
        observed_generation: set.metadata.generation,
        conditions: conditions(set, report, now),
        ..Status::default()
    };
    let mut wait: Option<Duration> = None;
    for pod in pods.iter().filter(|pod| !pod.finished()) {
        if pod.deleting() || report.deleted.contains(pod.uid()) {
            status.terminating_replicas += 1;
            continue;
        }
        status.replicas += 1;
        status.ready_replicas += i64::from(pod.ready());
        status.fully_labeled_replicas += i64::from(template.iter().all(|(k, v)| pod.labels().get(k) == Some(v)));
        match pod.available_at(set.spec.min_ready_seconds) {
            Some(at) if at <= now => status.available_replicas += 1,
            Some(at) => wait = Some(wait.map_or(at.since(now), |wait| wait.min(at.since(now)))),
            None => {}
        }
    }
    (status, wait)
}

fn conditions(set: &ReplicaSet, report: &Report, now: Time) -> Vec<Condition> {
    let mut conditions = set.status.conditions.clone();
    match &report.failure {
        None => condition::remove(&mut conditions, REPLICA_FAILURE),
        // The first message stays: one that changes with every attempt would make every attempt a write.
        Some((reason, _)) if condition::find(&conditions, REPLICA_FAILURE).is_some_and(|c| c.reason == *reason) => {}
        Some((reason, error)) => {
            let mut failure = Condition::new(REPLICA_FAILURE, "True", reason, error.message.clone(), now);
            failure.last_update_time = None;
            condition::set(&mut conditions, failure);
        }
    }
    conditions
}

fn count(number: usize) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::object::Labels;
    use gantry_sdk::{Error, json};

    const NOW_MS: u64 = 100_000;

    fn pod(uid: &str, ready_for_ms: Option<u64>) -> Row {
        let mut row = Row { 1: uid.into(), 5: "Running".into(), ..Row::default() };
        row.3 = Labels::from([("app".into(), "web".into())]);
        if let Some(ms) = ready_for_ms {
            row.6 = "True".into();
            row.7 = Some(Time::from_millis(NOW_MS - ms));
        }
        row
    }

    fn set(min_ready_seconds: i64) -> ReplicaSet {
        let mut set = ReplicaSet::default();
        set.metadata.generation = 7;
        set.spec.min_ready_seconds = min_ready_seconds;
        set.spec.template = json!({"metadata": {"labels": {"app": "web"}}});
        set
    }

    fn numbers(status: &Status) -> [i64; 5] {
        [
            status.replicas,
            status.fully_labeled_replicas,
            status.ready_replicas,
            status.available_replicas,
            status.terminating_replicas,
        ]
    }

    #[test]
    fn counts() {
        let mut pods = vec![pod("a", Some(30_000)), pod("b", Some(4_000)), pod("c", None), pod("d", Some(1_000))];
        pods[2].3.clear();
        let mut done = pod("e", None);
        done.5 = "Succeeded".into();
        let mut going = pod("f", Some(50_000));
        going.4 = Some(Time::default());
        pods.extend([done, going]);
        let now = Time::from_millis(NOW_MS);
        let none = Report::default();
        let (status, wait) = next(&set(0), &pods, &none, now);
        assert_eq!((numbers(&status), wait, status.observed_generation), ([4, 3, 3, 3, 1], None, 7));
        let (status, wait) = next(&set(10), &pods, &none, now);
        assert_eq!((numbers(&status), wait), ([4, 3, 3, 1, 1], Some(Duration::from_secs(6))));
        let report = Report { created: 2, deleted: ["a".to_owned()].into(), ..Report::default() };
        let (status, _) = next(&set(0), &pods, &report, now);
        assert_eq!(numbers(&status), [5, 4, 2, 2, 2]);
    }

    #[test]
    fn a_failure_is_a_condition_until_it_is_over() {
        let now = Time::from_millis(NOW_MS);
        let failure = |message: &str| Some(("FailedCreate", Error::forbidden(message)));
        let mut set = set(0);
        let report = Report { failure: failure("no room"), ..Report::default() };
        set.status = next(&set, &[], &report, now).0;
        assert_eq!(set.status.conditions.len(), 1);
        assert_eq!(set.status.conditions[0].message, "no room");
        let report = Report { failure: failure("still no room"), ..Report::default() };
        let (again, _) = next(&set, &[], &report, Time::from_millis(NOW_MS + 5_000));
        assert_eq!(again, set.status, "a second failure of the same sort is no news");
        assert!(next(&set, &[], &Report::default(), now).0.conditions.is_empty());
    }
}
