//! From changes of one watched kind to keys.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use gantry_model::{Kind, Meta, Record};
use gantry_plugin::Finding;
use gantry_plugin::family::KindRef;
use gantry_plugin::family::controller::{Mapping, Watch};
use gantry_store::{Event, Range};

use super::{Key, Options, asks};
use crate::backoff::Backoff;
use crate::follow::{Follower, Seen};
use crate::project::Pruned;
use crate::queue::Queue;
use crate::recorder::{self, Severity};

/// A kind that another plugin or a CustomResourceDefinition declares may come later.
const KIND_PATIENCE: Duration = Duration::from_millis(500);
/// Objects in one call of `map`.
const MAP_BATCH: usize = 256;
/// Questions about one object before it is given up.
const MAP_ATTEMPTS: u32 = 5;

pub(super) struct Feed {
    options: Arc<Options>,
    queue: Arc<Queue<Key>>,
    kind: KindRef,
    watches: Vec<Watch>,
    pruned: Pruned,
}

/// What `map` is asked about: one of the records that look so to it.
struct Question<'a> {
    record: &'a Arc<Record>,
    object: Vec<u8>,
}

impl Feed {
    pub(super) fn new(options: Arc<Options>, queue: Arc<Queue<Key>>, kind: KindRef, watches: Vec<Watch>) -> Self {
        let asking = || watches.iter().filter(|watch| asks(watch.mapping));
        let all = asking().any(|watch| watch.fields.is_empty());
        let fields: Vec<String> =
            if all { Vec::new() } else { asking().flat_map(|watch| watch.fields.clone()).collect() };
        Self { options, queue, kind, pruned: Pruned::to(&fields), watches }
    }

    pub(super) async fn run(self) {
        let kind = self.await_kind().await;
        let mut follower = Follower::new(self.options.objects.store().clone(), kind.resource());
        let mut first = true;
        loop {
            match follower.next().await {
                Seen::All(records) => {
                    if !std::mem::take(&mut first) {
                        self.after_gap();
                    }
                    self.all(&records).await;
                }
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

    /// What went away in a gap of the watch concerned keys that nobody can name now: all keys are looked at.
    fn after_gap(&self) {
        for target in self.watches.iter().map(|watch| &watch.target) {
            let Some(kind) = self.options.objects.kinds().by_kind(&target.group, &target.kind) else { continue };
            let range = Range { resource: kind.resource(), namespace: None, after: None, limit: 0 };
            let records = self.options.objects.store().list(&range).records;
            self.queue.push(records.iter().map(|record| key(target, &record.key.namespace, &record.key.name)));
        }
    }

    async fn changes(&self, events: &[Arc<Event>]) {
        let keys = events.iter().flat_map(|event| {
            let before = event.previous.as_ref().map(|record| &record.meta);
            self.known(&event.record.key, &event.record.meta, before)
        });
        self.queue.push(keys);
        // What an object concerned before may be another key than what it concerns now.
        let before = events.iter().filter_map(|event| event.previous.as_ref().filter(|_| !event.deleted));
        self.ask(before.chain(events.iter().map(|event| &event.record))).await;
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
                        let key = key(&watch.target, self.namespace_of(&watch.target, &at.namespace), &owner.name);
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

    /// The namespace of an owner: the dependent's, unless its kind has none.
    fn namespace_of<'a>(&self, owner: &KindRef, dependent: &'a str) -> &'a str {
        let kind = self.options.objects.kinds().by_kind(&owner.group, &owner.kind);
        if kind.is_none_or(|kind| kind.namespaced()) { dependent } else { "" }
    }

    async fn ask<'a>(&self, records: impl Iterator<Item = &'a Arc<Record>>) {
        if !self.watches.iter().any(|watch| asks(watch.mapping)) {
            return;
        }
        let all = self.watches.iter().any(|watch| watch.mapping == Mapping::Map);
        let asked: Vec<&Arc<Record>> = records.filter(|r| all || r.meta.controller().is_none()).collect();
        // What looks the same concerns the same keys. Whole objects never do.
        let mut seen = HashSet::new();
        for part in asked.chunks(MAP_BATCH) {
            let questions = part.iter().map(|record| Question { record, object: self.pruned.json(record) });
            let fresh = |question: &Question| self.pruned.is_whole() || seen.insert(question.object.clone());
            let questions: Vec<Question> = questions.filter(fresh).collect();
            if !questions.is_empty() {
                self.map(&questions).await;
            }
        }
    }

    /// Asks until there is an answer: a change that is forgotten is never seen again. A batch that the plugin can't stand
    /// is asked about one by one, and the object that it can't stand alone is given up after some time, for the sake
    /// of all others.
    async fn map(&self, questions: &[Question<'_>]) {
        match self.once(questions).await {
            Ok(()) => {}
            Err(()) if questions.len() > 1 => {
                for question in questions {
                    self.one(std::slice::from_ref(question)).await;
                }
            }
            Err(()) => self.one_again(questions).await,
        }
    }

    async fn one(&self, alone: &[Question<'_>]) {
        if self.once(alone).await.is_err() {
            self.one_again(alone).await;
        }
    }

    async fn one_again(&self, alone: &[Question<'_>]) {
        for failures in 1..MAP_ATTEMPTS {
            tokio::time::sleep(Backoff::LOOPS.after(failures)).await;
            if self.once(alone).await.is_ok() {
                return;
            }
        }
        for Question { record, .. } in alone {
            tracing::error!(plugin = self.options.plugin, key = %record.key, "a controller can't say what an object concerns; it is left out");
            if let Some(kind) = self.options.objects.kinds().by_kind(&self.kind.group, &self.kind.kind) {
                let about = recorder::about(&kind, record);
                let message = "the plugin can't say what this object concerns: its changes wake nobody";
                self.options.recorder.tell(
                    about,
                    Severity::Warning,
                    self.options.plugin.clone(),
                    "PluginFault",
                    message,
                );
            }
        }
    }

    /// One question. A plugin that is away is waited for; it says nothing about the objects.
    async fn once(&self, questions: &[Question<'_>]) -> Result<(), ()> {
        let mut away = 0;
        loop {
            let objects = questions.iter().map(|question| question.object.clone()).collect();
            match self.options.controller.map(self.kind.clone(), objects).await {
                Ok(keys) => {
                    self.queue.push(keys.into_iter().flatten().map(Key::of));
                    return Ok(());
                }
                Err(fault) => {
                    tracing::warn!(plugin = self.options.plugin, %fault, "a controller does not say what a change concerns");
                    if !matches!(fault.finding, Finding::Unavailable(_)) {
                        return Err(());
                    }
                }
            }
            away += 1;
            tokio::time::sleep(Backoff::LOOPS.after(away)).await;
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
