//! The tasks of a service as its planner sees them.

use std::time::Duration;

use gantry_sdk::Result;
use gantry_sdk::api::Time;
use gantry_sdk::objects::{self, Query};
use serde::Deserialize;

use super::object::Service;
use crate::object::Task;

/// Ends that are the task's own, not somebody's wish.
const OWN: [&str; 2] = ["EssentialContainerExited", "TaskFailedToStart"];

/// A task.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Member {
    /// Its id.
    pub id: String,
    /// The deployment that started it.
    pub deployment: String,
    /// Its number in the deployment.
    pub serial: u64,
    /// `lastStatus`
    pub last: String,
    /// Whether it is to stop, or has stopped.
    pub ending: bool,
    /// The node that it is on, or is to be on.
    pub node: String,
    /// The capacity provider that it counts for; empty: none.
    pub provider: String,
    /// Addresses of its pod.
    pub addresses: Vec<String>,
    /// When all of it ran.
    pub started_at: Option<Time>,
    /// When it began to end, or had ended.
    pub ended_at: Option<Time>,
    /// Why it ended.
    pub stop_code: String,
    /// Why it has no node yet; empty when nobody has tried.
    pub unplaced: String,
    /// `HEALTHY`, `UNHEALTHY` or `UNKNOWN`; empty without health checks.
    pub health: String,
    /// When it first passed all of them.
    pub healthy_at: Option<Time>,
    /// How long after its start failed ones are looked over.
    pub grace: Duration,
}

const FIELDS: [&str; 17] = [
    "/metadata/name",
    "/spec/startedBy",
    "/spec/serial",
    "/spec/desiredStatus",
    "/spec/node",
    "/status/lastStatus",
    "/status/desiredStatus",
    "/status/node",
    "/status/startedAt",
    "/status/stoppingAt",
    "/status/stoppedAt",
    "/status/stopCode",
    "/status/unplaced",
    "/status/addresses",
    "/spec/capacityProvider",
    "/status/healthStatus",
    "/status/healthyAt",
];

/// Columns of a task, in the order of `FIELDS`.
#[derive(Deserialize)]
struct Row {
    id: String,
    deployment: Option<String>,
    serial: Option<u64>,
    wanted: Option<String>,
    pinned: Option<String>,
    last: Option<String>,
    desired: Option<String>,
    node: Option<String>,
    started: Option<Time>,
    stopping: Option<Time>,
    stopped: Option<Time>,
    code: Option<String>,
    unplaced: Option<String>,
    addresses: Option<Vec<String>>,
    provider: Option<String>,
    health: Option<String>,
    healthy: Option<Time>,
}

/// All tasks that a service has, stopped ones too as long as they are remembered.
pub fn of(service: &Service) -> Result<Vec<Member>> {
    let query = Query::of::<Task>().namespace(&service.metadata.namespace).owner(&service.metadata.uid);
    let rows: Vec<Row> = objects::rows(&query, FIELDS)?;
    let grace = service.spec.grace();
    Ok(rows.into_iter().map(|row| Member { grace, ..Member::from(row) }).collect())
}

impl From<Row> for Member {
    fn from(row: Row) -> Self {
        let stop = |text: &Option<String>| text.as_deref() == Some("STOPPED");
        Self {
            ending: stop(&row.wanted) || stop(&row.desired) || stop(&row.last),
            id: row.id,
            deployment: row.deployment.unwrap_or_default(),
            serial: row.serial.unwrap_or_default(),
            last: row.last.unwrap_or_default(),
            node: row.pinned.or(row.node).unwrap_or_default(),
            provider: row.provider.unwrap_or_default(),
            addresses: row.addresses.unwrap_or_default(),
            started_at: row.started,
            ended_at: row.stopping.or(row.stopped),
            stop_code: row.code.unwrap_or_default(),
            unplaced: row.unplaced.unwrap_or_default(),
            health: row.health.unwrap_or_default(),
            healthy_at: row.healthy,
            grace: Duration::ZERO,
        }
    }
}

impl Member {
    /// Whether nothing of it is left.
    pub fn is_stopped(&self) -> bool {
        self.last == "STOPPED"
    }

    /// Whether it runs and is to go on.
    pub fn is_running(&self) -> bool {
        !self.ending && self.last == "RUNNING"
    }

    /// Whether it has health checks. Without, ECS has no other sign of a task that is well than that it runs.
    pub fn is_checked(&self) -> bool {
        !self.health.is_empty()
    }

    /// Whether it fails them.
    pub fn is_unhealthy(&self) -> bool {
        self.health == "UNHEALTHY"
    }

    /// Whether it fails them and has run for longer than that is looked over, so that it has to go.
    pub fn is_given_up(&self, now: Time) -> bool {
        self.is_unhealthy() && self.graced_for(now).is_none()
    }

    /// In how long failed health checks begin to count; none: they do.
    pub fn graced_for(&self, now: Time) -> Option<Duration> {
        let left = self.grace.saturating_sub(now.since(self.started_at?));
        (!left.is_zero()).then_some(left)
    }

    /// Whether it passes its health checks, or has run for so long that it is taken to be well.
    pub fn is_healthy(&self, now: Time, after: Duration) -> bool {
        let long = || self.started_at.is_some_and(|started| now.since(started) >= after);
        self.is_running() && if self.is_checked() { self.healthy_at.is_some() && !self.is_unhealthy() } else { long() }
    }

    /// Whether it had ended by itself, or failed its health checks, before it was well.
    pub fn has_failed(&self, after: Duration) -> bool {
        let was_well = self.healthy_until(self.ended_at.unwrap_or_default(), after).is_some();
        let unhealthy = self.is_given_up(self.ended_at.unwrap_or_default());
        self.is_stopped() && (OWN.contains(&self.stop_code.as_str()) || unhealthy) && !was_well
    }

    /// Up to when it was well, if it ever was.
    pub fn healthy_until(&self, now: Time, after: Duration) -> Option<Time> {
        let end = if self.ending { self.ended_at.unwrap_or(now) } else { now };
        let long = || self.started_at.is_some_and(|started| end.since(started) >= after);
        let well = if self.is_checked() { self.healthy_at.is_some() } else { long() };
        well.then_some(end)
    }
}
