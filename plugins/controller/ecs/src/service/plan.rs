//! What follows from a service, its tasks and the nodes: which tasks start and stop, and what is said of it. Pure.

use std::time::Duration;

use ecs_common::breaker::threshold;
use ecs_common::capacity::{Share, next};
use ecs_common::ids::digest;
use gantry_sdk::api::Time;

use super::breaker::{self, Failures};
use super::deployments::Why;
use super::member::Member;
use super::object::{Service, ServiceStatus};
use super::replica::{Bounds, Present};
use super::words::Teller;
use super::{alarms, daemon, deployments, external, history, replica, targets};
use crate::aws::Alarms;

/// What the planner sees.
#[derive(Clone, Copy)]
pub struct Sight<'a> {
    /// The time.
    pub now: Time,
    /// How long a task runs before it is taken to be well.
    pub well: Duration,
    /// The service.
    pub service: &'a Service,
    /// Its tasks.
    pub members: &'a [Member],
    /// Names of nodes that take tasks; DAEMON and task sets look at them.
    pub nodes: &'a [String],
    /// How the alarms of its deployment are, or why nobody knows; none: nobody has asked.
    pub alarms: Option<&'a Result<Alarms, String>>,
}

/// A task to start.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Start {
    /// Its id.
    pub id: String,
    /// The deployment that it is of.
    pub deployment: String,
    /// Its number in the deployment.
    pub serial: u64,
    /// The only node where it may be; empty: any.
    pub node: String,
    /// The capacity provider that it is for, if its service shares them out.
    pub share: Option<Share>,
}

/// What to do, and what is known then.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Plan {
    /// The status.
    pub status: ServiceStatus,
    /// Tasks to start.
    pub starts: Vec<Start>,
    /// Tasks to stop, by their ids.
    pub stops: Vec<String>,
    /// Those of them that failed their health checks.
    pub unhealthy: Vec<String>,
    /// When to look again, even if nothing changes.
    pub again: Option<Duration>,
}

/// The next step of a service.
pub fn plan(sight: Sight<'_>) -> Plan {
    let Sight { now, service, .. } = sight;
    let teller = Teller { uid: &service.metadata.uid, name: &service.spec.service_name, set: "", now };
    let mut status = service.status.clone();
    if service.spec.deleted_at.is_some() {
        return drain(sight, status, &teller);
    }
    if service.spec.is_external() {
        return external::plan(sight, status);
    }
    "ACTIVE".clone_into(&mut status.status);
    deployments::begin(&mut status, &service.spec, now);
    let bounds = bounds(sight);
    let mut failures = watch(sight, &mut status, bounds);
    let raised = alarms::note(sight, &mut status, &teller);
    if let Some((why, rollback)) = over(service, &status, failures, bounds, !raised.is_empty()) {
        if why == Why::Alarm {
            history::raised(&mut status, &raised);
        }
        deployments::fail(&mut status, why, rollback, now, &teller);
        failures = watch(sight, &mut status, bounds);
    }
    let mut plan = Plan { status, ..Plan::default() };
    decide(sight, bounds, failures, &mut plan, &teller);
    let rest = plan.starts.is_empty() && plan.stops.is_empty();
    targets::tell(&mut plan.status, sight.members, &plan.stops, &teller);
    finish(sight, bounds, rest, &mut plan, &teller);
    plan
}

/// Whether the primary deployment is given up, and what was there before comes back.
fn over(
    service: &Service,
    status: &ServiceStatus,
    failures: Failures,
    bounds: Bounds,
    raised: bool,
) -> Option<(Why, bool)> {
    let primary = status.deployments.iter().find(|deployment| deployment.is_open())?;
    let (stop, configuration) = (&service.spec.stop, &service.spec.deployment_configuration);
    if stop.deployment == primary.id {
        return Some((Why::Wanted, stop.rollback));
    }
    let breaker = configuration.deployment_circuit_breaker;
    let tripped = breaker.enable && failures.count >= threshold(count(bounds.desired));
    let alarmed = raised.then_some((Why::Alarm, configuration.alarms.rollback));
    tripped.then_some((Why::Breaker, breaker.rollback)).or(alarmed)
}

fn bounds(sight: Sight<'_>) -> Bounds {
    let spec = &sight.service.spec;
    let configuration = &spec.deployment_configuration;
    if spec.is_daemon() {
        let desired = count(sight.nodes.len());
        return Bounds::of(desired, configuration.minimum_healthy_percent.unwrap_or(0), 100);
    }
    let minimum = configuration.minimum_healthy_percent.unwrap_or(100);
    Bounds::of(spec.desired_count, minimum, configuration.maximum_percent.unwrap_or(200))
}

