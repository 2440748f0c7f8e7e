//! Which ranges nodes have, and which is next. Decides and does nothing.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use ipnet::IpNet;

/// How long a range that a write asks for is kept for it: the write is made, or it failed.
const WAIT: Duration = Duration::from_secs(60);

/// A range that can't be had.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum Taken {
    /// Another node has it, or a part of it.
    #[error("{range} overlaps {other} of node {node:?}")]
    Node {
        /// As asked.
        range: IpNet,
        /// What it overlaps.
        other: IpNet,
        /// Whose that is.
        node: String,
    },
    /// It is for something else than pods.
    #[error("{range} overlaps {other}, which is for Services")]
    Reserved {
        /// As asked.
        range: IpNet,
        /// What it overlaps.
        other: IpNet,
    },
}

struct Held {
    ranges: Vec<IpNet>,
    /// Asked for, and not seen in the Node yet.
    since: Option<Instant>,
}

/// Ranges by node.
pub struct Pool {
    clusters: Vec<(IpNet, u8)>,
    reserved: Vec<IpNet>,
    nodes: HashMap<String, Held>,
    /// By cluster range: what was given last, so that a range rests before it is given again.
    last: HashMap<IpNet, IpNet>,
}

impl Pool {
    /// Of cluster ranges with the length of a node's prefix in each.
    pub fn new(clusters: Vec<(IpNet, u8)>, reserved: Vec<IpNet>) -> Self {
        Self { clusters, reserved, nodes: HashMap::new(), last: HashMap::new() }
    }

    /// A Node was seen with these ranges. One without any keeps what it has asked for.
    pub fn saw(&mut self, node: &str, ranges: Vec<IpNet>) {
        if !ranges.is_empty() {
            self.nodes.insert(node.to_owned(), Held { ranges, since: None });
        }
    }

    /// A Node is gone.
    pub fn gone(&mut self, node: &str) {
        self.nodes.remove(node);
    }

    /// What a node has, or has asked for.
    pub fn held(&self, node: &str) -> Option<&Vec<IpNet>> {
        self.nodes.get(node).map(|held| &held.ranges)
    }

    /// Forgets every node that is not among these.
    pub fn only(&mut self, nodes: &[&str]) {
        self.nodes.retain(|name, held| held.since.is_some() || nodes.contains(&name.as_str()));
    }

    /// Keeps ranges for a node that is about to be written with them.
    pub fn claim(&mut self, node: &str, ranges: &[IpNet], now: Instant) -> Result<(), Taken> {
        self.forget(now);
        for range in ranges {
            if let Some(other) = self.reserved.iter().find(|other| overlap(range, other)) {
                return Err(Taken::Reserved { range: *range, other: *other });
            }
            if let Some((name, other)) = self.holder(range, node) {
                return Err(Taken::Node { range: *range, other, node: name.to_owned() });
            }
        }
        self.nodes.insert(node.to_owned(), Held { ranges: ranges.to_vec(), since: Some(now) });
        Ok(())
    }

    /// Takes the next free range of each cluster range for a node, or what it has asked for already; `None`: there is none
    /// left.
    pub fn next(&mut self, node: &str, now: Instant) -> Option<Vec<IpNet>> {
        self.forget(now);
        if let Some(held) = self.nodes.get(node) {
            return Some(held.ranges.clone());
        }
        let found: Vec<(IpNet, IpNet)> = self
            .clusters
            .iter()
            .map(|(cluster, prefix)| Some((*cluster, self.free(cluster, *prefix)?)))
            .collect::<Option<_>>()?;
        let ranges: Vec<IpNet> = found.iter().map(|(_, range)| *range).collect();
        self.last.extend(found);
        self.nodes.insert(node.to_owned(), Held { ranges: ranges.clone(), since: Some(now) });
        Some(ranges)
    }

    fn free(&self, cluster: &IpNet, prefix: u8) -> Option<IpNet> {
        let is_free = |range: &IpNet| {
            !self.reserved.iter().any(|other| overlap(range, other)) && self.holder(range, "").is_none()
        };
        let all = || cluster.subnets(prefix).ok();
        let last = self.last.get(cluster);
        let after = all()?.skip_while(|range| last.is_some_and(|last| range <= last));
        after.chain(all()?).find(is_free)
    }

