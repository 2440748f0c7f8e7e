//! What to do next for one pod: a function of its spec, what is seen of its containers, and the time. It takes no hint
//! of what happened before, so an agent that starts over and one that has been running decide alike.

mod before;
mod ending;
#[cfg(test)]
mod tests;
mod turn;

use std::collections::{BTreeMap, BTreeSet, HashMap};

use jiff::Timestamp;

use super::desired::{Policy, Role, Unit};
use super::instance::{End, Instance};

/// What a plan depends on.
#[derive(Clone, Debug)]
pub struct View<'a> {
    /// `name_namespace(uid)`, for messages.
    pub pod: &'a str,
    /// Init containers and sidecars in order, then the ordinary ones.
    pub units: &'a [Unit],
    /// Restarts of ordinary containers.
    pub policy: Policy,
    /// Every instance known.
    pub instances: &'a [Instance],
    /// What is known of running instances besides that they run, by id.
    pub health: &'a HashMap<String, Health>,
    /// Steps under way.
    pub busy: &'a Busy,
    /// Why steps that failed must wait, by container; the empty name is the pod's own preparation.
    pub holds: &'a HashMap<String, Hold>,
    /// Volumes and network are there.
    pub prepared: bool,
    /// Volumes and network have been given up.
    pub torn_down: bool,
    /// The pod must end.
    pub stop: bool,
    /// Now.
    pub now: Timestamp,
}

/// What is known of a running instance.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Health {
    /// Its startup probe, if it has one, has succeeded.
    pub started: bool,
    /// Its postStart hook, if it has one, is done.
    pub hooked: bool,
    /// Its readiness probe, if it has one, succeeds.
    pub ready: bool,
    /// It must be killed.
    pub doom: Option<Doom>,
}

/// Why a container must be killed though its pod goes on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Doom {
    /// The Event's words.
    pub message: String,
    /// The probe's own grace, in seconds.
    pub grace: Option<i64>,
}

/// Steps under way.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Busy {
    /// This container is being made and started, or its postStart hook runs.
    pub starting: Option<String>,
    /// Volumes and network are being made.
    pub preparing: bool,
    /// Volumes and network are being given up.
    pub tearing_down: bool,
    /// Instances that are being killed.
    pub killing: BTreeSet<String>,
    /// Instances that are being removed.
    pub forgetting: BTreeSet<String>,
}

/// A failed step waits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hold {
    /// `ErrImagePull`, `CreateContainerConfigError`, …
    pub reason: &'static str,
    /// Shown with it.
    pub message: String,
    /// When to try again.
    pub until: Timestamp,
    /// From when on another reason and message are shown.
    pub later: Option<(Timestamp, &'static str, String)>,
    /// The length of this wait, in seconds.
    pub delay: u32,
}

/// A step to take.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Make volumes and network.
    Prepare,
    /// Make and start an instance.
    Start {
        /// Of this container.
        container: String,
        /// Its number.
        attempt: u32,
        /// Its place in the back-off.
        delay: u32,
    },
    /// Start an instance that is made already.
    Resume {
        /// Its id.
        id: String,
    },
    /// Run the postStart hook.
    Hook {
        /// Of this instance.
        id: String,
    },
    /// End an instance.
    Kill {
        /// Its id.
        id: String,
        /// The Event's words.
        message: String,
        /// Seconds, where they are not the pod's.
        grace: Option<i64>,
    },
    /// Remove an instance from the runtime.
    Forget {
        /// Its id.
        id: String,
    },
    /// Give up volumes and network: nothing runs any more.
    TearDown,
}

/// Why a container does not run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Waiting {
    /// `ContainerCreating`, `CrashLoopBackOff`, …
    pub reason: String,
    /// Shown with it.
    pub message: String,
}

/// How the containers ended, all in all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Every ordinary container succeeded.
    Succeeded,
    /// One failed for good.
    Failed,
}

/// What to do, and what to show meanwhile.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Plan {
    /// Steps to take now. They may be taken at once.
    pub actions: Vec<Action>,
    /// Containers that wait, by name.
    pub waiting: BTreeMap<String, Waiting>,
    /// When to look again though nothing happened.
    pub wake: Option<Timestamp>,
    /// Every init container is done.
    pub initialized: bool,
    /// The containers came to their end by themselves.
    pub outcome: Option<Outcome>,
}

