//! A watch reads the resource's shared events at its own pace: a hundred of them cost the writer no more than one.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use async_trait::async_trait;
use tokio::sync::watch;

use super::{Memory, Resident};
use crate::{Error, Event, Watch};

/// Events handed out at once: bounds how long the lock is held and how much a reader has to take.
const BATCH: usize = 1000;

/// One reader of a resource's events.
pub(crate) struct Watcher {
    memory: Arc<Memory>,
    resident: Arc<Resident>,
    changed: watch::Receiver<()>,
    /// All events up to here were delivered. Asking for it moves it, so that what a bookmark says never goes back.
    position: AtomicU64,
}

impl Watcher {
    pub(super) fn new(memory: Arc<Memory>, resident: Arc<Resident>, position: u64) -> Self {
        let changed = resident.waiter();
        Self { memory, resident, changed, position: AtomicU64::new(position) }
    }

    fn take(&mut self) -> Result<Vec<Arc<Event>>, Error> {
        let position = self.position.get_mut();
        let state = self.resident.read();
        let events = state
            .events(*position, BATCH)
            .ok_or_else(|| Error::Compacted { asked: *position, oldest: state.floor() })?;
        if let Some(last) = events.last() {
            *position = last.revision;
        }
        Ok(events)
    }
}

#[async_trait]
impl Watch for Watcher {
    async fn next(&mut self) -> Result<Vec<Arc<Event>>, Error> {
        loop {
            // Marked as seen before looking: what changes after the look wakes the wait below.
            self.changed.borrow_and_update();
            let closed = self.memory.closed();
            let events = self.take()?;
            if !events.is_empty() {
                return Ok(events);
            }
            if closed || self.changed.changed().await.is_err() {
                return Err(Error::Failed("it is closed".to_owned()));
            }
        }
    }

    fn revision(&self) -> u64 {
        // In this order: whatever the store had at `now` is in `last`, so if nothing is behind the position, nothing
        // up to `now` is missing.
        let now = self.memory.revision();
        let position = self.position.load(Ordering::Acquire);
        if self.resident.last() <= position {
            self.position.fetch_max(now, Ordering::AcqRel).max(now)
        } else {
            position
        }
    }
}
