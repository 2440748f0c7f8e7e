//! A pod that is to run.

use super::{Action, Hold, Plan, View, Waiting, before};
use crate::agent::backoff;
use crate::agent::desired::{Role, Unit};
use crate::agent::instance::{End, Instance, Life};

pub(super) fn plan(view: &View<'_>, plan: &mut Plan) {
    let mut turn = Turn { view, plan, wants_start: None };
    turn.init();
    if turn.plan.initialized {
        for unit in view.of_role(Role::Main) {
            match before::look(view, unit) {
                Some(wait) => drop(turn.plan.waiting.insert(unit.name().to_owned(), wait.shown())),
                None => turn.keep(unit),
            }
        }
    }
    turn.show_the_rest();
    let wants_start = turn.wants_start.take();
    prepare_or_start(view, plan, wants_start);
}

struct Turn<'a> {
    view: &'a View<'a>,
    plan: &'a mut Plan,
    /// The first container whose turn it is. One at a time: the order of the spec is a promise.
    wants_start: Option<Action>,
}

fn prepare_or_start(view: &View<'_>, plan: &mut Plan, start: Option<Action>) {
    let busy = view.busy;
    if !view.prepared && !busy.preparing {
        match view.holds.get("") {
            Some(hold) if hold.until > view.now => plan.wake_at(hold.until),
            _ => plan.actions.push(Action::Prepare),
        }
    }
    if let Some(start) = start
        && view.prepared
        && busy.starting.is_none()
    {
        plan.actions.push(start);
    }
}

impl Turn<'_> {
    /// Init containers in order; each is waited for, sidecars only until they are up.
    fn init(&mut self) {
        let main_seen = self.view.main_seen();
        for unit in self.view.units.iter().filter(|unit| unit.role != Role::Main) {
            let latest = self.view.latest(unit.name());
            let passed = match unit.role {
                Role::Sidecar => {
                    self.keep(unit);
                    main_seen || latest.is_some_and(|i| i.is_running() && self.view.is_up(&i.id))
                }
                _ => {
                    let done = main_seen || self.view.is_done(unit);
                    if !done {
                        self.keep(unit);
                    }
                    done
                }
            };
            if !passed {
                return;
            }
        }
    }

    /// Sees to it that a container runs.
    fn keep(&mut self, unit: &Unit) {
        match self.view.latest(unit.name()) {
            None => self.want(unit, Action::Start { container: unit.name().to_owned(), attempt: 0, delay: 0 }),
            Some(instance) => match &instance.life {
                // Never made again under the same id: a start that a crashed agent asked for may still be on its way.
                Life::Created if instance.hash == unit.hash => {
                    self.want(unit, Action::Resume { id: instance.id.clone() });
                }
                Life::Created => {
                    if !self.view.busy.forgetting.contains(&instance.id) && self.view.busy.starting.is_none() {
                        self.plan.actions.push(Action::Forget { id: instance.id.clone() });
                    }
                }
                Life::Running => self.watch(unit, instance),
                Life::Ended(end) => self.restart(unit, instance, end),
            },
        }
    }

    fn watch(&mut self, unit: &Unit, instance: &Instance) {
        if self.view.busy.killing.contains(&instance.id) {
            return;
        }
        let health = self.view.health.get(&instance.id).cloned().unwrap_or_default();
        let doom = health.doom.map(|doom| (doom.message, doom.grace)).or_else(|| {
            let changed = format!("Container {} definition changed, will be restarted", unit.name());
            (instance.hash != unit.hash && unit.role != Role::Init).then_some((changed, None))
        });
        if let Some((message, grace)) = doom {
            self.plan.actions.push(Action::Kill { id: instance.id.clone(), message, grace });
        } else if !health.hooked && self.wants_start.is_none() {
            // Its hook must be done before the next container's turn.
            self.wants_start = Some(Action::Hook { id: instance.id.clone() });
        }
    }

    fn restart(&mut self, unit: &Unit, instance: &Instance, end: &End) {
        if instance.former && unit.role == Role::Init {
            // The sandbox is another one, and so nothing to wait for: the work is to be done again.
            let attempt = instance.attempt.saturating_add(1);
            self.want(unit, Action::Start { container: unit.name().to_owned(), attempt, delay: 0 });
            return;
        }
        if !self.view.restarts(unit.role, end.code) {
            return;
        }
        let changed = instance.hash != unit.hash;
        // What ran until its node was switched off has not failed.
        let fresh = changed || instance.former && end.is_lost();
        let delay = if fresh { 0 } else { backoff::after_run(instance.delay, instance.started, end.at) };
        let until = crate::time::after(end.at, std::time::Duration::from_secs(delay.into()));
        if until > self.view.now {
            self.plan.wake_at(until);
            let (delay, name, pod) = (backoff::show(delay), unit.name(), self.view.pod);
            let message = format!("back-off {delay} restarting failed container={name} pod={pod}");
            self.wait(unit, "CrashLoopBackOff", message);
            return;
        }
        let start = Action::Start {
            container: unit.name().to_owned(),
            attempt: instance.attempt.saturating_add(1),
            delay: backoff::next(delay),
        };
        self.want(unit, start);
    }

    fn want(&mut self, unit: &Unit, start: Action) {
        if let Some(hold) = self.view.holds.get(unit.name())
            && hold.until > self.view.now
        {
            self.hold(unit, hold);
        } else if self.wants_start.is_none() {
            self.wants_start = Some(start);
        }
    }

    fn hold(&mut self, unit: &Unit, hold: &Hold) {
        self.plan.wake_at(hold.until);
        match &hold.later {
            Some((from, reason, message)) if *from <= self.view.now => self.wait(unit, reason, message.clone()),
            later => {
                if let Some((from, ..)) = later {
                    self.plan.wake_at(*from);
                }
                self.wait(unit, hold.reason, hold.message.clone());
            }
        }
    }

    fn wait(&mut self, unit: &Unit, reason: &str, message: String) {
        self.plan.waiting.insert(unit.name().to_owned(), Waiting { reason: reason.to_owned(), message });
    }

    /// Containers that were never made and whose turn has not come, or that are being made.
    fn show_the_rest(&mut self) {
        let has_init = self.view.units.iter().any(|unit| unit.role != Role::Main);
        let reason = if has_init && !self.plan.initialized { "PodInitializing" } else { "ContainerCreating" };
        for unit in self.view.units {
            let made = self.view.latest(unit.name()).is_some_and(|i| i.life != Life::Created);
            if made || self.plan.waiting.contains_key(unit.name()) {
                continue;
            }
            match self.view.holds.get(unit.name()) {
                // A try is under way: what the last one came to is more telling than "creating".
                Some(hold) => {
                    let (reason, message) = match &hold.later {
                        Some((_, reason, message)) => (*reason, message.clone()),
                        None => (hold.reason, hold.message.clone()),
                    };
                    self.wait(unit, reason, message);
                }
                None => self.wait(unit, reason, String::new()),
            }
        }
    }
}