/// As many as can be told.
pub fn count(number: usize) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}

fn of<'a>(sight: Sight<'a>, deployment: &str) -> Vec<&'a Member> {
    sight.members.iter().filter(|member| member.deployment == deployment).collect()
}

/// Counts the tasks of each deployment. The primary one's failures are the answer.
fn watch(sight: Sight<'_>, status: &mut ServiceStatus, bounds: Bounds) -> Failures {
    let mut primary = Failures::default();
    for deployment in &mut status.deployments {
        let members = of(sight, &deployment.id);
        let failures = breaker::failures(sight.now, sight.well, deployment, &members);
        deployment.failed_tasks = failures.count;
        deployment.running_count = count(members.iter().filter(|m| m.is_running()).count());
        deployment.pending_count = count(members.iter().filter(|m| !m.ending && m.last != "RUNNING").count());
        deployment.started = members.iter().map(|m| m.serial).max().unwrap_or(0).max(deployment.started);
        // What is given up, or makes way, wants what it has.
        deployment.desired_count = deployment.running_count + deployment.pending_count;
        if deployment.is_primary() {
            primary = failures;
            if !deployment.is_failed() {
                deployment.desired_count = count(bounds.desired);
            }
        }
    }
    primary
}

/// The tasks, by what is to become of them.
fn present<'a>(sight: Sight<'a>, status: &ServiceStatus) -> Present<'a> {
    let (mut new, mut old, mut failed) = (Vec::new(), Vec::new(), Vec::new());
    for member in sight.members {
        match status.deployments.iter().find(|deployment| deployment.id == member.deployment) {
            Some(primary) if primary.is_primary() => new.push(member),
            Some(given_up) if given_up.is_failed() => failed.push(member),
            _ => old.push(member),
        }
    }
    Present { new, old, failed }
}

/// Which tasks start and stop.
fn decide(sight: Sight<'_>, bounds: Bounds, failures: Failures, plan: &mut Plan, teller: &Teller<'_>) {
    let present = present(sight, &plan.status);
    let (mut nodes, mut stops): (Vec<&str>, Vec<&Member>) = if sight.service.spec.is_daemon() {
        let step = daemon::step(sight.now, sight.well, bounds.least, sight.nodes, &present);
        (step.starts, step.stops)
    } else {
        let step = replica::step(sight.now, sight.well, bounds, &present);
        (vec![""; step.starts], step.stops)
    };
    let Some(primary) = plan.status.deployments.iter_mut().find(|deployment| deployment.is_primary()) else { return };
    if primary.is_failed() {
        // Nothing takes over: what was there before stays.
        nodes.clear();
        stops.retain(|member| member.deployment == primary.id);
    }
    let wait = breaker::wait(sight.now, count(bounds.desired), failures);
    if wait.is_some() && !nodes.is_empty() {
        nodes.clear();
        plan.again = wait;
    }
    let told = std::mem::replace(&mut primary.struggling, wait.is_some());
    let shares = primary.capacity_providers.clone();
    let mut given = shared(&shares, &present.new);
    for node in nodes {
        let at = next(&shares, &given);
        at.and_then(|at| given.get_mut(at)).into_iter().for_each(|tasks| *tasks += 1);
        let share = at.and_then(|at| shares.get(at)).cloned();
        primary.started += 1;
        let seed = format!("task {} {} {}", sight.service.metadata.uid, primary.id, primary.started);
        let (deployment, serial) = (primary.id.clone(), primary.started);
        plan.starts.push(Start { id: digest(&seed, 32), deployment, serial, node: node.to_owned(), share });
    }
    plan.unhealthy = replica::with_unhealthy(sight.now, sight.members, &mut stops);
    plan.stops = stops.iter().map(|member| member.id.clone()).collect();
    if wait.is_some() && !told {
        teller.say(&mut plan.status, "is unable to consistently start tasks successfully.");
    }
    teller.started(&mut plan.status, &plan.starts.iter().map(|start| start.id.as_str()).collect::<Vec<_>>());
    teller.unhealthy(&mut plan.status, &plan.unhealthy);
    teller.stopped(&mut plan.status, &plan.stops.iter().map(String::as_str).collect::<Vec<_>>());
}

/// Tasks that each capacity provider has.
fn shared(shares: &[Share], new: &[&Member]) -> Vec<u64> {
    let has = |share: &Share| new.iter().filter(|m| !m.ending && m.provider == share.capacity_provider).count();
    shares.iter().map(|share| u64::from(count(has(share)))).collect()
}

