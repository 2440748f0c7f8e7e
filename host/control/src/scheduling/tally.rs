//! How many pods of each class every node carries, by the node's name: pods may name a node that is not there (yet), and
//! what they take counts from the moment it comes.

use std::collections::{BTreeMap, HashMap};

use super::class::ClassId;

/// The counts. No zeros.
#[derive(Default)]
pub(super) struct Tally {
    by_node: HashMap<String, BTreeMap<ClassId, i32>>,
}

impl Tally {
    pub(super) fn add(&mut self, node: &str, class: ClassId, count: i32) {
        if !self.by_node.contains_key(node) {
            self.by_node.insert(node.to_owned(), BTreeMap::new());
        }
        let Some(classes) = self.by_node.get_mut(node) else { return };
        let pods = classes.entry(class).or_default();
        *pods += count;
        debug_assert!(*pods >= 0, "{pods} pods of class {class} on {node}");
        if *pods == 0 {
            classes.remove(&class);
        }
        if classes.is_empty() {
            self.by_node.remove(node);
        }
    }

    /// What is on a node.
    pub(super) fn on(&self, node: &str) -> impl Iterator<Item = (ClassId, i32)> {
        self.by_node.get(node).into_iter().flatten().map(|(class, count)| (*class, *count))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_kept_about_empty_nodes() {
        let mut tally = Tally::default();
        for (node, class, count) in [("a", 1, 2), ("a", 2, 1), ("b", 1, 1), ("a", 1, -1)] {
            tally.add(node, class, count);
        }
        assert_eq!(tally.on("a").collect::<Vec<_>>(), [(1, 1), (2, 1)]);
        for (node, class, count) in [("a", 1, -1), ("a", 2, -1), ("b", 1, -1)] {
            tally.add(node, class, count);
        }
        assert!(tally.by_node.is_empty());
    }
}
