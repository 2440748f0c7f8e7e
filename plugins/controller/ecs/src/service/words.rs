//! What a service says of itself, in ECS's words.

use ecs_common::ids::{digest, uuid};
use gantry_sdk::api::Time;

use super::object::{ServiceEvent, ServiceStatus};

/// Events that are kept, as ECS does.
const MOST: usize = 100;
/// Tasks that one event names.
const NAMED: usize = 10;

/// Writes events of one service.
pub struct Teller<'a> {
    /// The object's uid, for ids.
    pub uid: &'a str,
    /// Its name in ECS.
    pub name: &'a str,
    /// The task set that it is about; empty: all of it.
    pub set: &'a str,
    /// When.
    pub now: Time,
}

impl Teller<'_> {
    /// `(service web) …`, `(service web, taskSet ecs-svc/…) …`
    pub fn say(&self, status: &mut ServiceStatus, what: &str) {
        status.event_count += 1;
        let id = uuid(&digest(&format!("event {} {}", self.uid, status.event_count), 32));
        let set = if self.set.is_empty() { String::new() } else { format!(", taskSet {}", self.set) };
        let message = format!("(service {}{set}) {what}", self.name);
        status.events.insert(0, ServiceEvent { id, created_at: Some(self.now), message });
        status.events.truncate(MOST);
    }

    /// `has started 2 tasks: (task …) (task …).`
    pub fn started(&self, status: &mut ServiceStatus, ids: &[&str]) {
        for ids in ids.chunks(NAMED) {
            self.say(status, &format!("has started {} tasks: {}.", ids.len(), tasks(ids)));
        }
    }

    /// `(task …) failed container health checks.`
    pub fn unhealthy(&self, status: &mut ServiceStatus, ids: &[String]) {
        for id in ids {
            self.say(status, &format!("(task {id}) failed container health checks."));
        }
    }

    /// `has stopped 1 running tasks: (task …).`
    pub fn stopped(&self, status: &mut ServiceStatus, ids: &[&str]) {
        for ids in ids.chunks(NAMED) {
            self.say(status, &format!("has stopped {} running tasks: {}.", ids.len(), tasks(ids)));
        }
    }
}

fn tasks(ids: &[&str]) -> String {
    ids.iter().map(|id| format!("(task {id})")).collect::<Vec<_>>().join(" ")
}
