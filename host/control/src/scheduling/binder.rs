//! Bindings under way, many at once so that they share flushes of the store.

use std::sync::Arc;

use gantry_model::{Key, Record, Status};
use gantry_objects::{Binding, Objects};
use tokio::task::JoinSet;

/// What became of a binding.
pub(super) struct Bound {
    pub key: Key,
    pub uid: String,
    pub attempt: u64,
    pub outcome: Result<Arc<Record>, Status>,
}

/// The bindings under way.
pub(super) struct Binder {
    objects: Objects,
    running: JoinSet<Bound>,
    most: usize,
}

impl Binder {
    pub(super) fn new(objects: Objects, most: usize) -> Self {
        Self { objects, running: JoinSet::new(), most: most.max(1) }
    }

    /// Whether another may begin.
    pub(super) fn has_room(&self) -> bool {
        self.running.len() < self.most
    }

    pub(super) fn start(&mut self, record: &Record, attempt: u64, node: String) {
        let (objects, key, uid) = (self.objects.clone(), record.key.clone(), record.meta.uid.clone());
        self.running.spawn(async move {
            let binding = Binding {
                namespace: &key.namespace,
                name: &key.name,
                uid: Some(&uid),
                node: &node,
                ..Binding::default()
            };
            let outcome = objects.bind(&binding).await;
            Bound { key, uid, attempt, outcome }
        });
    }

    /// The next one that ended, with all that have ended by then. Waits for ever when none is under way.
    pub(super) async fn next(&mut self) -> Vec<Bound> {
        let Some(first) = self.running.join_next().await else {
            return std::future::pending().await;
        };
        let mut ended: Vec<Bound> = first.into_iter().collect();
        while let Some(more) = self.running.try_join_next() {
            ended.extend(more);
        }
        ended
    }
}
