//! A map that knows what it was when the current change began.

use std::collections::BTreeMap;

/// Values by key, and the former values of those that were touched.
#[derive(Debug)]
pub struct Ledger<K, V> {
    now: BTreeMap<K, V>,
    before: BTreeMap<K, Option<V>>,
}

/// A key whose value is another now: before and after.
pub type Changed<K, V> = (K, Option<V>, Option<V>);

impl<K, V> Default for Ledger<K, V> {
    fn default() -> Self {
        Self { now: BTreeMap::new(), before: BTreeMap::new() }
    }
}

impl<K: Ord + Clone, V: PartialEq + Clone> Ledger<K, V> {
    pub fn get(&self, key: &K) -> Option<&V> {
        self.now.get(key)
    }

    pub fn is_empty(&self) -> bool {
        self.now.is_empty()
    }

    /// Sets or removes a value.
    pub fn set(&mut self, key: K, value: Option<V>) {
        let old = match value {
            Some(value) => self.now.insert(key.clone(), value),
            None => self.now.remove(&key),
        };
        self.before.entry(key).or_insert(old);
    }

    /// Ends the change: what is not as it was at its beginning.
    pub fn finish(&mut self) -> Vec<Changed<K, V>> {
        let touched = std::mem::take(&mut self.before).into_iter();
        let changed = touched.map(|(key, old)| {
            let new = self.now.get(&key).cloned();
            (key, old, new)
        });
        changed.filter(|(_, old, new)| old != new).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tells_the_difference_and_nothing_else() {
        let mut ledger = Ledger::default();
        ledger.set("a", Some(1));
        ledger.set("b", Some(1));
        assert_eq!(ledger.finish(), [("a", None, Some(1)), ("b", None, Some(1))]);
        ledger.set("a", Some(2));
        ledger.set("a", Some(1));
        ledger.set("b", None);
        ledger.set("c", Some(3));
        ledger.set("c", None);
        assert_eq!(ledger.finish(), [("b", Some(1), None)]);
        assert_eq!(ledger.finish(), []);
    }
}
