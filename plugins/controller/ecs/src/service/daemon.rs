//! DAEMON: one task on each node. Pure.

use std::time::Duration;

use gantry_sdk::api::Time;

use super::member::Member;
use super::replica::Present;

/// What to do: on which nodes to start a task, and which to stop.
#[derive(Debug, Default, PartialEq)]
pub struct Step<'a> {
    /// Nodes without a task.
    pub starts: Vec<&'a str>,
    /// Tasks to stop.
    pub stops: Vec<&'a Member>,
}

/// One step. A node never has two: the old one stops before the new one starts, as long as `least` others are well.
pub fn step<'a>(now: Time, well: Duration, least: usize, nodes: &'a [String], present: &Present<'a>) -> Step<'a> {
    let mut step = Step::default();
    let all = || [&present.new, &present.old, &present.failed].into_iter().flatten().copied();
    let serves = |member: &&Member| nodes.contains(&member.node);
    step.stops.extend(all().filter(|m| !m.ending && !serves(m)));
    step.stops.extend(present.failed.iter().copied().filter(|m| !m.ending && serves(m)));
    let old = || present.old.iter().copied().filter(|m| !m.ending && serves(m));
    let healthy = present.new.iter().filter(|m| m.is_healthy(now, well) && serves(m)).count();
    let running = old().filter(|m| m.is_running()).count();
    step.stops.extend(old().filter(|m| !m.is_running()));
    step.stops.extend(old().filter(|m| m.is_running()).take((healthy + running).saturating_sub(least)));
    let free = |node: &&String| !all().any(|m| !m.is_stopped() && m.node == **node);
    step.starts.extend(nodes.iter().filter(free).map(String::as_str));
    step
}
