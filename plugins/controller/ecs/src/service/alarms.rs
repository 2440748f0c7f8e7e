//! Alarms of CloudWatch, which are watched while a deployment is under way, and after it for as long as they take to see what
//! it did. Those that were raised before it began say nothing of it: then none is watched, so that a repair can be deployed.
//! <https://docs.aws.amazon.com/AmazonECS/latest/developerguide/deployment-alarm-failure.html>

use std::time::Duration;

use ecs_common::endpoints::{Aws, Endpoints};
use gantry_sdk::api::Time;

use super::history;
use super::object::{Deployment, Service, ServiceStatus, Watched};
use super::plan::Sight;
use super::words::Teller;
use crate::aws::{self, Alarms};

/// Between two questions.
const EVERY: Duration = Duration::from_secs(15);

/// Asks how the alarms are, if it is time to.
pub fn look(now: Time, service: &Service, endpoints: &Endpoints) -> Option<Result<Alarms, String>> {
    is_due(now, service).then(|| {
        let missing = || format!("the configuration names no endpoint for {}", Aws::CloudWatch.title());
        let endpoint = endpoints.of(Aws::CloudWatch).ok_or_else(missing)?;
        let names = &service.spec.deployment_configuration.alarms.alarm_names;
        aws::describe_alarms(endpoint, names).map_err(|failure| failure.words())
    })
}

fn is_on(service: &Service) -> bool {
    let spec = &service.spec;
    spec.deployment_configuration.alarms.enable && !spec.is_external() && spec.deleted_at.is_none()
}

fn is_due(now: Time, service: &Service) -> bool {
    let (wanted, status) = (&service.spec.deployment.id, &service.status);
    if !is_on(service) {
        return false;
    }
    // One begins in this pass.
    if !wanted.is_empty() && *wanted != status.seen {
        return true;
    }
    let open = status.deployments.iter().find(|deployment| deployment.is_open());
    open.is_some_and(|open| open.alarms.as_ref().is_none_or(|watched| wait(now, watched) == Some(Duration::ZERO)))
}

/// In how long they are asked for again; none: not at all.
fn wait(now: Time, watched: &Watched) -> Option<Duration> {
    let since = watched.asked_at.map_or(EVERY, |at| now.since(at));
    (!watched.ignored).then(|| EVERY.saturating_sub(since))
}

fn open(status: &mut ServiceStatus) -> Option<&mut Deployment> {
    status.deployments.iter_mut().find(|deployment| deployment.is_open())
}

/// Writes an answer down. What comes back are the alarms for which the deployment is to be given up.
pub fn note(sight: Sight<'_>, status: &mut ServiceStatus, teller: &Teller<'_>) -> Vec<String> {
    let (Some(answer), Some(deployment)) = (sight.alarms, open(status)) else { return Vec::new() };
    let (id, begun) = (deployment.id.clone(), deployment.created_at);
    let watched = deployment.alarms.get_or_insert_default();
    watched.asked_at = Some(sight.now);
    let alarms = match answer {
        Ok(alarms) => alarms,
        Err(why) => {
            if !std::mem::replace(&mut watched.silent, true) {
                teller.say(status, &format!("(deployment {id}) was unable to describe its alarms: {why}"));
            }
            return Vec::new();
        }
    };
    watched.silent = false;
    watched.bake_seconds = alarms.span.as_secs();
    let first = watched.seen_at.replace(sight.now).is_none();
    // What was raised later may be this deployment's doing.
    let at_once = begun.is_none_or(|at| sight.now.since(at) <= EVERY);
    watched.ignored |= first && at_once && !alarms.raised.is_empty();
    let (ignored, lost) = (watched.ignored, alarms.missing != watched.missing && !alarms.missing.is_empty());
    watched.missing.clone_from(&alarms.missing);
    if lost {
        let names = alarms.missing.join(", ");
        teller.say(status, &format!("(deployment {id}) was unable to find these of its alarms: {names}."));
    }
    if !ignored || !first {
        return if ignored { Vec::new() } else { alarms.raised.clone() };
    }
    history::unwatched(status);
    let names = alarms.raised.join(", ");
    let why = "are not monitored during this deployment, since these were in the ALARM state when it began";
    teller.say(status, &format!("(deployment {id}) its alarms {why}: {names}."));
    Vec::new()
}

/// Whether a deployment can be completed: its tasks are `well`, and have been for as long as its alarms take to see what
/// it did.
pub fn baked(sight: Sight<'_>, status: &mut ServiceStatus, well: bool) -> bool {
    let Some(deployment) = open(status).filter(|_| is_on(sight.service)) else { return well };
    let Some(watched) = &mut deployment.alarms else { return false };
    if !well {
        watched.well_since = None;
        return false;
    }
    let since = *watched.well_since.get_or_insert(sight.now);
    let until = since.after(Duration::from_secs(watched.bake_seconds));
    watched.ignored || watched.seen_at.is_some_and(|seen| seen >= until)
}

/// When to ask again.
pub fn again(sight: Sight<'_>, status: &ServiceStatus) -> Option<Duration> {
    let open = status.deployments.iter().find(|deployment| deployment.is_open())?;
    let watched = open.alarms.as_ref().filter(|_| is_on(sight.service))?;
    wait(sight.now, watched).map(|left| left.max(Duration::from_secs(1)))
}
