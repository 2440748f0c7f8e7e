//! Pods that want a node: those to be tried now by priority and then in the order in which they came, and by class those
//! that fitted nowhere.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap, HashMap, HashSet};

use gantry_model::Key;

use super::class::ClassId;

/// The pods that wait.
#[derive(Default)]
pub(super) struct Queue {
    ready: BinaryHeap<(i64, Reverse<u64>, Key)>,
    queued: HashSet<Key>,
    /// When each pod came. Kept over failed attempts, so that those do not cost a pod its turn.
    came: HashMap<Key, u64>,
    serial: u64,
    parked: HashMap<ClassId, BTreeMap<u64, Key>>,
}

impl Queue {
    /// To be tried now.
    pub(super) fn push(&mut self, key: Key, priority: i64) {
        let came = self.turn_of(&key);
        if self.queued.insert(key.clone()) {
            self.ready.push((priority, Reverse(came), key));
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
        let came = self.turn_of(&key);
        self.parked.entry(class).or_default().insert(came, key);
    }

    /// Is not to be found among the parked pods of this class any more.
    pub(super) fn unpark(&mut self, class: ClassId, key: &Key) {
        if let (Some(came), Some(keys)) = (self.came.get(key), self.parked.get_mut(&class)) {
            keys.remove(came);
            if keys.is_empty() {
                self.parked.remove(&class);
            }
        }
    }

    /// Wants no node any more. One that is among the ready ones still may be given out.
    pub(super) fn forget(&mut self, class: ClassId, key: &Key) {
        self.unpark(class, key);
        self.came.remove(key);
    }

    /// Classes of which pods wait for a change.
    pub(super) fn parked_classes(&self) -> Vec<ClassId> {
        self.parked.keys().copied().collect()
    }

    /// Whether pods of a class wait for a change.
    pub(super) fn has_parked(&self, class: ClassId) -> bool {
        self.parked.contains_key(&class)
    }

    /// The pod of a class that has waited longest for a change, which waits no more.
    pub(super) fn take_parked(&mut self, class: ClassId) -> Option<Key> {
        let keys = self.parked.get_mut(&class)?;
        let key = keys.pop_first().map(|(_, key)| key);
        if keys.is_empty() {
            self.parked.remove(&class);
        }
        key
    }

    /// How many wait: to be tried, and for a change.
    pub(super) fn depth(&self) -> (usize, usize) {
        (self.ready.len(), self.parked.values().map(BTreeMap::len).sum())
    }

    pub(super) fn has_ready(&self) -> bool {
        !self.ready.is_empty()
    }

    fn turn_of(&mut self, key: &Key) -> u64 {
        if let Some(came) = self.came.get(key) {
            return *came;
        }
        self.serial += 1;
        self.came.insert(key.clone(), self.serial);
        self.serial
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use gantry_model::key::Resource;

    fn key(name: &str) -> Key {
        Key::new(Resource::new("", "pods"), "a", name)
    }

    fn drain(queue: &mut Queue) -> Vec<String> {
        std::iter::from_fn(|| queue.pop()).map(|key| key.name.to_string()).collect()
    }

    #[test]
    fn higher_priority_goes_first_then_who_came_first() {
        let mut queue = Queue::default();
        for (name, priority) in [("a", 0), ("b", 0), ("c", 5), ("a", 0)] {
            queue.push(key(name), priority);
        }
        assert_eq!(drain(&mut queue), ["c", "a", "b"]);
        queue.park(1, key("a"));
        queue.park(1, key("b"));
        queue.unpark(1, &key("a"));
        assert_eq!((queue.take_parked(1), queue.take_parked(1)), (Some(key("b")), None));
        assert!(queue.parked_classes().is_empty());
    }

    #[test]
    fn a_failed_attempt_does_not_cost_a_pod_its_turn() {
        let mut queue = Queue::default();
        for name in ["a", "b"] {
            queue.push(key(name), 0);
        }
        let first = queue.pop().unwrap();
        queue.push(first, 0);
        assert_eq!(drain(&mut queue), ["a", "b"]);
        queue.park(1, key("b"));
        queue.park(1, key("a"));
        assert_eq!(queue.take_parked(1), Some(key("a")));
        queue.forget(1, &key("a"));
        queue.forget(1, &key("b"));
        assert!(queue.came.is_empty() && queue.parked.is_empty(), "nothing is kept about pods that are placed");
    }
}
