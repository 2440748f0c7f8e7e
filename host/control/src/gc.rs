//! Garbage collection by ownerReferences, for every kind alike: dependents of owners that are gone, foreground and
//! orphaning deletions.
//! See <https://kubernetes.io/docs/concepts/architecture/garbage-collection/>.

use std::sync::Arc;
use std::time::Duration;

use gantry_model::meta::OwnerReference;
use gantry_model::status::Reason;
use gantry_model::{Key, Kind, Record, Status};
use gantry_objects::{DeleteOptions, Objects, Patch, Preconditions, Propagation, WriteOptions};
use gantry_store::Range;
use serde_json::json;
use tokio::task::JoinSet;

use crate::backoff::Backoff;
use crate::follow::{self, Change};
use crate::queue::{Next, Queue};

const WORKERS: usize = 16;
const BATCH: usize = 16;
/// Everything that has owners is looked at again after this, for the sake of deletions that fell into a gap of a watch
/// and of owners whose kind was not known.
const SWEEP: Duration = Duration::from_secs(300);
const MANAGER: &str = "gantry-gc";
const FOREGROUND: &str = "foregroundDeletion";
const ORPHAN: &str = "orphan";

/// Runs for ever.
pub async fn run(objects: Objects) {
    let collector = Arc::new(Collector { objects: objects.clone(), queue: Queue::new(Backoff::KEYS) });
    let mut tasks = JoinSet::new();
    for _ in 0..WORKERS {
        tasks.spawn(collector.clone().work());
    }
    tasks.spawn(collector.clone().sweep());
    follow::everything(objects, move |changes| collector.see(&changes)).await;
}

struct Collector {
    objects: Objects,
    /// Objects to look at: do their owners live, and do they wait for dependents?
    queue: Queue<Key>,
}

/// What is known of an owner.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Owner {
    Lives,
    Gone,
    /// It waits for its dependents to go.
    WaitsForDependents,
    /// Its kind is not known now, or it can't be found by its name alone, so nothing can be said.
    Unknown,
}

impl Collector {
    fn see(&self, changes: &[Change]) {
        for Change { record, previous, deleted } in changes {
            let meta = &record.meta;
            if *deleted {
                self.queue.push(self.objects.store().owned(&meta.uid).iter().map(|r| r.key.clone()));
                self.wake_owners(record);
            } else if !meta.owner_references.is_empty() || waits(record) {
                self.queue.push([record.key.clone()]);
            }
            // An owner may wait for a dependent that is none any more.
            let previous = previous.as_ref().filter(|previous| previous.meta.owner_references != meta.owner_references);
            previous.into_iter().for_each(|previous| self.wake_owners(previous));
        }
    }

    fn wake_owners(&self, dependent: &Record) {
        let owners = dependent.meta.owner_references.iter().filter_map(|owner| self.owner(dependent, owner));
        self.queue.push(owners.filter(|owner| waits(owner)).map(|owner| owner.key.clone()));
    }

    async fn sweep(self: Arc<Self>) {
        let mut tick = tokio::time::interval(SWEEP);
        tick.tick().await;
        loop {
            tick.tick().await;
            for kind in self.objects.kinds().all() {
                let range = Range { resource: kind.resource(), namespace: None, after: None, limit: 0 };
                let records = self.objects.store().list(&range).records;
                let concerned = records.iter().filter(|r| !r.meta.owner_references.is_empty() || waits(r));
                self.queue.push(concerned.map(|record| record.key.clone()));
            }
        }
    }

    async fn work(self: Arc<Self>) {
        loop {
            for key in self.queue.take(BATCH).await {
                let next = match self.look(&key).await {
                    Ok(()) => Next::Done,
                    Err(e) if matches!(e.reason, Reason::NotFound | Reason::Conflict) => {
                        // It changed while it was looked at; the change brings it back, unless it was an earlier one.
                        Next::Retry
                    }
                    Err(error) => {
                        tracing::warn!(%key, %error, "can't collect");
                        Next::Retry
                    }
                };
                self.queue.done(key, next);
            }
        }
    }

    async fn look(&self, key: &Key) -> Result<(), Status> {
        let Some(record) = self.objects.store().get(key) else { return Ok(()) };
        let Some(kind) = self.objects.kinds().of(&key.resource) else { return Ok(()) };
        if waits(&record) {
            self.advance(&kind, &record).await?;
        }
        if record.meta.deletion_timestamp.is_none() && !record.meta.owner_references.is_empty() {
            self.owners(&kind, &record).await?;
        }
        Ok(())
    }

    /// Deletes an object whose owners are all gone; drops references to some that are.
    async fn owners(&self, kind: &Kind, record: &Record) -> Result<(), Status> {
        let states: Vec<(&OwnerReference, Owner)> =
            record.meta.owner_references.iter().map(|owner| (owner, self.state(record, owner))).collect();
        if states.iter().all(|(_, state)| *state == Owner::Gone) {
            return self.delete(kind, record, None).await;
        }
        let blocked = |(owner, state): &(&OwnerReference, Owner)| {
            *state == Owner::WaitsForDependents && owner.block_owner_deletion == Some(true)
        };
        let keeps = states.iter().any(|(_, state)| matches!(state, Owner::Lives | Owner::Unknown));
        if !keeps && states.iter().any(blocked) {
            let dependents = !self.objects.store().owned(&record.meta.uid).is_empty();
            let propagation = dependents.then_some(Propagation::Foreground);
            return self.delete(kind, record, propagation).await;
        }
        // Somebody else keeps it, so those that are gone, and those that would wait for it for ever, let go of it.
        let lives = states.iter().any(|(_, state)| *state == Owner::Lives);
        let lets_go = |state: Owner| state == Owner::Gone || (lives && state == Owner::WaitsForDependents);
        if keeps && states.iter().any(|(_, state)| lets_go(*state)) {
            return self.disown(kind, record, |uid| states.iter().any(|(o, s)| o.uid == uid && lets_go(*s))).await;
        }
        Ok(())
    }

