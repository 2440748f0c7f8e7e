//! The one thread that changes anything.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Instant;

use gantry_model::{Key, Record};
use tokio::sync::{OwnedSemaphorePermit, mpsc, oneshot};

use super::Health;
use super::database::Disk;
use super::directory::Directory;
use super::load::Loaded;
use crate::memory::{Change, Log, Memory};
use crate::{Error, Event, Expect, Op, Write};

/// A group ends when it has this many bytes: sled keeps a batch in memory until all of it is written.
const GROUP_BYTES: usize = 4 << 20;

/// After so many revisions the directory notes how far they got.
const MARK_EVERY: u64 = 10_000;

pub(super) enum Message {
    Write(Box<Request>),
    /// Answered when the database is closed.
    Close(oneshot::Sender<()>),
}

/// A write that waits.
pub(super) struct Request {
    pub(super) write: Write,
    /// Bytes of the object.
    pub(super) size: usize,
    pub(super) waiter: Waiter,
}

/// Who waits for the answer.
pub(super) struct Waiter {
    pub(super) done: oneshot::Sender<Result<Arc<Record>, Error>>,
    /// The place in the queue, freed with the answer.
    pub(super) _room: OwnedSemaphorePermit,
}

type Answer = (Waiter, Result<Arc<Record>, Error>);

pub(super) struct Writer {
    memory: Arc<Memory>,
    log: Log,
    disk: Box<dyn Disk>,
    health: Arc<Health>,
    max_group: usize,
    /// The last revision given out.
    revision: u64,
    /// Let go after the disk. A test's disk has none.
    directory: Option<Directory>,
}

impl Writer {
    pub(super) fn new(loaded: Loaded, health: Arc<Health>, max_group: usize) -> Self {
        let Loaded { memory, log, disk, directory } = loaded;
        let revision = memory.revision();
        Self { memory, log, disk, health, max_group, revision, directory }
    }

    /// Works until it is told to close or nobody can send any more.
    pub(super) fn run(mut self, mut messages: mpsc::Receiver<Message>) {
        let mut closing = None;
        while closing.is_none()
            && let Some(first) = messages.blocking_recv()
        {
            let (group, close) = gather(first, &mut messages, self.max_group);
            metrics::gauge!("gantry_store_queue_depth").set(messages.len() as f64);
            if !group.is_empty() {
                self.commit(group);
                self.mark(MARK_EVERY);
            }
            closing = close;
        }
        self.mark(1);
        drop(self);
        // What is still queued is dropped with the queue, and its senders learn that it was not made.
        drop(messages);
        if let Some(done) = closing {
            // Nobody may be waiting any more.
            let _ = done.send(());
        }
    }

    fn commit(&mut self, requests: Vec<Request>) {
        metrics::histogram!("gantry_store_group_size").record(requests.len() as f64);
        let mut group = Group::default();
        let answers = requests.into_iter().map(|request| (request.waiter, self.stage(request.write, &mut group)));
        // Refusals wait for the flush too: one may be due to a write of this group that is not durable yet.
        let answers: Vec<Answer> = answers.collect();
        match self.persist(group.changes) {
            Ok(()) => answers.into_iter().for_each(reply),
            Err(reason) => {
                tracing::error!("the store's disk failed, all writes are refused from now on: {reason}");
                let _ = self.health.failure.set(reason);
                answers.into_iter().for_each(|(waiter, _)| reply((waiter, Err(self.health.reason()))));
            }
        }
    }

    /// Notes how far the revisions got, if it is at least so many further than last time.
    fn mark(&mut self, step: u64) {
        let durable = self.memory.revision();
        if let Some(directory) = &mut self.directory
            && durable >= directory.reached().saturating_add(step)
        {
            directory.mark(durable).unwrap_or_else(|e| tracing::warn!("{e}"));
        }
    }

