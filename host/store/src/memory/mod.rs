//! All objects in memory, for any store that learns of its changes in revision order.
//!
//! One mutator publishes changes; everybody else reads. Each resource has its own lock, so that a long listing of one
//! kind delays neither reads nor writes of another.

mod index;
mod log;
mod resource;
mod state;
mod watcher;

pub(crate) use log::Log;
pub(crate) use resource::Resident;

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use gantry_model::key::Resource;
use gantry_model::{Key, Record};

use crate::{Error, Event, Page, Range};
use index::Owners;
use watcher::Watcher;

/// A change and the resource it belongs to.
pub(crate) type Change = (Arc<Resident>, Arc<Event>);

/// Objects, indexes and recent events of all resources.
#[derive(Default)]
pub(crate) struct Memory {
    residents: RwLock<HashMap<Resource, Arc<Resident>>>,
    owners: RwLock<Owners>,
    revision: AtomicU64,
    /// Up to here events were forgotten before this process began.
    floor: AtomicU64,
    closed: AtomicBool,
}

impl Memory {
    /// The last published revision.
    pub(crate) fn revision(&self) -> u64 {
        self.revision.load(Ordering::Acquire)
    }

    /// One object.
    pub(crate) fn get(&self, key: &Key) -> Option<Arc<Record>> {
        self.known(&key.resource)?.read().get(&key.namespace, &key.name).cloned()
    }

    /// Objects of a kind, and the revision at which they are all there is.
    pub(crate) fn list(&self, range: &Range) -> Page {
        // Read before the look-up: a resource that appears in between is newer than this revision.
        let revision = self.revision();
        let Some(resident) = self.known(&range.resource) else {
            return Page { records: Vec::new(), revision, more: false, remaining: 0 };
        };
        let state = resident.read();
        // Publishing holds the lock until it has moved the revision, so this one covers all that is seen here.
        let revision = self.revision();
        let (records, remaining) = state.page(range);
        Page { records, revision, more: remaining > 0, remaining }
    }

    /// Objects with an owner of this uid.
    pub(crate) fn owned(&self, uid: &str) -> Vec<Arc<Record>> {
        read(&self.owners).of(uid)
    }

    /// Objects of a kind without a controller.
    pub(crate) fn orphans(&self, resource: &Resource, namespace: Option<&str>) -> Vec<Arc<Record>> {
        let Some(resident) = self.known(resource) else { return Vec::new() };
        // The lock on what was read ends with this statement.
        let found = resident.read().orphans(namespace);
        found.unwrap_or_else(|| {
            let mut state = resident.write();
            state.index_orphans();
            state.orphans(namespace).unwrap_or_default()
        })
    }

    /// Objects of a kind by the value of a selectable field.
    pub(crate) fn indexed(&self, resource: &Resource, namespace: Option<&str>, field: &str, value: &str) -> Page {
        // As in `list`.
        let revision = self.revision();
        let Some(resident) = self.known(resource) else {
            return Page { records: Vec::new(), revision, more: false, remaining: 0 };
        };
        let state = resident.read();
        let revision = self.revision();
        Page { records: state.indexed(namespace, field, value), revision, more: false, remaining: 0 }
    }

    /// Follows one resource.
    pub(crate) fn watch(self: &Arc<Self>, resource: &Resource, from: Option<u64>) -> Result<Watcher, Error> {
        let resident = self.resident(resource);
        let position = {
            let state = resident.read();
            let now = self.revision();
            let asked = from.unwrap_or(now);
            // A revision of the future is one of another history, say of a data directory that was thrown away:
            // waiting for it would skip changes.
            if asked < state.floor() || asked > now {
                return Err(Error::Compacted { asked, oldest: state.floor() });
            }
            asked
        };
        Ok(Watcher::new(Arc::clone(self), resident, position))
    }

    /// The resource's place, made when there is none.
    pub(crate) fn resident(&self, resource: &Resource) -> Arc<Resident> {
        if let Some(found) = self.known(resource) {
            return found;
        }
        let make = || Arc::new(Resident::new(resource.clone(), self.floor.load(Ordering::Acquire)));
        Arc::clone(write(&self.residents).entry(resource.clone()).or_insert_with(make))
    }

    /// Sets where history begins. Only before anything is restored or published.
    pub(crate) fn begin(&self, floor: u64) {
        self.floor.store(floor, Ordering::Release);
        self.revision.store(floor, Ordering::Release);
    }

    /// Takes in an object whose event is no longer kept. Only before the first publishing.
    pub(crate) fn restore(&self, record: Arc<Record>) {
        write(&self.owners).change(None, Some(&record));
        self.resident(&record.key.resource).write().restore(record);
    }

    /// Makes a group of changes visible at once and forgets the evicted events.
    pub(crate) fn publish(&self, changes: &[Change], evicted: &[Change]) {
        let touched: BTreeMap<&Resource, &Arc<Resident>> =
            changes.iter().chain(evicted).map(|(resident, _)| (resident.resource(), resident)).collect();
        {
            // All locks are taken, in the order of names, before anything changes: no read sees half a group.
            let mut states: BTreeMap<_, _> = touched.iter().map(|(name, resident)| (*name, resident.write())).collect();
            let mut owners = write(&self.owners);
            for (resident, event) in evicted {
                if let Some(state) = states.get_mut(resident.resource()) {
                    state.evict(event.revision);
                }
            }
            for (resident, event) in changes {
                owners.change(event.previous.as_ref(), (!event.deleted).then_some(&event.record));
                if let Some(state) = states.get_mut(resident.resource()) {
                    state.apply(Arc::clone(event));
                }
                resident.advance(event.revision);
            }
            if let Some((_, last)) = changes.last() {
                self.revision.store(last.revision, Ordering::Release);
            }
        }
    }

    /// Wakes who waits for these changes.
    pub(crate) fn announce(&self, changes: &[Change]) {
        let touched: BTreeMap<&Resource, &Arc<Resident>> =
            changes.iter().map(|(resident, _)| (resident.resource(), resident)).collect();
        touched.values().for_each(|resident| resident.wake());
    }

    /// Ends all watches once they have delivered what there is.
    pub(crate) fn close(&self) {
        self.closed.store(true, Ordering::Release);
        read(&self.residents).values().for_each(|resident| resident.wake());
    }

    fn closed(&self) -> bool {
        self.closed.load(Ordering::Acquire)
    }

    fn known(&self, resource: &Resource) -> Option<Arc<Resident>> {
        read(&self.residents).get(resource).cloned()
    }
}

// No code under these locks can panic half-way through a change, so a poisoned lock's content is whole.

fn read<T>(lock: &RwLock<T>) -> RwLockReadGuard<'_, T> {
    lock.read().unwrap_or_else(PoisonError::into_inner)
}

fn write<T>(lock: &RwLock<T>) -> RwLockWriteGuard<'_, T> {
    lock.write().unwrap_or_else(PoisonError::into_inner)
}
