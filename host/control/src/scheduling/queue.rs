//! Pods that want a node: those to be tried now by priority and then in the order in which they came, and by class those
//! that fitted nowhere.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap, HashSet};

use gantry_model::Key;

use super::class::ClassId;

/// The pods that wait.
#[derive(Default)]
pub(super) struct Queue {
    ready: BinaryHeap<(i64, Reverse<u64>, Key)>,
    queued: HashSet<Key>,
    serial: u64,
    parked: HashMap<ClassId, HashSet<Key>>,
}

impl Queue {
    /// To be tried now.
    pub(super) fn push(&mut self, key: Key, priority: i64) {
        if self.queued.insert(key.clone()) {
            self.serial += 1;
            self.ready.push((priority, Reverse(self.serial), key));
        }
    }

    /// The next to be tried.
    pub(super) fn pop(&mut self) -> Option<Key> {
        let (.., key) = self.ready.pop()?;
        self.queued.remove(&key);
        Some(key)
    }

    /// Fitted nowhere: waits until something changes for its class.
    pub(super) fn park(&mut self, class: ClassId, key: Key) {
        self.parked.entry(class).or_default().insert(key);
    }

    /// Does not wait any more.
    pub(super) fn unpark(&mut self, class: ClassId, key: &Key) {
        if let Some(keys) = self.parked.get_mut(&class) {
            keys.remove(key);
            if keys.is_empty() {
                self.parked.remove(&class);
            }
        }
    }

    /// Classes of which pods wait for a change.
    pub(super) fn parked_classes(&self) -> Vec<ClassId> {
        self.parked.keys().copied().collect()
    }

    /// The pods of a class that wait for a change, which wait no more.
    pub(super) fn take_parked(&mut self, class: ClassId) -> Vec<Key> {
        self.parked.remove(&class).into_iter().flatten().collect()
    }

    /// How many wait: to be tried, and for a change.
    pub(super) fn depth(&self) -> (usize, usize) {
        (self.ready.len(), self.parked.values().map(HashSet::len).sum())
    }

    pub(super) fn has_ready(&self) -> bool {
        !self.ready.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use gantry_model::key::Resource;

    #[test]
    fn higher_priority_goes_first_then_who_came_first() {
        let key = |name: &str| Key::new(Resource::new("", "pods"), "a", name);
        let mut queue = Queue::default();
        for (name, priority) in [("a", 0), ("b", 0), ("c", 5), ("a", 0)] {
            queue.push(key(name), priority);
        }
        let order: Vec<String> = std::iter::from_fn(|| queue.pop()).map(|k| k.name.to_string()).collect();
        assert_eq!(order, ["c", "a", "b"]);
        queue.park(1, key("a"));
        queue.park(1, key("b"));
        queue.unpark(1, &key("a"));
        assert_eq!(queue.take_parked(1), [key("b")]);
        assert!(queue.parked_classes().is_empty());
    }
}