    fn holder(&self, range: &IpNet, but: &str) -> Option<(&str, IpNet)> {
        let others = self.nodes.iter().filter(|(name, _)| name.as_str() != but);
        others.into_iter().find_map(|(name, held)| {
            held.ranges.iter().find(|other| overlap(range, other)).map(|other| (name.as_str(), *other))
        })
    }

    fn forget(&mut self, now: Instant) {
        self.nodes.retain(|_, held| held.since.is_none_or(|since| now.duration_since(since) < WAIT));
    }
}

/// Whether two ranges have an address in common.
pub fn overlap(a: &IpNet, b: &IpNet) -> bool {
    a.contains(b) || b.contains(a)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn net(text: &str) -> IpNet {
        text.parse().unwrap()
    }

    fn pool(cluster: &str, prefix: u8) -> Pool {
        Pool::new(vec![(net(cluster), prefix)], vec![net("10.96.0.0/16")])
    }

    #[test]
    fn ranges_rest_before_they_are_given_again() {
        let (mut pool, now) = (pool("10.64.0.0/22", 24), Instant::now());
        assert_eq!(pool.next("a", now), Some(vec![net("10.64.0.0/24")]));
        assert_eq!(pool.next("b", now), Some(vec![net("10.64.1.0/24")]));
        pool.gone("a");
        assert_eq!(pool.next("c", now), Some(vec![net("10.64.2.0/24")]));
        assert_eq!(pool.next("d", now), Some(vec![net("10.64.3.0/24")]));
        assert_eq!(pool.next("e", now), Some(vec![net("10.64.0.0/24")]));
        assert_eq!(pool.next("f", now), None);
    }

    #[test]
    fn overlaps_are_named() {
        let (mut pool, now) = (pool("10.64.0.0/16", 24), Instant::now());
        pool.saw("a", vec![net("10.64.1.0/24")]);
        let error = pool.claim("b", &[net("10.64.0.0/20")], now).unwrap_err();
        assert_eq!(error.to_string(), "10.64.0.0/20 overlaps 10.64.1.0/24 of node \"a\"");
        let error = pool.claim("b", &[net("10.96.7.0/24")], now).unwrap_err();
        assert!(error.to_string().contains("for Services"));
        assert!(pool.claim("a", &[net("10.64.1.0/24")], now).is_ok());
        assert!(pool.claim("b", &[net("192.168.0.0/24")], now).is_ok());
    }

    #[test]
    fn what_is_asked_for_and_never_written_is_free_again() {
        let (mut pool, now) = (pool("10.64.0.0/24", 24), Instant::now());
        assert!(pool.next("a", now).is_some() && pool.next("b", now).is_none());
        assert!(pool.next("b", now + WAIT).is_some());
    }

    #[test]
    fn both_families_are_given_together() {
        let mut pool = Pool::new(vec![(net("10.64.0.0/16"), 24), (net("fd00:64::/48"), 64)], Vec::new());
        assert_eq!(pool.next("a", Instant::now()), Some(vec![net("10.64.0.0/24"), net("fd00:64::/64")]));
    }

    proptest! {
        /// Whatever comes and goes, no two nodes overlap.
        #[test]
        fn no_address_has_two_nodes(steps in proptest::collection::vec((0..12u8, 0..3u8, 0..16u8), 1..80)) {
            let (mut pool, now) = (pool("10.64.0.0/20", 24), Instant::now());
            for (node, what, third) in steps {
                let name = node.to_string();
                match what {
                    0 => { pool.next(&name, now); }
                    1 => { let _ = pool.claim(&name, &[net(&format!("10.64.{third}.0/25"))], now); }
                    2 => pool.gone(&name),
                    _ => {}
                }
                let all: Vec<IpNet> = pool.nodes.values().flat_map(|held| held.ranges.clone()).collect();
                for (at, one) in all.iter().enumerate() {
                    prop_assert!(all[at + 1..].iter().all(|other| !overlap(one, other)), "{all:?}");
                }
            }
        }
    }
}
