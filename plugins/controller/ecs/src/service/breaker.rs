//! When a deployment's tasks fail: how many have, and how long to wait for the next. Pure. When it is given up is
//! `ecs_common::breaker`'s.

use std::time::Duration;

use gantry_sdk::api::Time;

use super::member::Member;
use super::object::Deployment;

/// Between tries, doubled up to the longest, once each task has failed so often.
const PATIENCE: u32 = 3;
const FIRST: Duration = Duration::from_secs(10);
const LONGEST: Duration = Duration::from_secs(900);

/// Failures in a row, and when the last one was.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Failures {
    /// Since the last task that was well.
    pub count: u32,
    /// The last one.
    pub last: Option<Time>,
}

/// Those of a deployment.
pub fn failures(now: Time, well: Duration, deployment: &Deployment, members: &[&Member]) -> Failures {
    let healthy = members.iter().filter_map(|member| member.healthy_until(now, well)).max();
    let since = healthy.max(deployment.watched_since);
    let ends = members.iter().filter(|member| member.has_failed(well)).filter_map(|member| member.ended_at);
    let ends: Vec<Time> = ends.filter(|end| since.is_none_or(|since| *end > since)).collect();
    Failures { count: u32::try_from(ends.len()).unwrap_or(u32::MAX), last: ends.into_iter().max() }
}

/// How long to wait before the next tasks are started; none: not at all.
pub fn wait(now: Time, desired: u32, failures: Failures) -> Option<Duration> {
    let rounds = failures.count / desired.max(1);
    let doublings = rounds.checked_sub(PATIENCE)?;
    let wait = FIRST.saturating_mul(1 << doublings.min(10)).min(LONGEST);
    let left = wait.saturating_sub(now.since(failures.last?));
    (!left.is_zero()).then_some(left)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_wait_doubles_up_to_a_quarter_of_an_hour() {
        let at = Time::from_millis(1_000_000);
        let wait = |desired, count, later: u64| {
            wait(at.after(Duration::from_secs(later)), desired, Failures { count, last: Some(at) }).map(|w| w.as_secs())
        };
        for (desired, count, later, want) in [
            (1, 2, 0, None),
            (1, 3, 0, Some(10)),
            (1, 3, 4, Some(6)),
            (1, 3, 10, None),
            (1, 5, 0, Some(40)),
            (1, 50, 0, Some(900)),
            (10, 29, 0, None),
            (10, 30, 0, Some(10)),
        ] {
            assert_eq!(wait(desired, count, later), want, "{desired} {count} {later}");
        }
    }
}