    /// Decides a write against memory and the group's earlier writes.
    fn stage(&mut self, write: Write, group: &mut Group) -> Result<Arc<Record>, Error> {
        let Write { key, expect, op } = write;
        let staged = group.records.get(&key).cloned();
        let current = staged.unwrap_or_else(|| self.memory.get(&key));
        if !allowed(expect, &op, current.as_deref()) {
            metrics::counter!("gantry_store_conflicts_total").increment(1);
            return Err(Error::Conflict { key, current: current.map(|record| record.revision) });
        }
        let resident = self.memory.resident(&key.resource);
        self.revision += 1;
        let (record, deleted) = match (op, &current) {
            (Op::Put(mut draft), _) => {
                // All states of an object share the text of its key.
                draft.key = current.as_ref().map_or_else(
                    || Key { resource: resident.resource().clone(), ..key.clone() },
                    |record| record.key.clone(),
                );
                (Arc::new(draft.commit(self.revision)), false)
            }
            (Op::Delete, Some(current)) => (Arc::new(current.restamped(self.revision)), true),
            (Op::Delete, None) => return Err(Error::Conflict { key, current: None }),
        };
        group.records.insert(key, (!deleted).then(|| Arc::clone(&record)));
        let event = Event { revision: self.revision, record: Arc::clone(&record), previous: current, deleted };
        group.changes.push((resident, Arc::new(event)));
        Ok(record)
    }

    /// Makes the changes durable, then visible.
    fn persist(&mut self, changes: Vec<Change>) -> Result<(), String> {
        if let Some(reason) = self.health.failure.get() {
            return Err(reason.clone());
        }
        if changes.is_empty() {
            return Ok(());
        }
        let evicted = self.log.evict();
        let start = Instant::now();
        self.disk.commit(&events(&changes), &events(&evicted))?;
        metrics::histogram!("gantry_store_flush_seconds").record(start.elapsed().as_secs_f64());
        self.memory.publish(&changes, &evicted);
        self.memory.announce(&changes);
        metrics::counter!("gantry_store_writes_total").increment(changes.len() as u64);
        metrics::gauge!("gantry_store_revision").set(self.revision as f64);
        changes.into_iter().for_each(|change| self.log.push(change));
        metrics::gauge!("gantry_store_log_events").set(self.log.len() as f64);
        Ok(())
    }
}

/// Changes that become durable together.
#[derive(Default)]
struct Group {
    changes: Vec<Change>,
    /// What the changes leave at their keys.
    records: HashMap<Key, Option<Arc<Record>>>,
}

/// What waits now, as far as it fits one group. Nothing is gained by waiting for more: it comes during the flush.
fn gather(
    first: Message,
    messages: &mut mpsc::Receiver<Message>,
    max: usize,
) -> (Vec<Request>, Option<oneshot::Sender<()>>) {
    let (mut group, mut bytes, mut next) = (Vec::new(), 0, Some(first));
    while let Some(message) = next {
        match message {
            Message::Write(request) => {
                bytes += request.size;
                group.push(*request);
            }
            Message::Close(done) => return (group, Some(done)),
        }
        next = if group.len() < max && bytes < GROUP_BYTES { messages.try_recv().ok() } else { None };
    }
    (group, None)
}

fn allowed(expect: Expect, op: &Op, current: Option<&Record>) -> bool {
    match (expect, current) {
        (Expect::Any, None) => matches!(op, Op::Put(_)),
        (Expect::Any, Some(_)) => true,
        (Expect::Absent, current) => current.is_none() && matches!(op, Op::Put(_)),
        (Expect::Revision(revision), current) => current.is_some_and(|record| record.revision == revision),
    }
}

fn events(changes: &[Change]) -> Vec<&Event> {
    changes.iter().map(|(_, event)| &**event).collect()
}

fn reply((waiter, result): Answer) {
    // The one who asked may have gone; the write stands.
    let _ = waiter.done.send(result);
}
