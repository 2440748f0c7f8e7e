//! Whom a container waits for before it starts for the first time.

use std::collections::BTreeMap;

use gantry_model::order::State;

use super::{View, Waiting};
use crate::agent::desired::Unit;
use crate::agent::instance::{End, Instance, Life};

/// Why it does not start.
pub(super) struct Wait {
    message: String,
    /// What it waits for can't come any more.
    pub(super) forever: bool,
}

impl Wait {
    pub(super) fn shown(&self) -> Waiting {
        let reason = if self.forever { "DependencyFailed" } else { "WaitingForContainer" };
        Waiting { reason: reason.to_owned(), message: self.message.clone() }
    }
}

/// What the container waits for; none when it may start, or has begun once in this sandbox.
pub(super) fn look(view: &View<'_>, unit: &Unit) -> Option<Wait> {
    Look { view, doomed: BTreeMap::new() }.waits(unit)
}

struct Look<'a> {
    view: &'a View<'a>,
    /// Whether a container that has not begun never will. Each is looked at once, however many wait for it.
    doomed: BTreeMap<String, bool>,
}

impl Look<'_> {
    fn waits(&mut self, unit: &Unit) -> Option<Wait> {
        if unit.after.is_empty() || self.view.latest(unit.name()).is_some_and(|instance| !instance.former) {
            return None;
        }
        let waits = unit.after.iter().filter_map(|(name, state)| self.one(name, *state));
        // What can't come is more telling than what may.
        waits.reduce(|one, other| if other.forever && !one.forever { other } else { one })
    }

    fn one(&mut self, name: &str, wanted: State) -> Option<Wait> {
        let (view, word) = (self.view, wanted.word());
        let wait = |message: String, forever: bool| Some(Wait { message, forever });
        let restarts = |end: &End| {
            let unit = view.units.iter().find(|unit| unit.name() == name);
            unit.is_some_and(|unit| view.restarts(unit.role, end.code))
        };
        // What ended before a boot and does not run again is as it was; all else begins anew.
        let counts = |instance: &&Instance| match &instance.life {
            Life::Created => false,
            Life::Ended(end) => !instance.former || !restarts(end),
            _ => !instance.former,
        };
        let Some(instance) = view.latest(name).filter(counts) else {
            // Nobody starts it if nobody starts those before it.
            let forever = self.is_doomed(name);
            return wait(format!("container {name} must be {word} first, and has not begun"), forever);
        };
        match (wanted, &instance.life) {
            (State::Started, _) | (State::Ended, Life::Ended(_)) => None,
            (State::Ended, _) if instance.attempt > 0 => None,
            (State::Succeeded, Life::Ended(end)) if end.code == 0 => None,
            (State::Ready, Life::Running) if view.health.get(&instance.id).is_some_and(|h| h.ready && h.started) => {
                None
            }
            (State::Succeeded | State::Ready, Life::Ended(end)) => wait(
                format!("container {name} must be {word} first, and ended with exit code {}", end.code),
                !restarts(end),
            ),
            _ => wait(format!("container {name} must be {word} first, and runs"), false),
        }
    }

    fn is_doomed(&mut self, name: &str) -> bool {
        if let Some(known) = self.doomed.get(name) {
            return *known;
        }
        // The API lets no circle through; one would end here.
        self.doomed.insert(name.to_owned(), false);
        let unit = self.view.units.iter().find(|unit| unit.name() == name);
        let doomed = unit.is_none_or(|unit| self.waits(unit).is_some_and(|wait| wait.forever));
        self.doomed.insert(name.to_owned(), doomed);
        doomed
    }
}
