//! Services whose deployments somebody else makes: task sets, each with its part of the desired count, side by side. None
//! makes way for another by itself. Pure.

use std::time::Duration;

use ecs_common::capacity::{Share, next};
use ecs_common::ids::digest;
use ecs_common::scale::tasks;

use super::breaker;
use super::member::Member;
use super::object::{Deployment, ServiceStatus, TaskSet};
use super::plan::{Plan, Sight, Start, count};
use super::replica::{self, Bounds, Present};
use super::targets;
use super::words::Teller;

/// The next step of such a service.
pub fn plan(sight: Sight<'_>, mut status: ServiceStatus) -> Plan {
    let spec = &sight.service.spec;
    "ACTIVE".clone_into(&mut status.status);
    status.seen.clone_from(&spec.deployment.id);
    for set in &spec.task_sets {
        known(&mut status, set, sight);
    }
    let mut plan = Plan { status, ..Plan::default() };
    for set in &spec.task_sets {
        step(sight, set, &mut plan);
    }
    // Tasks of sets that nobody knows any more.
    let lost = |m: &&Member| !m.ending && !spec.task_sets.iter().any(|set| set.id == m.deployment);
    plan.stops.extend(sight.members.iter().filter(lost).map(|m| m.id.clone()));
    let teller = teller(sight, "");
    targets::tell(&mut plan.status, sight.members, &plan.stops, &teller);
    finish(sight, &mut plan);
    plan
}

fn teller<'a>(sight: Sight<'a>, set: &'a str) -> Teller<'a> {
    Teller { uid: &sight.service.metadata.uid, name: &sight.service.spec.service_name, set, now: sight.now }
}

/// Writes a set down that is new, and what is wanted of it now.
fn known(status: &mut ServiceStatus, set: &TaskSet, sight: Sight<'_>) {
    let at = match status.deployments.iter().position(|deployment| deployment.id == set.id) {
        Some(at) => at,
        None => {
            let (created_at, template) = (set.created_at.or(Some(sight.now)), set.template.clone());
            status
                .deployments
                .insert(0, Deployment { id: set.id.clone(), template, created_at, ..Deployment::default() });
            0
        }
    };
    let primary = sight.service.spec.primary_task_set == set.id;
    let Some(deployment) = status.deployments.get_mut(at) else { return };
    let word = match (set.deleted_at.is_some(), primary) {
        (true, _) => "DRAINING",
        (false, true) => "PRIMARY",
        (false, false) => "ACTIVE",
    };
    word.clone_into(&mut deployment.status);
}

/// The tasks that a set is to have: its part, rounded up.
fn desired(sight: Sight<'_>, set: &TaskSet) -> u32 {
    let part = tasks(u64::from(sight.service.spec.desired_count), set.scale.value);
    if set.deleted_at.is_some() { 0 } else { u32::try_from(part).unwrap_or(u32::MAX) }
}

/// Starts and stops of one set.
fn step(sight: Sight<'_>, set: &TaskSet, plan: &mut Plan) {
    let members: Vec<&Member> = sight.members.iter().filter(|member| member.deployment == set.id).collect();
    let desired = desired(sight, set);
    let Some(at) = plan.status.deployments.iter().position(|deployment| deployment.id == set.id) else { return };
    let Some(deployment) = plan.status.deployments.get_mut(at) else { return };
    let failures = breaker::failures(sight.now, sight.well, deployment, &members);
    let pending = members.iter().filter(|m| !m.ending && m.last != "RUNNING").count();
    deployment.failed_tasks = failures.count;
    deployment.desired_count = desired;
    deployment.running_count = count(members.iter().filter(|m| m.is_running()).count());
    deployment.pending_count = count(pending);
    deployment.started = members.iter().map(|m| m.serial).max().unwrap_or(0).max(deployment.started);
    let present = Present { new: members, old: Vec::new(), failed: Vec::new() };
    let step = replica::step(sight.now, sight.well, Bounds::of(desired, 0, 100), &present);
    let wait = breaker::wait(sight.now, desired, failures).filter(|_| step.starts > 0);
    plan.again = plan.again.into_iter().chain(wait).min();
    let starts = if wait.is_some() { 0 } else { step.starts };
    let starts = starting(sight, set, deployment, &present.new, starts);
    let mut stops = step.stops;
    let unhealthy = replica::with_unhealthy(sight.now, present.new.iter().copied(), &mut stops);
    let stops: Vec<String> = stops.iter().map(|member| member.id.clone()).collect();
    settled(sight, deployment, &present.new, starts.is_empty() && stops.is_empty());
    let teller = teller(sight, &set.id);
    teller.started(&mut plan.status, &starts.iter().map(|start| start.id.as_str()).collect::<Vec<_>>());
    teller.unhealthy(&mut plan.status, &unhealthy);
    teller.stopped(&mut plan.status, &stops.iter().map(String::as_str).collect::<Vec<_>>());
    plan.starts.extend(starts);
    plan.stops.extend(stops);
    plan.unhealthy.extend(unhealthy);
}

