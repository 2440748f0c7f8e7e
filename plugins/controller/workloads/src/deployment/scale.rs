//! Changes of `spec.replicas`, as apart from changes of the template.

use super::revision::{self, DESIRED, MAX};
use super::work::{Tracked, Work};

/// Gives a set a size and notes for which size of the Deployment that was.
pub fn resize(tracked: &mut Tracked, size: i64, wanted: i64, most: i64) {
    tracked.set.spec.replicas = Some(size.max(0));
    let annotations = &mut tracked.set.metadata.annotations;
    annotations.insert(DESIRED.to_owned(), wanted.to_string());
    annotations.insert(MAX.to_owned(), most.to_string());
}

/// Whether the Deployment was scaled since its sets were.
pub fn due(work: &Work) -> bool {
    let wanted = work.deployment.replicas();
    let desired = |tracked: &Tracked| revision::number(&tracked.set.metadata.annotations, DESIRED);
    work.all().filter(|tracked| tracked.active()).any(|tracked| desired(tracked).is_some_and(|count| count != wanted))
}

/// Scales without rolling: during a pause, or before a rollout goes on.
pub fn apply(work: &mut Work) {
    let (wanted, most) = (work.deployment.replicas(), work.most());
    if let Some(only) = active_or_latest(work) {
        if only.set.replicas() != wanted || only.active() {
            resize(only, wanted, wanted, most);
        }
    } else if saturated(work) {
        work.old.iter_mut().filter(|old| old.active()).for_each(|old| resize(old, 0, wanted, most));
        work.new.iter_mut().for_each(|new| resize(new, wanted, wanted, most));
    } else if work.deployment.recreates() {
        // The rollout brings the sizes right; here it only must not look like scaling any more.
        let active = work.all_mut().filter(|tracked| tracked.active());
        active.for_each(|tracked| resize(tracked, tracked.set.replicas(), wanted, most));
    } else {
        proportionally(work);
    }
}

/// The only set with pods, or the newest when none has any.
fn active_or_latest(work: &mut Work) -> Option<&mut Tracked> {
    match work.all().filter(|tracked| tracked.active()).count() {
        0 if work.new.is_some() => work.new.as_mut(),
        0 => work.old.last_mut(),
        1 => work.all_mut().find(|tracked| tracked.active()),
        _ => None,
    }
}

/// Whether the new set has all pods that are wanted and all are available.
fn saturated(work: &Work) -> bool {
    let wanted = work.deployment.replicas();
    work.new.as_ref().is_some_and(|new| {
        revision::number(&new.set.metadata.annotations, DESIRED) == Some(wanted)
            && new.set.replicas() == wanted
            && new.set.available() == wanted
    })
}

/// Spreads the difference over all sets with pods, in proportion to their sizes: whatever the new template is good
/// for, the mix stays as it was. What rounding leaves goes to the largest set.
fn proportionally(work: &mut Work) {
    let (wanted, most) = (work.deployment.replicas(), work.most());
    let allowed = if wanted > 0 { most } else { 0 };
    let add = allowed - work.total();
    let fallback = work.deployment.status.replicas;
    let mut sets: Vec<_> = work.old.iter_mut().chain(&mut work.new).filter(|tracked| tracked.active()).collect();
    // Growing, the newer of two equals is first; shrinking, the older. `sets` is in the order of age.
    if add > 0 {
        sets.reverse();
    }
    sets.sort_by_key(|tracked| std::cmp::Reverse(tracked.set.replicas()));
    let mut added = 0;
    let mut sizes: Vec<i64> = Vec::with_capacity(sets.len());
    for tracked in &sets {
        let share = share(tracked, wanted, most, fallback);
        let left = add - added;
        let part = if add > 0 { share.clamp(0, left) } else { share.clamp(left, 0) };
        added += part;
        sizes.push(tracked.set.replicas() + part);
    }
    spread(&mut sizes, add - added);
    for (tracked, size) in sets.into_iter().zip(sizes) {
        resize(tracked, size, wanted, most);
    }
}

/// What rounding left: to the first, the largest; from the next ones too if it has not enough.
fn spread(sizes: &mut [i64], mut rest: i64) {
    for size in sizes {
        let part = rest.max(-*size);
        *size += part;
        rest -= part;
    }
}

/// How many pods the set has to gain or lose to keep its share.
fn share(tracked: &Tracked, wanted: i64, most: i64, fallback: i64) -> i64 {
    let size = tracked.set.replicas();
    if wanted == 0 {
        return -size;
    }
    let noted = revision::number(&tracked.set.metadata.annotations, MAX).filter(|before| *before > 0);
    let before = noted.unwrap_or(fallback).max(1);
    // Rounded half up, in whole numbers.
    (2 * size * most + before).div_euclid(2 * before) - size
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::deployment::plan::samples::{deployment, set, work};
    use gantry_sdk::json;

    fn sizes(work: &Work) -> Vec<(String, i64)> {
        work.old.iter().chain(&work.new).map(|t| (t.set.metadata.name.clone(), t.set.replicas())).collect()
    }

    /// Old sets and the new one as (size, desired, most), then the sizes that scaling to `wanted` gives.
    #[test]
    fn keeps_the_mix() {
        for (wanted, surge, sets, result) in [
            (10, 0, vec![(5, 5, 5)], vec![10]),
            (5, 0, vec![(10, 10, 10)], vec![5]),
            (10, 0, vec![(3, 5, 5), (2, 5, 5)], vec![6, 4]),
            (15, 3, vec![(8, 10, 13), (5, 10, 13)], vec![11, 7]),
            (5, 0, vec![(5, 10, 10), (5, 10, 10)], vec![2, 3]),
            (0, 3, vec![(6, 10, 13), (7, 10, 13)], vec![0, 0]),
            (20, 0, vec![(5, 10, 10), (3, 10, 10), (2, 10, 10)], vec![10, 6, 4]),
        ] {
            let d = deployment(
                json!({"replicas": wanted, "strategy": {"rollingUpdate": {"maxSurge": surge, "maxUnavailable": 1}}}),
            );
            let count = sets.len();
            let all = sets.iter().enumerate().map(|(i, (size, desired, most))| {
                let mut set = set(&d, i, i + 1 == count, *size, 0);
                set.metadata.annotations.insert(DESIRED.into(), desired.to_string());
                set.metadata.annotations.insert(MAX.into(), most.to_string());
                set
            });
            let mut work = work(&d, all.collect());
            assert!(due(&work));
            apply(&mut work);
            let got: Vec<i64> = sizes(&work).into_iter().map(|(_, size)| size).collect();
            assert_eq!(got, result, "{wanted} from {sets:?}");
            assert!(!due(&work), "scaling is over after one step: {wanted} from {sets:?}");
        }
    }
}
