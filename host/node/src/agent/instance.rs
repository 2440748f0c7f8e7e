//! One life of a container: what the runtime has of it, and the labels by which an agent that starts finds it again.

use std::collections::BTreeMap;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{ContainerState, ContainerStatus};
use sha2::{Digest, Sha256};

use super::desired::{Desired, Unit};
use crate::cluster::PodRef;
use crate::runtime::{Exit, Found, State};

const UID: &str = "gantry.dev/pod-uid";
const NAMESPACE: &str = "gantry.dev/pod-namespace";
const NAME: &str = "gantry.dev/pod-name";
const CONTAINER: &str = "gantry.dev/container";
const ATTEMPT: &str = "gantry.dev/attempt";
const HASH: &str = "gantry.dev/spec-hash";
const DELAY: &str = "gantry.dev/delay";
const IMAGE: &str = "gantry.dev/image-id";
const RESOLVED: &str = "gantry.dev/image";
const BOOT: &str = "gantry.dev/boot-id";

/// What the status calls the end of a container that the runtime has no more.
const LOST: &str = "ContainerStatusUnknown";

/// Container names up to this length go into ids as they are.
const NAME_IN_ID: usize = 24;

/// How an instance is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Life {
    /// Made, not started.
    Created,
    /// Runs.
    Running,
    /// Ended.
    Ended(End),
}

/// How an instance ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct End {
    /// The exit code.
    pub code: i32,
    /// When.
    pub at: Timestamp,
    /// `Completed`, `Error`, `OOMKilled`, …
    pub reason: String,
    /// The termination message.
    pub message: String,
}

/// One life of a container.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Instance {
    /// The runtime's id.
    pub id: String,
    /// The container's name in the spec.
    pub container: String,
    /// Counts from 0.
    pub attempt: u32,
    /// Of the spec it was made from.
    pub hash: String,
    /// Seconds to wait after its end, unless it ran for long: the back-off's memory, which so survives the agent.
    pub delay: u32,
    /// The image as the runtime names it.
    pub image: String,
    /// The image's id.
    pub image_id: String,
    /// How it is.
    pub life: Life,
    /// When it was started.
    pub started: Option<Timestamp>,
    /// Whether the runtime has it; what only the status remembers has nothing to remove.
    pub in_runtime: bool,
    /// It ran in a sandbox that is gone: before the machine's last boot, or the runtime has lost it. What it did in there
    /// for other containers (as init containers do) is gone too.
    pub former: bool,
}

impl Instance {
    /// One that is about to be made.
    pub fn new(pod: &PodRef, unit: &Unit, attempt: u32, delay: u32) -> Self {
        Self {
            id: id(&pod.uid, unit.name(), attempt),
            container: unit.name().to_owned(),
            attempt,
            hash: unit.hash.clone(),
            delay,
            image: unit.spec.image.clone().unwrap_or_default(),
            image_id: String::new(),
            life: Life::Created,
            started: None,
            in_runtime: true,
            former: false,
        }
    }

    /// As found in the runtime during this boot of the machine, with its pod; `None` when the labels are not this agent's.
    pub fn found(found: &Found, boot: &str) -> Option<(PodRef, Self)> {
        let text = |key: &str| found.labels.get(key).cloned();
        let pod = PodRef { namespace: text(NAMESPACE)?, name: text(NAME)?, uid: text(UID)? };
        let life = match &found.state {
            State::Created => Life::Created,
            State::Running { .. } => Life::Running,
            State::Exited(exit) => Life::Ended(End::of(exit)),
            State::Unknown => Life::Ended(End::lost(found.started.unwrap_or(found.created))),
        };
        let started = match life {
            Life::Created => None,
            _ => found.started.or(Some(found.created)),
        };
        let instance = Self {
            id: found.id.clone(),
            container: text(CONTAINER)?,
            attempt: text(ATTEMPT)?.parse().ok()?,
            hash: text(HASH).unwrap_or_default(),
            delay: text(DELAY).and_then(|delay| delay.parse().ok()).unwrap_or_default(),
            image: text(RESOLVED).unwrap_or_else(|| found.image.clone()),
            image_id: text(IMAGE).unwrap_or_default(),
            life,
            started,
            in_runtime: true,
            // One without the label was made by an agent that wrote none: nothing says that it is old.
            former: text(BOOT).is_some_and(|made_in| made_in != boot),
        };
        Some((pod, instance))
    }

