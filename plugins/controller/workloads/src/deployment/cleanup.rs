//! Old ReplicaSets beyond `revisionHistoryLimit` go, those of the oldest revisions first.

use super::revision;
use super::work::{Tracked, Work};

/// Marks the old sets that go. Only sets that are empty and have been seen to be empty.
pub fn history(work: &mut Work) {
    let Some(limit) = work.deployment.history_limit() else { return };
    let mut old: Vec<_> = work.old.iter_mut().filter(|old| !old.set.metadata.is_deleting()).collect();
    old.sort_by_key(|old| revision::of(&old.set));
    let excess = old.len().saturating_sub(limit);
    old.into_iter().take(excess).filter(|old| empty(old)).for_each(|old| old.drop = true);
}

fn empty(old: &Tracked) -> bool {
    let seen = old.set.status.observed_generation >= old.set.metadata.generation;
    seen && !old.active() && !old.resized() && old.set.status.replicas == 0
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::deployment::plan::samples::{deployment, set, work};
    use gantry_sdk::json;

    #[test]
    fn keeps_the_newest_and_whatever_has_pods() {
        for (limit, sizes, dropped) in [
            (json!(2), vec![0, 0, 0, 0], vec![0, 1]),
            (json!(0), vec![0, 0], vec![0, 1]),
            (json!(1), vec![1, 0, 0], vec![1]),
            (json!(9), vec![0, 0], vec![]),
            (json!(null), vec![0, 0], vec![]),
        ] {
            let d = deployment(json!({"replicas": 1, "revisionHistoryLimit": limit}));
            let mut sets: Vec<_> = sizes.iter().enumerate().map(|(i, size)| set(&d, i, false, *size, *size)).collect();
            sets.push(set(&d, sizes.len(), true, 1, 1));
            let mut work = work(&d, sets);
            history(&mut work);
            let marked = work.old.iter().enumerate().filter(|(_, old)| old.drop).map(|(i, _)| i);
            assert_eq!(marked.collect::<Vec<_>>(), dropped, "limit {limit}, {sizes:?}");
        }
    }

    #[test]
    fn waits_until_the_set_was_seen_to_be_empty() {
        let d = deployment(json!({"replicas": 1, "revisionHistoryLimit": 0}));
        let mut unseen = set(&d, 0, false, 0, 0);
        unseen.metadata.generation = 9;
        let mut work = work(&d, vec![unseen, set(&d, 1, true, 1, 1)]);
        history(&mut work);
        assert!(!work.old[0].drop);
    }
}
