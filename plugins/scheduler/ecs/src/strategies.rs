//! Strategies: each keeps the best of the candidates that the one before it has left.

use std::collections::BTreeMap;

use ecs_common::placement::Rule;
use gantry_sdk::scheduler::MAX_SCORE;
use scheduler_common::Row;

use crate::instances::Instance;

/// An instance that can take the task.
#[derive(Clone, Copy)]
pub struct Candidate<'a> {
    /// Its number.
    pub id: u32,
    /// Its room.
    pub row: &'a Row,
    /// Its attributes.
    pub instance: &'a Instance,
}

/// What strategies look at besides candidates.
pub struct View<'a> {
    /// All instances, candidates or not.
    pub instances: &'a BTreeMap<u32, Instance>,
    /// Tasks of the group, by instance; shorter: none.
    pub tasks: &'a [u64],
    /// Differs from one placement to the next.
    pub draw: u64,
}

impl View<'_> {
    /// A score for each candidate, by number: the more strategies keep it, the better.
    pub fn scores(&self, rules: &[Rule], mut candidates: Vec<Candidate<'_>>) -> BTreeMap<u32, u32> {
        let mut scores = BTreeMap::new();
        let steps = u32::try_from(rules.len()).unwrap_or(u32::MAX).max(1);
        for (step, rule) in (0..).zip(rules) {
            let keys = self.keys(rule, &candidates);
            let best = keys.iter().copied().min();
            let mut keys = keys.into_iter();
            candidates.retain(|candidate| {
                let kept = keys.next() == best;
                if !kept {
                    scores.insert(candidate.id, MAX_SCORE / steps * step);
                }
                kept
            });
        }
        scores.extend(candidates.iter().map(|candidate| (candidate.id, MAX_SCORE)));
        scores
    }

    /// What a strategy wants little of, for each candidate.
    fn keys(&self, rule: &Rule, candidates: &[Candidate<'_>]) -> Vec<u64> {
        let left = |all: i64, used: i64| u64::try_from(all.saturating_sub(used)).unwrap_or_default();
        let each = |key: &dyn Fn(&Candidate<'_>) -> u64| candidates.iter().map(key).collect();
        match rule {
            Rule::SpreadInstances => each(&|c| self.tasks_on(c.id)),
            Rule::SpreadAttribute(name) => {
                let counts = self.by_value(name);
                each(&|c| counts.get(&value(c.instance, name)).copied().unwrap_or_default())
            }
            Rule::BinpackCpu => each(&|c| left(c.row.allocatable.cpu, c.row.requested.cpu)),
            Rule::BinpackMemory => each(&|c| left(c.row.allocatable.memory, c.row.requested.memory)),
            Rule::Random => each(&|c| mix(self.draw, &c.instance.name)),
        }
    }

    fn tasks_on(&self, id: u32) -> u64 {
        self.tasks.get(id as usize).copied().unwrap_or_default()
    }

    /// The group's tasks by the value of an attribute. Instances without it are together.
    fn by_value(&self, name: &str) -> BTreeMap<Option<&str>, u64> {
        let mut counts = BTreeMap::new();
        for (id, instance) in self.instances {
            *counts.entry(value(instance, name)).or_default() += self.tasks_on(*id);
        }
        counts
    }
}

fn value<'a>(instance: &'a Instance, name: &str) -> Option<&'a str> {
    instance.attributes.get(name).map(String::as_str)
}

/// A number that looks like no other's: FNV-1a over the name, then the last steps of splitmix64.
fn mix(draw: u64, name: &str) -> u64 {
    let begin = draw.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ 0xcbf2_9ce4_8422_2325;
    let hash = name.bytes().fold(begin, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3));
    let hash = (hash ^ (hash >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let hash = (hash ^ (hash >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    hash ^ (hash >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn draws_are_even() {
        let names = ["a", "b", "c", "d"];
        let mut drawn = [0; 4];
        for draw in 0..4_000 {
            let best = names.iter().enumerate().min_by_key(|(_, name)| mix(draw, name)).map(|(at, _)| at).unwrap();
            drawn[best] += 1;
        }
        assert!(drawn.iter().all(|times| (850..1_150).contains(times)), "{drawn:?}");
    }
}
