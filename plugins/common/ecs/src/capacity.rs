//! Capacity providers: each is the nodes of one Auto Scaling group, and a strategy says how tasks are shared among them.

use serde::{Deserialize, Serialize};

/// The label of nodes with the name of the Auto Scaling group that they are of.
pub const GROUP: &str = "ecs.gantry.dev/auto-scaling-group";

/// One provider of a strategy.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Share {
    /// The provider's name.
    pub capacity_provider: String,
    /// Tasks that it gets before all others.
    pub base: u64,
    /// Its part of the rest.
    pub weight: u64,
    /// Whose nodes it is: the value of the label [`GROUP`].
    pub group: String,
}

/// Who gets the next task, by the tasks that each has: first whose base is not reached, then whoever is furthest below its
/// part. Of several alike the first. None: no weight says who.
pub fn next(shares: &[Share], tasks: &[u64]) -> Option<usize> {
    let has = |at: usize| tasks.get(at).copied().unwrap_or_default();
    if let Some(at) = shares.iter().enumerate().position(|(at, share)| has(at) < share.base) {
        return Some(at);
    }
    let weighted = shares.iter().enumerate().filter(|(_, share)| share.weight > 0);
    // What it would have then, beyond its base, for each unit of weight: compared without division.
    let after = |at: usize, share: &Share| u128::from(has(at).saturating_sub(share.base)) + 1;
    let less = |(a, one): &(usize, &Share), (b, two): &(usize, &Share)| {
        (after(*a, one) * u128::from(two.weight)).cmp(&(after(*b, two) * u128::from(one.weight)))
    };
    weighted.min_by(less).map(|(at, _)| at)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn made(shares: &[(u64, u64)], tasks: usize) -> Vec<u64> {
        let shares: Vec<Share> =
            shares.iter().map(|(base, weight)| Share { base: *base, weight: *weight, ..Share::default() }).collect();
        let mut has = vec![0; shares.len()];
        for _ in 0..tasks {
            let Some(at) = next(&shares, &has) else { break };
            has[at] += 1;
        }
        has
    }

    #[test]
    fn the_base_comes_first_and_the_rest_by_weight() {
        for (shares, tasks, want) in [
            (vec![(0, 1)], 3, vec![3]),
            (vec![(0, 1), (0, 1)], 4, vec![2, 2]),
            (vec![(0, 1), (0, 4)], 10, vec![2, 8]),
            (vec![(2, 1), (0, 1)], 6, vec![4, 2]),
            (vec![(3, 0), (0, 1)], 5, vec![3, 2]),
            (vec![(3, 0), (0, 1)], 2, vec![2, 0]),
            (vec![(0, 0), (0, 1)], 5, vec![0, 5]),
            (vec![(0, 0), (0, 0)], 5, vec![0, 0]),
            (vec![(0, 3), (0, 2)], 5, vec![3, 2]),
        ] {
            assert_eq!(made(&shares, tasks), want, "{shares:?} {tasks}");
        }
    }

    #[test]
    fn what_is_missing_comes_back_where_it_is_missing() {
        let shares = [Share { weight: 1, ..Share::default() }, Share { weight: 4, ..Share::default() }];
        assert_eq!(next(&shares, &[0, 8]), Some(0));
        assert_eq!(next(&shares, &[2, 3]), Some(1));
    }
}