fn starting(
    sight: Sight<'_>,
    set: &TaskSet,
    deployment: &mut Deployment,
    members: &[&Member],
    starts: usize,
) -> Vec<Start> {
    let has = |share: &Share| members.iter().filter(|m| !m.ending && m.provider == share.capacity_provider).count();
    let mut given: Vec<u64> = set.capacity_providers.iter().map(|share| u64::from(count(has(share)))).collect();
    let one = |_| {
        let at = next(&set.capacity_providers, &given);
        at.and_then(|at| given.get_mut(at)).into_iter().for_each(|tasks| *tasks += 1);
        let share = at.and_then(|at| set.capacity_providers.get(at)).cloned();
        deployment.started += 1;
        let seed = format!("task {} {} {}", sight.service.metadata.uid, set.id, deployment.started);
        let (id, serial) = (digest(&seed, 32), deployment.started);
        Start { id, deployment: set.id.clone(), serial, node: String::new(), share }
    };
    (0..starts).map(one).collect()
}

/// Whether a set has all that it is to have, and nothing of it moves or is on an instance that drains.
fn settled(sight: Sight<'_>, deployment: &mut Deployment, members: &[&Member], rest: bool) {
    let there = |m: &&&Member| !m.is_stopped();
    let well = |m: &&Member| m.is_running() && sight.nodes.contains(&m.node);
    let all = deployment.running_count == deployment.desired_count && deployment.pending_count == 0;
    let steady = rest && all && members.iter().filter(there).all(well);
    let word = if steady { "STEADY_STATE" } else { "STABILIZING" };
    if deployment.stability != word {
        word.clone_into(&mut deployment.stability);
        deployment.stability_at = Some(sight.now);
        deployment.updated_at = Some(sight.now);
    }
}

/// What is left of sets that were deleted, and what is true of all together.
fn finish(sight: Sight<'_>, plan: &mut Plan) {
    let sets = &sight.service.spec.task_sets;
    let stays = |id: &str| {
        sets.iter().any(|set| set.id == id && set.deleted_at.is_none())
            || sight.members.iter().any(|m| m.deployment == id && !m.is_stopped())
    };
    plan.status.deployments.retain(|deployment| stays(&deployment.id));
    plan.status.desired_count = sight.service.spec.desired_count;
    plan.status.running_count = count(sight.members.iter().filter(|m| m.is_running()).count());
    plan.status.pending_count = count(sight.members.iter().filter(|m| !m.ending && m.last != "RUNNING").count());
    let steady =
        !plan.status.deployments.is_empty() && plan.status.deployments.iter().all(|d| d.stability == "STEADY_STATE");
    let was = std::mem::replace(&mut plan.status.steady, steady);
    if steady && !was {
        teller(sight, "").say(&mut plan.status, "has reached a steady state.");
    }
    let unwell = sight.members.iter().filter(|m| m.is_running() && !m.is_healthy(sight.now, sight.well));
    let next = unwell.filter_map(|m| Some(sight.well.saturating_sub(sight.now.since(m.started_at?)))).min();
    let next =
        next.filter(|left| *left > Duration::ZERO).into_iter().chain(replica::grace_ends(sight.now, sight.members));
    plan.again = plan.again.into_iter().chain(next).min();
}