    /// One step of a foreground or orphaning deletion.
    async fn advance(&self, kind: &Kind, record: &Record) -> Result<(), Status> {
        let dependents = self.objects.store().owned(&record.meta.uid);
        if has(record, ORPHAN) {
            for dependent in &dependents {
                if let Some(kind) = self.objects.kinds().of(&dependent.key.resource) {
                    gone_is_fine(self.disown(&kind, dependent, |uid| uid == record.meta.uid).await)?;
                }
            }
            return self.finish(kind, record, ORPHAN).await;
        }
        let blocks = |dependent: &Arc<Record>| {
            let mut owners = dependent.meta.owner_references.iter();
            owners.any(|owner| owner.uid == record.meta.uid && owner.block_owner_deletion == Some(true))
        };
        if !dependents.iter().any(blocks) {
            return self.finish(kind, record, FOREGROUND).await;
        }
        // Each is looked at by itself: one that somebody else owns too stays.
        self.queue.push(dependents.iter().map(|dependent| dependent.key.clone()));
        Ok(())
    }

    async fn delete(&self, kind: &Kind, record: &Record, propagation: Option<Propagation>) -> Result<(), Status> {
        let options = DeleteOptions { propagation, preconditions: exactly(record), ..DeleteOptions::default() };
        gone_is_fine(self.objects.delete(kind, &record.meta.namespace, &record.meta.name, &options).await.map(drop))
    }

    async fn disown(&self, kind: &Kind, record: &Record, whom: impl Fn(&str) -> bool) -> Result<(), Status> {
        let mut object = record.value();
        let Some(owners) = object.pointer_mut("/metadata/ownerReferences").and_then(|o| o.as_array_mut()) else {
            return Ok(());
        };
        owners.retain(|o| !o.get("uid").and_then(|u| u.as_str()).is_some_and(&whom));
        let patch = json!({"metadata": {"ownerReferences": owners}});
        self.patch(kind, record, patch).await
    }

    async fn finish(&self, kind: &Kind, record: &Record, finalizer: &str) -> Result<(), Status> {
        let left: Vec<&String> = record.meta.finalizers.iter().filter(|f| *f != finalizer).collect();
        self.patch(kind, record, json!({"metadata": {"finalizers": left}})).await
    }

    async fn patch(&self, kind: &Kind, record: &Record, patch: serde_json::Value) -> Result<(), Status> {
        let options =
            WriteOptions { manager: MANAGER.to_owned(), preconditions: exactly(record), ..WriteOptions::default() };
        let patch = Patch::Merge(patch);
        self.objects.patch(kind, &record.meta.namespace, &record.meta.name, patch, &options).await.map(drop)
    }

    fn owner(&self, dependent: &Record, owner: &OwnerReference) -> Option<Arc<Record>> {
        let kind = self.kind_of(owner)?;
        let namespace = if kind.namespaced() { dependent.meta.namespace.as_str() } else { "" };
        self.objects.store().get(&Key::new(kind.resource(), namespace, &owner.name)).filter(|r| r.meta.uid == owner.uid)
    }

    fn kind_of(&self, owner: &OwnerReference) -> Option<Arc<Kind>> {
        let group = owner.api_version.split_once('/').map_or("", |(group, _)| group);
        self.objects.kinds().by_kind(group, &owner.kind)
    }

    fn state(&self, dependent: &Record, owner: &OwnerReference) -> Owner {
        // What belongs to no namespace can't belong to something in one: there is no telling which is meant.
        match self.kind_of(owner) {
            None => return Owner::Unknown,
            Some(kind) if kind.namespaced() && dependent.meta.namespace.is_empty() => return Owner::Unknown,
            Some(_) => {}
        }
        match self.owner(dependent, owner) {
            None => Owner::Gone,
            Some(owner) if owner.meta.deletion_timestamp.is_some() && has(&owner, FOREGROUND) => {
                Owner::WaitsForDependents
            }
            Some(_) => Owner::Lives,
        }
    }
}

fn has(record: &Record, finalizer: &str) -> bool {
    record.meta.finalizers.iter().any(|f| f == finalizer)
}

/// Whether an object's deletion waits for this collector.
fn waits(record: &Record) -> bool {
    record.meta.deletion_timestamp.is_some() && (has(record, FOREGROUND) || has(record, ORPHAN))
}

fn exactly(record: &Record) -> Preconditions {
    Preconditions { uid: Some(record.meta.uid.clone()), resource_version: Some(record.revision.to_string()) }
}

fn gone_is_fine(outcome: Result<(), Status>) -> Result<(), Status> {
    match outcome {
        Err(e) if e.reason == Reason::NotFound => Ok(()),
        other => other,
    }
}
