//! From changes of one watched kind to keys.

use std::sync::Arc;
use std::time::Duration;

use gantry_model::{Kind, Meta, Record};
use gantry_plugin::family::controller::{Mapping, Watch};
use gantry_plugin::family::{KindRef, ObjectRef};
use gantry_store::Event;

use super::{Key, Options, asks};
use crate::backoff::Backoff;
use crate::follow::{Follower, Seen};
use crate::queue::Queue;

/// A kind that another plugin or a CustomResourceDefinition declares may come later.
const KIND_PATIENCE: Duration = Duration::from_millis(500);
/// Objects in one call of `map`.
const MAP_BATCH: usize = 256;

pub(super) struct Feed {
    pub options: Arc<Options>,
    pub queue: Arc<Queue<Key>>,
    pub kind: KindRef,
    pub watches: Vec<Watch>,
}

impl Feed {
    pub(super) async fn run(self) {
        let kind = self.await_kind().await;
        let mut follower = Follower::new(self.options.objects.store().clone(), kind.resource());
        loop {
            match follower.next().await {
                Seen::All(records) => self.all(&records).await,
                Seen::Changes(events) => self.changes(&events).await,
            }
        }
    }

    async fn await_kind(&self) -> Arc<Kind> {
        let mut told = false;
        loop {
            if let Some(kind) = self.options.objects.kinds().by_kind(&self.kind.group, &self.kind.kind) {
                return kind;
            }
            if !told {
                let (plugin, kind, group) = (&self.options.plugin, &self.kind.kind, &self.kind.group);
                tracing::info!(plugin, kind, group, "a watched kind is not there yet");
                told = true;
            }
            tokio::time::sleep(KIND_PATIENCE).await;
        }
    }

    async fn all(&self, records: &[Arc<Record>]) {
        let keys = records.iter().flat_map(|record| self.known(&record.key, &record.meta, None));
        self.queue.push(keys);
        self.ask(records.iter()).await;
    }

    async fn changes(&self, events: &[Arc<Event>]) {
        let keys = events.iter().flat_map(|event| {
            let before = event.previous.as_ref().map(|record| &record.meta);
            self.known(&event.record.key, &event.record.meta, before)
        });
        self.queue.push(keys);
        self.ask(events.iter().map(|event| &event.record)).await;
    }

    /// Keys that need no question: the object itself, its controller, and the controller that it had before.
    fn known(&self, at: &gantry_model::Key, meta: &Meta, before: Option<&Meta>) -> Vec<Key> {
        let mut keys = Vec::with_capacity(2);
        for watch in &self.watches {
            match watch.mapping {
                Mapping::Itself => keys.push(key(&watch.target, &at.namespace, &at.name)),
                Mapping::Owner => {
                    let owners = [Some(meta), before].into_iter().flatten().filter_map(Meta::controller);
                    for owner in owners.filter(|owner| is_of(&watch.target, &owner.api_version, &owner.kind)) {
                        let key = key(&watch.target, &at.namespace, &owner.name);
                        if !keys.contains(&key) {
                            keys.push(key);
                        }
                    }
                }
                Mapping::Orphan | Mapping::Map => {}
            }
        }
        keys
    }

    async fn ask<'a>(&self, records: impl Iterator<Item = &'a Arc<Record>>) {
        if !self.watches.iter().any(|watch| asks(watch.mapping)) {
            return;
        }
        let all = self.watches.iter().any(|watch| watch.mapping == Mapping::Map);
        let asked: Vec<&Arc<Record>> = records.filter(|r| all || r.meta.controller().is_none()).collect();
        for part in asked.chunks(MAP_BATCH) {
            let keys = self.map(part).await;
            self.queue.push(keys.into_iter().map(Key::of));
        }
    }

    /// Asks until there is an answer: a change that is forgotten is never seen again.
    async fn map(&self, records: &[&Arc<Record>]) -> Vec<ObjectRef> {
        let mut failures = 0;
        loop {
            let objects = records.iter().map(|record| record.json.to_vec()).collect();
            match self.options.controller.map(self.kind.clone(), objects).await {
                Ok(keys) => return keys.into_iter().flatten().collect(),
                Err(fault) => {
                    failures += 1;
                    tracing::warn!(plugin = self.options.plugin, %fault, "a controller does not say what a change concerns");
                    tokio::time::sleep(Backoff::LOOPS.after(failures)).await;
                }
            }
        }
    }
}

fn key(target: &KindRef, namespace: &str, name: &str) -> Key {
    Key {
        group: target.group.clone(),
        kind: target.kind.clone(),
        namespace: namespace.to_owned(),
        name: name.to_owned(),
    }
}

fn is_of(target: &KindRef, api_version: &str, kind: &str) -> bool {
    let group = api_version.split_once('/').map_or("", |(group, _)| group);
    target.kind == kind && target.group == group
}
