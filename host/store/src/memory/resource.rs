//! One resource's place in memory.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{RwLock, RwLockReadGuard, RwLockWriteGuard};

use gantry_model::key::Resource;
use tokio::sync::watch;

use super::state::State;

/// A resource with its objects, its recent events and those who wait for more.
pub(crate) struct Resident {
    resource: Resource,
    state: RwLock<State>,
    /// The revision of the newest event.
    last: AtomicU64,
    changed: watch::Sender<()>,
}

impl Resident {
    pub(super) fn new(resource: Resource, floor: u64) -> Self {
        Self {
            resource,
            state: RwLock::new(State::new(floor)),
            last: AtomicU64::new(0),
            changed: watch::Sender::new(()),
        }
    }

    /// Its name; keys share its text.
    pub(crate) fn resource(&self) -> &Resource {
        &self.resource
    }

    pub(super) fn read(&self) -> RwLockReadGuard<'_, State> {
        super::read(&self.state)
    }

    pub(super) fn write(&self) -> RwLockWriteGuard<'_, State> {
        super::write(&self.state)
    }

    pub(super) fn last(&self) -> u64 {
        self.last.load(Ordering::Acquire)
    }

    pub(super) fn advance(&self, revision: u64) {
        self.last.store(revision, Ordering::Release);
    }

    pub(super) fn wake(&self) {
        self.changed.send_replace(());
    }

    pub(super) fn waiter(&self) -> watch::Receiver<()> {
        self.changed.subscribe()
    }
}
