//! A pod that is to end, or whose containers have.

use super::{Action, Plan, View, Waiting, before};
use crate::agent::desired::Role;
use crate::agent::instance::{Instance, Life};

/// Ordinary containers end first, at once; then sidecars, the last first; then volumes and network go.
pub(super) fn plan(view: &View<'_>, plan: &mut Plan) {
    show(view, plan);
    if view.busy.starting.is_some() || view.busy.preparing {
        // The worker has told these steps to give up. Until they have, it is unknown what there is to end.
        return;
    }
    forget_unstarted(view, plan);
    let running: Vec<&Instance> = view.instances.iter().filter(|instance| instance.is_running()).collect();
    let is_sidecar = |i: &Instance| view.units.iter().any(|u| u.role == Role::Sidecar && u.name() == i.container);
    let (sidecars, ordinary): (Vec<&Instance>, Vec<&Instance>) = running.into_iter().partition(|i| is_sidecar(i));
    if !ordinary.is_empty() {
        ordinary.into_iter().for_each(|instance| kill(view, plan, instance));
        return;
    }
    let place = |i: &&Instance| view.units.iter().position(|unit| unit.name() == i.container);
    if let Some(last) = sidecars.into_iter().max_by_key(place) {
        kill(view, plan, last);
        return;
    }
    let created = view.instances.iter().any(|instance| instance.life == Life::Created);
    if !created && !view.torn_down && !view.busy.tearing_down && view.busy.killing.is_empty() {
        match view.holds.get("") {
            Some(hold) if hold.until > view.now => plan.wake_at(hold.until),
            _ => plan.actions.push(Action::TearDown),
        }
    }
}

fn kill(view: &View<'_>, plan: &mut Plan, instance: &Instance) {
    if !view.busy.killing.contains(&instance.id) {
        let message = format!("Stopping container {}", instance.container);
        plan.actions.push(Action::Kill { id: instance.id.clone(), message, grace: None });
    }
}

fn forget_unstarted(view: &View<'_>, plan: &mut Plan) {
    let unstarted = view.instances.iter().filter(|i| i.life == Life::Created);
    for instance in unstarted.filter(|i| !view.busy.forgetting.contains(&i.id)) {
        plan.actions.push(Action::Forget { id: instance.id.clone() });
    }
}

fn show(view: &View<'_>, plan: &mut Plan) {
    let has_init = view.units.iter().any(|unit| unit.role != Role::Main);
    let reason = if has_init && !plan.initialized { "PodInitializing" } else { "ContainerCreating" };
    for unit in view.units {
        if view.latest(unit.name()).is_none_or(|i| i.life == Life::Created) {
            let waiting = match before::look(view, unit).filter(|wait| wait.forever) {
                Some(wait) => wait.shown(),
                None => Waiting { reason: reason.to_owned(), message: String::new() },
            };
            plan.waiting.insert(unit.name().to_owned(), waiting);
        }
    }
}
