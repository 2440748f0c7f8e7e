//! REPLICA: so many tasks, wherever they fit. Which go and how many come, within the percentages of the service. Pure.

use std::collections::HashMap;
use std::time::Duration;

use gantry_sdk::api::Time;

use super::member::Member;

/// How many tasks there may and must be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// Tasks wanted.
    pub desired: usize,
    /// Of those that are well, what must be left.
    pub least: usize,
    /// Tasks that may be there at once, those that stop included.
    pub most: usize,
}

impl Bounds {
    /// ECS rounds the minimum up and the maximum down.
    pub fn of(desired: u32, minimum: u32, maximum: u32) -> Self {
        let size = |count: u64| usize::try_from(count).unwrap_or(usize::MAX);
        let part = |percent: u32| u64::from(desired) * u64::from(percent);
        Self {
            desired: size(u64::from(desired)),
            least: size(part(minimum).div_ceil(100).min(u64::from(desired))),
            most: size((part(maximum) / 100).max(u64::from(desired))),
        }
    }
}

/// What is there, by what is to become of it.
pub struct Present<'a> {
    /// Tasks of the deployment that is wanted.
    pub new: Vec<&'a Member>,
    /// Those of deployments before it.
    pub old: Vec<&'a Member>,
    /// Those of deployments that were given up.
    pub failed: Vec<&'a Member>,
}

/// What to do: how many tasks to start, and which to stop.
#[derive(Debug, Default, PartialEq)]
pub struct Step<'a> {
    /// Tasks to start.
    pub starts: usize,
    /// Tasks to stop.
    pub stops: Vec<&'a Member>,
}

/// One step. Tasks of the past make way as others are well; what is not well protects nobody and goes first.
pub fn step<'a>(now: Time, well: Duration, bounds: Bounds, present: &Present<'a>) -> Step<'a> {
    let live = |all: &[&'a Member]| all.iter().copied().filter(|m| !m.ending).collect::<Vec<&'a Member>>();
    let (new, old, failed) = (live(&present.new), live(&present.old), live(&present.failed));
    let there = [&present.new, &present.old, &present.failed].into_iter().flatten().filter(|m| !m.is_stopped()).count();
    let starts = bounds.desired.saturating_sub(new.len()).min(bounds.most.saturating_sub(there));
    let mut stops = surplus(now, well, &new, bounds.desired);
    let healthy = new.iter().filter(|m| m.is_healthy(now, well) && !stops.contains(m)).count();
    let (running, waiting): (Vec<&Member>, Vec<&Member>) = old.into_iter().partition(|m| m.is_running());
    let spare = (healthy + running.len()).saturating_sub(bounds.least).min(running.len());
    stops.extend(waiting);
    stops.extend(ranked(now, well, &running).into_iter().take(spare));
    stops.extend(failed);
    Step { starts, stops }
}

/// Tasks that fail their health checks after the time of grace stop, whatever the percentages: they protect nobody, and others
/// start in their places. Gives their ids.
pub fn with_unhealthy<'a>(
    now: Time,
    members: impl IntoIterator<Item = &'a Member>,
    stops: &mut Vec<&'a Member>,
) -> Vec<String> {
    let unhealthy: Vec<&Member> = members.into_iter().filter(|m| !m.ending && m.is_given_up(now)).collect();
    stops.retain(|member| !unhealthy.contains(member));
    stops.extend(&unhealthy);
    unhealthy.into_iter().map(|member| member.id.clone()).collect()
}

/// In how long the next task that fails its health checks is not spared any more.
pub fn grace_ends(now: Time, members: &[Member]) -> Option<Duration> {
    members.iter().filter(|m| m.is_running() && m.is_unhealthy()).filter_map(|m| m.graced_for(now)).min()
}

/// Those beyond what is wanted.
fn surplus<'a>(now: Time, well: Duration, live: &[&'a Member], desired: usize) -> Vec<&'a Member> {
    ranked(now, well, live).into_iter().take(live.len().saturating_sub(desired)).collect()
}

/// Those first that are missed least: what does not run, what is not well yet, then from the node with most of them, the
/// youngest.
fn ranked<'a>(now: Time, well: Duration, live: &[&'a Member]) -> Vec<&'a Member> {
    let mut crowd: HashMap<&str, usize> = HashMap::new();
    let mut keyed: Vec<_> = Vec::new();
    let mut oldest = live.to_vec();
    oldest.sort_by_key(|m| (m.serial, &m.id));
    for member in oldest {
        let number = crowd.entry(member.node.as_str()).or_default();
        *number += 1;
        keyed.push((member.is_running(), member.is_healthy(now, well), std::cmp::Reverse(*number), member));
    }
    // A stable order, the youngest first.
    keyed.reverse();
    keyed.sort_by_key(|(running, healthy, number, _)| (*running, *healthy, *number));
    keyed.into_iter().map(|(.., member)| member).collect()
}
