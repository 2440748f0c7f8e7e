//! How deployments begin, are completed, fail and come back. Pure.

use gantry_sdk::api::Time;

use super::history;
use super::object::{Deployment, Good, ServiceSpec, ServiceStatus};
use super::words::Teller;

/// Why a deployment is given up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Why {
    /// Too many of its tasks have failed.
    Breaker,
    /// An alarm was raised.
    Alarm,
    /// Somebody asked for it.
    Wanted,
}

impl Why {
    /// What its record says.
    pub fn record(self) -> &'static str {
        match self {
            Self::Breaker => "Service deployment failed: the deployment circuit breaker was triggered.",
            Self::Alarm => "Service deployment failed: a deployment alarm is in the ALARM state.",
            Self::Wanted => "Service deployment was stopped by a request to stop it.",
        }
    }

    /// Who speaks in its rollout state.
    fn speaker(self) -> &'static str {
        match self {
            Self::Breaker => "ECS deployment circuit breaker",
            Self::Alarm => "ECS deployment alarms",
            Self::Wanted => "ECS deployment stopped",
        }
    }

    /// What has happened.
    fn what(self) -> &'static str {
        match self {
            Self::Breaker => "tasks failed to start.",
            Self::Alarm => "alarm detected.",
            Self::Wanted => "stopped by a request to stop it.",
        }
    }
}

/// Begins the deployment that is wanted, unless it has begun before.
pub fn begin(status: &mut ServiceStatus, spec: &ServiceSpec, now: Time) {
    let wanted = &spec.deployment;
    if wanted.id.is_empty() || wanted.id == status.seen {
        // What came back in the place of the one that is wanted goes by its own strategy.
        let same = status.deployments.iter_mut().find(|known| known.is_primary() && known.id == wanted.id);
        same.into_iter().for_each(|known| known.capacity_providers.clone_from(&spec.capacity_providers));
        return;
    }
    status.seen.clone_from(&wanted.id);
    let deployment = Deployment {
        id: wanted.id.clone(),
        template: spec.template.clone(),
        capacity_providers: spec.capacity_providers.clone(),
        created_at: wanted.created_at.or(Some(now)),
        rollout_state_reason: format!("ECS deployment {} in progress.", wanted.id),
        ..Deployment::default()
    };
    history::begun(status, &deployment, &spec.capacity_providers, now);
    lead(status, deployment, now);
}

/// Makes it the one for which all others make way.
fn lead(status: &mut ServiceStatus, mut deployment: Deployment, now: Time) {
    for other in status.deployments.iter_mut().filter(|other| other.is_primary()) {
        "ACTIVE".clone_into(&mut other.status);
        other.updated_at = Some(now);
    }
    "PRIMARY".clone_into(&mut deployment.status);
    "IN_PROGRESS".clone_into(&mut deployment.rollout_state);
    deployment.updated_at = Some(now);
    deployment.watched_since = Some(now);
    status.deployments.insert(0, deployment);
}

/// Gives the primary deployment up; the last good one comes back if that is wanted, and there is one.
pub fn fail(status: &mut ServiceStatus, why: Why, rollback: bool, now: Time, teller: &Teller<'_>) {
    let Some(primary) = status.deployments.iter_mut().find(|deployment| deployment.is_primary()) else { return };
    "FAILED".clone_into(&mut primary.rollout_state);
    primary.rollout_state_reason = format!("{}: {}", why.speaker(), why.what());
    primary.updated_at = Some(now);
    let (id, failures) = (primary.id.clone(), primary.failed_tasks);
    teller.say(status, &format!("(deployment {id}) deployment failed: {}", why.what()));
    let good = status.good.clone().filter(|good| rollback && good.id != id);
    history::failed(status, why, failures, good.as_ref().map_or("", |good| good.id.as_str()), now);
    let Some(good) = good else { return };
    let known = status.deployments.iter().position(|deployment| deployment.id == good.id);
    let known = known.map(|index| status.deployments.remove(index));
    let back = known.unwrap_or_else(|| Deployment {
        id: good.id.clone(),
        template: good.template,
        capacity_providers: good.capacity_providers,
        created_at: good.created_at,
        ..Deployment::default()
    });
    let reason = format!("{}: rolling back to deploymentId {}.", why.speaker(), good.id);
    teller.say(status, &format!("rolling back to deployment {}.", good.id));
    lead(status, Deployment { rollback: true, rollout_state_reason: reason, ..back }, now);
}

/// The primary deployment has all that it wants.
pub fn complete(status: &mut ServiceStatus, now: Time, teller: &Teller<'_>) {
    let Some(primary) = status.deployments.iter_mut().find(|deployment| deployment.is_primary()) else { return };
    if primary.rollout_state != "IN_PROGRESS" {
        return;
    }
    "COMPLETED".clone_into(&mut primary.rollout_state);
    primary.rollout_state_reason = format!("ECS deployment {} completed.", primary.id);
    primary.updated_at = Some(now);
    let good = Good {
        id: primary.id.clone(),
        template: primary.template.clone(),
        created_at: primary.created_at,
        capacity_providers: primary.capacity_providers.clone(),
    };
    teller.say(status, &format!("(deployment {}) deployment completed.", good.id));
    history::completed(status, now);
    status.good = Some(good);
}
