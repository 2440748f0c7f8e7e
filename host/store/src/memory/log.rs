//! How long events are kept: the writer's account of them, oldest first, over all resources.

use std::collections::VecDeque;

use super::Change;

/// What an event costs besides its JSON: parsed metadata, keys, pointers. An estimate; it only scales the bound.
const OVERHEAD: usize = 1024;

/// All events that can be watched again.
pub(crate) struct Log {
    changes: VecDeque<Change>,
    bytes: usize,
    max_events: usize,
    max_bytes: usize,
}

impl Log {
    pub(crate) fn new(max_events: usize, max_bytes: usize) -> Self {
        Self { changes: VecDeque::new(), bytes: 0, max_events, max_bytes }
    }

    pub(crate) fn len(&self) -> usize {
        self.changes.len()
    }

    pub(crate) fn push(&mut self, change: Change) {
        self.bytes += cost(&change);
        self.changes.push_back(change);
    }

    /// Takes out what must go so that the log is within its bounds. What is pushed between two calls overshoots them.
    pub(crate) fn evict(&mut self) -> Vec<Change> {
        let mut evicted = Vec::new();
        while self.changes.len() > self.max_events || self.bytes > self.max_bytes {
            let Some(change) = self.changes.pop_front() else { break };
            self.bytes = self.bytes.saturating_sub(cost(&change));
            evicted.push(change);
        }
        evicted
    }
}

fn cost((_, event): &Change) -> usize {
    event.record.json.len() + OVERHEAD
}