    /// The labels that [`Instance::found`] reads, of one that is made during this boot.
    pub fn labels(&self, pod: &PodRef, boot: &str) -> BTreeMap<String, String> {
        [
            (UID, pod.uid.clone()),
            (NAMESPACE, pod.namespace.clone()),
            (NAME, pod.name.clone()),
            (CONTAINER, self.container.clone()),
            (ATTEMPT, self.attempt.to_string()),
            (HASH, self.hash.clone()),
            (DELAY, self.delay.to_string()),
            (IMAGE, self.image_id.clone()),
            (RESOLVED, self.image.clone()),
            (BOOT, boot.to_owned()),
        ]
        .into_iter()
        .map(|(key, value)| (key.to_owned(), value))
        .collect()
    }

    /// Whether it runs.
    pub fn is_running(&self) -> bool {
        self.life == Life::Running
    }

    /// How it ended, if it has.
    pub fn end(&self) -> Option<&End> {
        match &self.life {
            Life::Ended(end) => Some(end),
            _ => None,
        }
    }
}

impl End {
    /// As the runtime saw it.
    pub fn of(exit: &Exit) -> Self {
        let reason = match (exit.oom, exit.code) {
            (true, _) => "OOMKilled",
            (false, 0) => "Completed",
            _ => "Error",
        };
        Self { code: exit.code, at: exit.at, reason: reason.to_owned(), message: String::new() }
    }

    /// Nobody knows how.
    pub fn lost(at: Timestamp) -> Self {
        let message = "The container could not be located when the pod was looked at again";
        Self { code: 137, at, reason: LOST.to_owned(), message: message.to_owned() }
    }

    /// Whether that is so.
    pub fn is_lost(&self) -> bool {
        self.reason == LOST
    }
}

/// The id of an instance: at most 76 bytes, and another for every attempt of every container.
pub fn id(uid: &str, container: &str, attempt: u32) -> String {
    if container.len() <= NAME_IN_ID {
        return format!("{uid}-{container}-{attempt}");
    }
    let hash = hex::encode(Sha256::digest(container.as_bytes()));
    let (head, hash): (String, String) = (container.chars().take(12).collect(), hash.chars().take(11).collect());
    format!("{uid}-{head}.{hash}-{attempt}")
}

/// What the status remembers of containers that the runtime has lost or forgotten, for units without an instance.
pub fn remembered(desired: &Desired, known: &[Instance], now: Timestamp) -> Vec<Instance> {
    let Some(status) = desired.status() else { return Vec::new() };
    let statuses = status.init_container_statuses.iter().chain(&status.container_statuses).flatten();
    statuses
        .filter(|status| !known.iter().any(|instance| instance.container == status.name))
        .filter_map(|status| remember(desired, status, now))
        .collect()
}

fn remember(desired: &Desired, status: &ContainerStatus, now: Timestamp) -> Option<Instance> {
    let unit = desired.unit(&status.name)?;
    let attempt = u32::try_from(status.restart_count).unwrap_or_default();
    let mut instance = Instance::new(&desired.key, unit, attempt, 0);
    (instance.in_runtime, instance.former) = (false, true);
    instance.image_id = status.image_id.clone();
    let (end, started) =
        [&status.state, &status.last_state].into_iter().find_map(|state| ended(state.as_ref()?, now))?;
    instance.life = Life::Ended(end);
    instance.started = started;
    // The wait of a container that had restarted: what the back-off would have reached by then.
    instance.delay = (0..attempt.min(10)).fold(0, |delay, _| super::backoff::next(delay));
    Some(instance)
}

/// How the container of a state ended: the runtime has no such container, so a running one is lost.
fn ended(state: &ContainerState, now: Timestamp) -> Option<(End, Option<Timestamp>)> {
    if let Some(running) = &state.running {
        return Some((End::lost(now), running.started_at.as_ref().map(|at| at.0)));
    }
    let terminated = state.terminated.as_ref()?;
    let end = End {
        code: terminated.exit_code,
        at: terminated.finished_at.as_ref().map_or(now, |at| at.0),
        reason: terminated.reason.clone().unwrap_or_default(),
        message: terminated.message.clone().unwrap_or_default(),
    };
    Some((end, terminated.started_at.as_ref().map(|at| at.0)))
}

#[cfg(test)]
mod tests {
    use super::*;

    const POD_UID: &str = "0f8fad5b-d9cb-469f-a165-70867728950e";

    #[test]
    fn ids_are_short_and_distinct() {
        let long = "a".repeat(63);
        let longer = format!("{}b", "a".repeat(62));
        let ids = [id(POD_UID, "web", 0), id(POD_UID, "web", 1), id(POD_UID, &long, u32::MAX), id(POD_UID, &longer, 0)];
        for (i, one) in ids.iter().enumerate() {
            assert!(one.len() <= 76, "{one} has {} bytes", one.len());
            assert!(ids.iter().skip(i + 1).all(|other| other != one));
        }
        assert_ne!(id(POD_UID, &long, 0), id(POD_UID, &longer, 0));
    }
}
