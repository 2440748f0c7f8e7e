//! The numbers of a Deployment's status.

use super::object::Status;
use super::work::Work;
use crate::object::{Condition, condition};
use crate::replicaset::status::REPLICA_FAILURE;

/// Enough pods are available.
pub const AVAILABLE: &str = "Available";

/// Counts pods and sets the condition `Available`.
pub fn count(work: &mut Work) {
    let sum = |of: fn(&crate::replicaset::object::Status) -> i64| work.all().map(|t| of(&t.set.status)).sum::<i64>();
    let available = sum(|status| status.available_replicas);
    let counted = Status {
        observed_generation: work.deployment.metadata.generation,
        replicas: sum(|status| status.replicas),
        updated_replicas: work.new.as_ref().map_or(0, |new| new.set.status.replicas),
        ready_replicas: sum(|status| status.ready_replicas),
        available_replicas: available,
        unavailable_replicas: (work.total() - available).max(0),
        conditions: std::mem::take(&mut work.status.conditions),
        collision_count: work.status.collision_count,
    };
    let enough = available >= work.least();
    work.status = counted;
    let condition = if enough {
        ("True", "MinimumReplicasAvailable", "Deployment has minimum availability.")
    } else {
        ("False", "MinimumReplicasUnavailable", "Deployment does not have minimum availability.")
    };
    let (status, reason, message) = condition;
    set(work, Condition::new(AVAILABLE, status, reason, message.to_owned(), work.now));
}

/// Shows the failure of a set as the Deployment's own, the new set's first.
pub fn failure(work: &mut Work) {
    let found = work.all().find_map(|t| condition::find(&t.set.status.conditions, REPLICA_FAILURE)).cloned();
    match found {
        None => condition::remove(&mut work.status.conditions, REPLICA_FAILURE),
        Some(failure) => {
            let now = work.now;
            set(work, Condition::new(REPLICA_FAILURE, &failure.status, &failure.reason, failure.message, now));
        }
    }
}

/// Puts a condition in unless it is there already.
pub fn set(work: &mut Work, condition: Condition) {
    condition::set(&mut work.status.conditions, condition);
}
