//! Random work against a model that is too simple to be wrong: a map and a list of changes.
//!
//! Covered: any mix of conditional writes and deletions, alone and at once, restarts and rewrites in between, histories
//! that run out; after each step the objects, the answers and what watches from any revision deliver are the model's.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod support;

use std::collections::BTreeMap;

use gantry_model::Key;
use gantry_model::key::Resource;
use gantry_store::{Error, Expect, Options, Sled, Store, Write};
use proptest::prelude::*;
use serde_json::json;
use support::*;
use tempfile::TempDir;

/// Events that the store under test must keep; few, so that histories run out.
const LOG: usize = 12;

#[derive(Clone, Debug)]
enum Step {
    Write(Change),
    /// Writes of different keys that may share a flush.
    Many(Vec<Change>),
    Reopen {
        rewrite: bool,
    },
    /// Watches one resource from a revision this far back.
    Watch {
        resource: usize,
        back: u64,
    },
}

#[derive(Clone, Debug)]
struct Change {
    key: usize,
    delete: bool,
    expect: Guess,
    size: usize,
}

#[derive(Clone, Debug)]
enum Guess {
    Any,
    Absent,
    Right,
    Wrong,
}

fn key(n: usize) -> Key {
    Key::new(resource(n % 2), ["", "a", "b"][n % 3], &format!("k{}", n / 6))
}

fn resource(n: usize) -> Resource {
    [Resource::new("", "pods"), Resource::new("apps", "deployments")][n].clone()
}

fn change() -> impl Strategy<Value = Change> {
    let guess =
        prop_oneof![1 => Just(Guess::Any), 1 => Just(Guess::Absent), 3 => Just(Guess::Right), 1 => Just(Guess::Wrong)];
    let size = prop_oneof![8 => 0..200usize, 1 => 3_900..9_000usize];
    (0..12usize, prop::bool::weighted(0.3), guess, size).prop_map(|(key, delete, expect, size)| Change {
        key,
        delete,
        expect,
        size,
    })
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        12 => change().prop_map(Step::Write),
        3 => prop::collection::btree_map(0..12usize, change(), 2..10).prop_map(|changes| {
            Step::Many(changes.into_iter().map(|(key, change)| Change { key, ..change }).collect())
        }),
        1 => any::<bool>().prop_map(|rewrite| Step::Reopen { rewrite }),
        4 => (0..2usize, 0..30u64).prop_map(|(resource, back)| Step::Watch { resource, back }),
    ]
}

/// What happened once.
#[derive(Clone, Debug, PartialEq)]
struct Happened {
    revision: u64,
    key: Key,
    deleted: bool,
    previous: Option<u64>,
    size: usize,
}

#[derive(Default)]
struct Model {
    objects: BTreeMap<Key, (u64, usize)>,
    history: Vec<Happened>,
}

impl Model {
    fn expect(&self, change: &Change) -> Expect {
        let now = self.objects.get(&key(change.key)).map(|(revision, _)| *revision);
        match change.expect {
            Guess::Any => Expect::Any,
            Guess::Absent => Expect::Absent,
            Guess::Right => now.map_or(Expect::Absent, Expect::Revision),
            Guess::Wrong => Expect::Revision(now.unwrap_or(0) + 1),
        }
    }

    fn write(&self, change: &Change) -> Write {
        let (key, expect) = (key(change.key), self.expect(change));
        if change.delete { delete(&key, expect) } else { put(&key, expect, json!({"data": "x".repeat(change.size)})) }
    }

    /// Whether the write has to happen.
    fn allows(&self, change: &Change) -> bool {
        let now = self.objects.get(&key(change.key)).map(|(revision, _)| *revision);
        let exists = now.is_some();
        (exists || !change.delete)
            && match self.expect(change) {
                Expect::Any => true,
                Expect::Absent => !exists,
                Expect::Revision(revision) => now == Some(revision),
            }
    }

    fn happened(&mut self, change: &Change, revision: u64) {
        let key = key(change.key);
        let previous = self.objects.get(&key).copied();
        let size = if change.delete { previous.unwrap().1 } else { change.size };
        if change.delete {
            self.objects.remove(&key);
        } else {
            self.objects.insert(key.clone(), (revision, size));
        }
        self.history.push(Happened { revision, key, deleted: change.delete, previous: previous.map(|(r, _)| r), size });
    }
}