/// What is true when there is nothing to do, and what is said of it.
fn finish(sight: Sight<'_>, bounds: Bounds, rest: bool, plan: &mut Plan, teller: &Teller<'_>) {
    let present = present(sight, &plan.status);
    let others = present.old.iter().chain(&present.failed).any(|m| !m.is_stopped());
    let all = present.new.iter().filter(|m| !m.is_stopped()).count() == bounds.desired;
    let running = present.new.iter().filter(|m| m.is_running()).count() == bounds.desired;
    let healthy = present.new.iter().filter(|m| m.is_healthy(sight.now, sight.well)).count() == bounds.desired;
    let given_up = plan.status.deployments.iter().any(|d| d.is_primary() && d.is_failed());
    let steady = rest && all && running && !others && !given_up;
    if alarms::baked(sight, &mut plan.status, steady && healthy) {
        deployments::complete(&mut plan.status, sight.now, teller);
    }
    let was = std::mem::replace(&mut plan.status.steady, steady);
    if steady && !was {
        teller.say(&mut plan.status, "has reached a steady state.");
    }
    let waits = present.new.iter().chain(&present.old).any(|m| !m.is_stopped() && (m.ending || !m.is_running()));
    let stuck = rest && others && !waits && !given_up && bounds.least >= bounds.most;
    let was = std::mem::replace(&mut plan.status.stuck, stuck);
    if stuck && !was {
        teller.say(&mut plan.status, "was unable to stop or start tasks during a deployment because of the service deployment configuration. Update the minimumHealthyPercent or maximumPercent value and try again.");
    }
    unplaced(sight, plan, teller);
    let left = |id: &str| sight.members.iter().any(|m| m.deployment == id && !m.is_stopped());
    plan.status.deployments.retain(|deployment| deployment.is_primary() || left(&deployment.id));
    total(sight, bounds, &mut plan.status);
    let unwell =
        sight.members.iter().filter(|m| m.is_running() && !m.is_checked() && !m.is_healthy(sight.now, sight.well));
    let next = unwell.filter_map(|m| Some(sight.well.saturating_sub(sight.now.since(m.started_at?)))).min();
    let grace = replica::grace_ends(sight.now, sight.members);
    let alarms = alarms::again(sight, &plan.status);
    plan.again = plan.again.into_iter().chain(next).chain(grace).chain(alarms).min();
}

/// Tells once of a deployment that some of its tasks fit nowhere.
fn unplaced(sight: Sight<'_>, plan: &mut Plan, teller: &Teller<'_>) {
    let mut said = Vec::new();
    for deployment in &mut plan.status.deployments {
        let members = of(sight, &deployment.id);
        let reason = members.iter().find(|m| !m.ending && !m.unplaced.is_empty()).map(|m| m.unplaced.as_str());
        let was = std::mem::replace(&mut deployment.unplaced, reason.is_some());
        said.extend(reason.filter(|_| !was));
    }
    for reason in said {
        let what = "was unable to place a task because no container instance met all of its requirements.";
        teller.say(&mut plan.status, &format!("{what} Reason: {reason}"));
    }
}

fn total(sight: Sight<'_>, bounds: Bounds, status: &mut ServiceStatus) {
    status.desired_count = count(bounds.desired);
    status.running_count = count(sight.members.iter().filter(|m| m.is_running()).count());
    status.pending_count = count(sight.members.iter().filter(|m| !m.ending && m.last != "RUNNING").count());
}

/// A deleted service: all of its tasks stop, and it stays to be seen.
fn drain(sight: Sight<'_>, mut status: ServiceStatus, teller: &Teller<'_>) -> Plan {
    let stops: Vec<String> = sight.members.iter().filter(|m| !m.ending).map(|m| m.id.clone()).collect();
    targets::tell(&mut status, sight.members, &stops, teller);
    teller.stopped(&mut status, &stops.iter().map(String::as_str).collect::<Vec<_>>());
    watch(sight, &mut status, Bounds::of(0, 0, 100));
    total(sight, Bounds::of(0, 0, 100), &mut status);
    if sight.members.iter().all(Member::is_stopped) {
        status.inactive_at.get_or_insert(sight.now);
        status.deployments.clear();
    }
    let word = if status.inactive_at.is_some() { "INACTIVE" } else { "DRAINING" };
    word.clone_into(&mut status.status);
    Plan { status, stops, ..Plan::default() }
}
