//! Following a kind in the store: everything there is, then every change, for ever. After a gap it begins anew.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use gantry_model::Record;
use gantry_model::key::Resource;
use gantry_objects::Objects;
use gantry_store::{Event, Range, Store, Watch};
use tokio::task::JoinSet;

use crate::backoff::Backoff;

/// What a follower sees.
pub enum Seen {
    /// All objects of the kind. First, and again after a gap: what is known and not among them is gone.
    All(Vec<Arc<Record>>),
    /// Changes since, in order.
    Changes(Vec<Arc<Event>>),
}

/// Follows one kind.
pub struct Follower {
    store: Arc<dyn Store>,
    resource: Resource,
    watch: Option<Box<dyn Watch>>,
    failures: u32,
}

impl Follower {
    /// Of this kind; nothing happens before [`Follower::next`].
    pub fn new(store: Arc<dyn Store>, resource: Resource) -> Self {
        Self { store, resource, watch: None, failures: 0 }
    }

    /// What comes next; waits.
    pub async fn next(&mut self) -> Seen {
        loop {
            let Some(watch) = &mut self.watch else {
                match self.begin() {
                    Ok(all) => return Seen::All(all),
                    Err(error) => {
                        self.failures += 1;
                        tracing::warn!(%error, resource = %self.resource, "can't watch");
                        tokio::time::sleep(Backoff::LOOPS.after(self.failures)).await;
                        continue;
                    }
                }
            };
            match watch.next().await {
                Ok(events) => {
                    self.failures = 0;
                    return Seen::Changes(events);
                }
                Err(error) => {
                    tracing::debug!(%error, resource = %self.resource, "a watch ended, listing anew");
                    self.watch = None;
                    if !matches!(error, gantry_store::Error::Compacted { .. }) {
                        self.failures += 1;
                        tokio::time::sleep(Backoff::LOOPS.after(self.failures)).await;
                    }
                }
            }
        }
    }

    fn begin(&mut self) -> Result<Vec<Arc<Record>>, gantry_store::Error> {
        let range = Range { resource: self.resource.clone(), namespace: None, after: None, limit: 0 };
        let page = self.store.list(&range);
        self.watch = Some(self.store.watch(&self.resource, Some(page.revision))?);
        Ok(page.records)
    }
}

/// A change anywhere: the object as it is, or as it last was.
#[derive(Clone, Debug)]
pub struct Change {
    /// The object.
    pub record: Arc<Record>,
    /// The object before, where it is known.
    pub previous: Option<Arc<Record>>,
    /// Whether it is gone.
    pub deleted: bool,
}

impl Change {
    fn of(event: &Event) -> Self {
        Self { record: event.record.clone(), previous: event.previous.clone(), deleted: event.deleted }
    }
}

/// Follows every kind, also those that are declared later, and hands changes of each to `see`. After a gap everything
/// of a kind is handed over again; deletions that fell into the gap are not, so `see` must not depend on them alone.
pub async fn everything(objects: Objects, see: impl Fn(Vec<Change>) + Send + Sync + Clone + 'static) {
    let mut followed: HashSet<Resource> = HashSet::new();
    let mut tasks = JoinSet::new();
    let mut generation = None;
    let mut tick = tokio::time::interval(NEW_KINDS);
    loop {
        tick.tick().await;
        if generation.replace(objects.kinds().generation()) == Some(objects.kinds().generation()) {
            continue;
        }
        for kind in objects.kinds().all() {
            let resource = kind.resource();
            if followed.insert(resource.clone()) {
                tasks.spawn(one(objects.store().clone(), resource, see.clone()));
            }
        }
    }
}

/// How soon a kind that was just declared is followed.
const NEW_KINDS: Duration = Duration::from_millis(500);

async fn one(store: Arc<dyn Store>, resource: Resource, see: impl Fn(Vec<Change>)) {
    let mut follower = Follower::new(store, resource);
    loop {
        see(match follower.next().await {
            Seen::All(records) => {
                records.into_iter().map(|record| Change { record, previous: None, deleted: false }).collect()
            }
            Seen::Changes(events) => events.iter().map(|event| Change::of(event)).collect(),
        });
    }
}