struct World {
    directory: TempDir,
    store: Option<Sled>,
    model: Model,
}

impl World {
    fn new() -> Self {
        let mut world = Self { directory: TempDir::new().unwrap(), store: None, model: Model::default() };
        world.open(false);
        world
    }

    fn open(&mut self, rewrite: bool) {
        self.store = None;
        let (rewrite_bytes, rewrite_ratio) = if rewrite { (0, 1) } else { (u64::MAX, 1) };
        let options = Options::new(self.directory.path());
        self.store = Some(Sled::open(Options { log_events: LOG, rewrite_bytes, rewrite_ratio, ..options }).unwrap());
    }

    async fn step(&mut self, step: &Step) {
        match step {
            Step::Write(change) => self.many(std::slice::from_ref(change)).await,
            Step::Many(changes) => self.many(changes).await,
            Step::Reopen { rewrite } => self.open(*rewrite),
            Step::Watch { resource: n, back } => self.watch(&resource(*n), *back).await,
        }
        self.compare();
    }

    async fn many(&mut self, changes: &[Change]) {
        let store = self.store.as_ref().unwrap();
        let writes = changes.iter().map(|change| store.write(self.model.write(change)));
        let mut done = Vec::new();
        for (change, answer) in changes.iter().zip(futures::future::join_all(writes).await) {
            match answer {
                Ok(record) => done.push((record.revision, change)),
                Err(Error::Conflict { current, .. }) => {
                    assert!(!self.model.allows(change), "{change:?}");
                    assert_eq!(current, self.model.objects.get(&key(change.key)).map(|(revision, _)| *revision));
                }
                Err(other) => panic!("{other}"),
            }
        }
        done.sort_by_key(|(revision, _)| *revision);
        for (revision, change) in done {
            assert!(self.model.allows(change), "{change:?}");
            assert_eq!(revision, self.model.history.len() as u64 + 1);
            self.model.happened(change, revision);
        }
    }

    async fn watch(&self, resource: &Resource, back: u64) {
        let store = self.store.as_ref().unwrap();
        let now = store.revision();
        let from = now.saturating_sub(back);
        let mut watch = match store.watch(resource, Some(from)) {
            Ok(watch) => watch,
            Err(Error::Compacted { oldest, .. }) => {
                assert!(oldest > from && now - from > LOG as u64, "{oldest} {from} {now}");
                return;
            }
            Err(other) => panic!("{other}"),
        };
        let seen: Vec<Happened> = until(&mut watch, now)
            .await
            .iter()
            .map(|event| Happened {
                revision: event.revision,
                key: event.record.key.clone(),
                deleted: event.deleted,
                previous: event.previous.as_ref().map(|record| record.revision),
                size: event.record.value()["data"].as_str().unwrap().len(),
            })
            .collect();
        let wanted = |happened: &&Happened| happened.revision > from && happened.key.resource == *resource;
        let want: Vec<Happened> = self.model.history.iter().filter(wanted).cloned().collect();
        assert_eq!(seen, want);
    }

    fn compare(&self) {
        let store = self.store.as_ref().unwrap();
        assert_eq!(store.revision(), self.model.history.len() as u64);
        let mut all_records = Vec::new();
        for n in 0..2 {
            let page = store.list(&all(resource(n)));
            assert_eq!(page.revision, store.revision());
            all_records.extend(page.records);
        }
        all_records.sort_by(|a, b| a.key.cmp(&b.key));
        let have: Vec<_> = all_records
            .iter()
            .map(|r| (r.key.clone(), (r.revision, r.value()["data"].as_str().unwrap().len())))
            .collect();
        assert_eq!(have, self.model.objects.clone().into_iter().collect::<Vec<_>>());
        for record in all_records {
            assert_eq!(store.get(&record.key).unwrap().json, record.json);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn the_store_does_what_the_model_does(steps in prop::collection::vec(step(), 1..80)) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let mut world = World::new();
            for step in &steps {
                world.step(step).await;
            }
        });
    }
}