impl Plan {
    fn wake_at(&mut self, at: Timestamp) {
        self.wake = Some(self.wake.map_or(at, |wake| wake.min(at)));
    }
}

/// The next steps.
pub fn plan(view: &View<'_>) -> Plan {
    let mut plan = Plan { initialized: initialized(view), ..Plan::default() };
    forget_old(view, &mut plan);
    plan.outcome = outcome(view);
    if view.stop || plan.outcome.is_some() {
        ending::plan(view, &mut plan);
    } else {
        turn::plan(view, &mut plan);
    }
    plan
}

impl View<'_> {
    /// The instance of a container with the highest number.
    pub fn latest(&self, container: &str) -> Option<&Instance> {
        self.instances.iter().filter(|i| i.container == container).max_by_key(|i| i.attempt)
    }

    fn latest_end(&self, container: &str) -> Option<&End> {
        self.latest(container)?.end()
    }

    fn is_up(&self, id: &str) -> bool {
        self.health.get(id).is_some_and(|health| health.started && health.hooked)
    }

    fn of_role(&self, role: Role) -> impl Iterator<Item = &Unit> {
        self.units.iter().filter(move |unit| unit.role == role)
    }

    /// An ordinary container was made once in this sandbox: so init containers are done, even if they are long removed.
    fn main_seen(&self) -> bool {
        self.of_role(Role::Main).any(|unit| self.latest(unit.name()).is_some_and(|instance| !instance.former))
    }

    /// An init container did its work in this sandbox.
    fn is_done(&self, unit: &Unit) -> bool {
        let latest = self.latest(unit.name()).filter(|instance| !instance.former);
        latest.and_then(Instance::end).is_some_and(|end| end.code == 0)
    }

    fn restarts(&self, role: Role, code: i32) -> bool {
        match (role, self.policy) {
            (Role::Sidecar, _) => true,
            (Role::Init, Policy::Never) => false,
            // An init container that succeeded is done, whatever the policy.
            (Role::Init, _) => code != 0,
            (Role::Main, Policy::Always) => true,
            (Role::Main, Policy::OnFailure) => code != 0,
            (Role::Main, Policy::Never) => false,
        }
    }
}

/// Whether ordinary containers may start.
fn initialized(view: &View<'_>) -> bool {
    view.main_seen()
        || view.units.iter().filter(|unit| unit.role != Role::Main).all(|unit| match unit.role {
            Role::Sidecar => view.latest(unit.name()).is_some_and(|i| i.is_running() && view.is_up(&i.id)),
            _ => view.is_done(unit),
        })
}

/// How the pod ended, if its containers will never run again.
fn outcome(view: &View<'_>) -> Option<Outcome> {
    let failed = |unit: &Unit| {
        let code = view.latest_end(unit.name()).map(|end| end.code);
        code.is_some_and(|code| code != 0 && !view.restarts(unit.role, code))
    };
    if !view.main_seen() && view.of_role(Role::Init).any(failed) {
        return Some(Outcome::Failed);
    }
    let mut outcome = Outcome::Succeeded;
    for unit in view.of_role(Role::Main) {
        if before::look(view, unit).is_some_and(|wait| wait.forever) {
            outcome = Outcome::Failed;
            continue;
        }
        let end = view.latest_end(unit.name())?;
        if view.restarts(unit.role, end.code) {
            return None;
        }
        if end.code != 0 {
            outcome = Outcome::Failed;
        }
    }
    Some(outcome)
}

/// Keeps the last dead instance of each container: its log and its exit code are still of interest.
fn forget_old(view: &View<'_>, plan: &mut Plan) {
    for unit in view.units {
        let mut dead: Vec<&Instance> =
            view.instances.iter().filter(|i| i.container == unit.name() && i.end().is_some()).collect();
        dead.sort_by_key(|instance| std::cmp::Reverse(instance.attempt));
        for old in dead.into_iter().skip(1).filter(|old| !view.busy.forgetting.contains(&old.id)) {
            plan.actions.push(Action::Forget { id: old.id.clone() });
        }
    }
}
