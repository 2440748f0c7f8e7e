//! Changes wake keys, keys go in batches, every outcome has its consequence, and one bad object harms no other.

use std::collections::{BTreeMap, HashSet};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use gantry_control::reconcile::{self, Handle, Options};
use gantry_plugin::family::controller::{Description, Mapping, Outcome, Watch};
use gantry_plugin::family::{Call, Error, ErrorCode, KindRef, ObjectRef, RetryHint};
use gantry_plugin::{Controller, Fault, Finding};
use serde_json::{Value, json};

use crate::world::World;

/// What the fake controller is to do, and what it did.
#[derive(Default)]
struct Book {
    /// Passes by key.
    passes: BTreeMap<String, u32>,
    batches: Vec<usize>,
    running: HashSet<String>,
    /// A batch with one of these traps.
    poison: HashSet<String>,
    /// What `map` was asked about.
    asked: Vec<Value>,
    /// An object of one of these names can't be mapped.
    unmappable: HashSet<String>,
    /// The next outcomes of a key.
    outcomes: BTreeMap<String, Vec<Outcome>>,
    /// So many answers are one short.
    short: u32,
    away: bool,
}

struct Fake {
    watches: Vec<Watch>,
    book: Arc<Mutex<Book>>,
}

fn kind(group: &str, kind: &str) -> KindRef {
    KindRef { group: group.into(), kind: kind.into() }
}

fn thing() -> KindRef {
    kind("test.dev", "Thing")
}

fn watch(kind: KindRef, mapping: Mapping) -> Watch {
    Watch { kind, mapping, target: thing(), fields: Vec::new() }
}

fn fault(finding: Finding) -> Fault {
    Fault { plugin: "fake".into(), version: "0".into(), call: "controller.x".into(), finding }
}

fn trap() -> Fault {
    fault(Finding::Trap { message: "poison".into(), backtrace: String::new(), log: vec![] })
}

#[async_trait]
impl Controller for Fake {
    async fn describe(&self) -> Call<Result<Description, Error>> {
        Ok(Ok(Description { watches: self.watches.clone() }))
    }

    async fn map(&self, _: KindRef, objects: Vec<Vec<u8>>) -> Call<Vec<Vec<ObjectRef>>> {
        let objects: Vec<Value> = objects.iter().map(|json| serde_json::from_slice(json).unwrap()).collect();
        let mut book = self.book.lock().unwrap();
        book.asked.extend(objects.clone());
        if objects.iter().any(|o| book.unmappable.contains(o["metadata"]["name"].as_str().unwrap_or_default())) {
            return Err(trap());
        }
        // An object concerns the thing that its label names.
        let keys = |object: &Value| {
            let name = object["metadata"]["labels"]["thing"].as_str();
            name.map(|name| ObjectRef { kind: thing(), namespace: "a".into(), name: name.into() })
        };
        Ok(objects.iter().map(|object| keys(object).into_iter().collect()).collect())
    }

    async fn reconcile(&self, now_ms: u64, keys: Vec<ObjectRef>) -> Call<Vec<Outcome>> {
        assert!(now_ms > 1_700_000_000_000);
        let away = {
            let mut book = self.book.lock().unwrap();
            book.batches.push(keys.len());
            for key in &keys {
                assert!(book.running.insert(key.name.clone()), "{} runs twice", key.name);
                *book.passes.entry(key.name.clone()).or_default() += 1;
            }
            // Decided when the pass is counted, so that a pass counted while it was away did fail.
            book.away
        };
        tokio::task::yield_now().await;
        let mut book = self.book.lock().unwrap();
        for key in &keys {
            book.running.remove(&key.name);
        }
        if away {
            return Err(fault(Finding::Unavailable("swapping".into())));
        }
        if keys.iter().any(|key| book.poison.contains(&key.name)) {
            return Err(trap());
        }
        let next = |key: &ObjectRef| {
            let outcomes = book.outcomes.get_mut(&key.name).filter(|outcomes| !outcomes.is_empty());
            outcomes.map_or(Outcome::Done, |outcomes| outcomes.remove(0))
        };
        let mut outcomes: Vec<Outcome> = keys.iter().map(next).collect();
        if book.short > 0 {
            book.short -= 1;
            outcomes.pop();
        }
        Ok(outcomes)
    }
}

struct Running {
    world: World,
    book: Arc<Mutex<Book>>,
    _handle: Handle,
}

impl Running {
    fn start(world: World, watches: Vec<Watch>) -> Self {
        let book = Arc::new(Mutex::new(Book::default()));
        Self::with(world, watches, book)
    }

    fn with(world: World, watches: Vec<Watch>, book: Arc<Mutex<Book>>) -> Self {
        let handle = reconcile::start(Options {
            plugin: "fake".into(),
            controller: Arc::new(Fake { watches, book: book.clone() }),
            objects: world.objects.clone(),
            recorder: world.recorder.clone(),
            concurrency: 2,
            batch: 16,
        });
        Self { world, book, _handle: handle }
    }

    fn passes(&self, name: &str) -> u32 {
        self.book.lock().unwrap().passes.get(name).copied().unwrap_or_default()
    }

    async fn passed(&self, name: &str, least: u32) {
        self.world.until(&format!("{least} passes of {name}"), |_| self.passes(name) >= least).await;
    }
}

fn named(name: &str) -> Value {
    json!({"metadata": {"name": name}})
}

fn owned_by(name: &str, owner: &str) -> Value {
    json!({"metadata": {"name": name, "ownerReferences": [
        {"apiVersion": "test.dev/v1", "kind": "Thing", "name": owner, "uid": format!("uid-{owner}"), "controller": true},
    ]}})
}

#[tokio::test]
async fn an_object_wakes_itself_also_when_it_goes() {
    let world = World::new().await;
    world.create("things", "a", named("early")).await;
    let run = Running::start(world, vec![watch(thing(), Mapping::Itself)]);
    run.passed("early", 1).await;
    run.world.create("things", "a", named("late")).await;
    run.passed("late", 1).await;
    run.world.delete("things", "a", "late").await;
    run.passed("late", 2).await;
    assert_eq!(run.passes("early"), 1, "nothing changed about it");
}

#[tokio::test]
async fn dependents_wake_the_owner_that_they_have_and_the_one_that_they_had() {
    let run = Running::start(World::new().await, vec![watch(kind("", "ConfigMap"), Mapping::Owner)]);
    run.world.create("configmaps", "a", owned_by("c", "one")).await;
    run.passed("one", 1).await;
    let other = owned_by("c", "two")["metadata"].clone();
    run.world.merge("configmaps", "a", "c", json!({"metadata": other})).await;
    run.passed("two", 1).await;
    run.passed("one", 2).await;
    run.world.delete("configmaps", "a", "c").await;
    run.passed("two", 2).await;
    assert_eq!(run.passes("one"), 2);
}

#[tokio::test]
async fn orphans_and_mapped_objects_wake_what_the_plugin_says_before_and_after_a_change() {
    let watches = vec![watch(kind("", "ConfigMap"), Mapping::Map), watch(kind("", "Secret"), Mapping::Orphan)];
    let run = Running::start(World::new().await, watches);
    let labelled = |name: &str, thing: &str| json!({"metadata": {"name": name, "labels": {"thing": thing}}});
    run.world.create("configmaps", "a", labelled("c", "one")).await;
    run.passed("one", 1).await;
    run.world.merge("configmaps", "a", "c", json!({"metadata": {"labels": {"thing": "two"}}})).await;
    run.passed("two", 1).await;
    run.passed("one", 2).await;
    let mut owned = owned_by("s", "somebody");
    owned["metadata"]["labels"] = json!({"thing": "three"});
    run.world.create("secrets", "a", owned).await;
    run.world.create("secrets", "a", labelled("t", "four")).await;
    run.passed("four", 1).await;
    assert_eq!(run.passes("three"), 0, "it has an owner");
}

#[tokio::test]
async fn what_looks_the_same_is_asked_about_once() {
    let world = World::new().await;
    for n in 0..20 {
        let labels = json!({"metadata": {"name": format!("c{n}"), "labels": {"thing": "one"}}});
        world.create("configmaps", "a", labels).await;
    }
    let mut watch = watch(kind("", "ConfigMap"), Mapping::Map);
    watch.fields = vec!["/metadata/labels".into()];
    let run = Running::start(world, vec![watch]);
    run.passed("one", 1).await;
    let seen = json!({"metadata": {"labels": {"thing": "one"}}});
    assert_eq!(run.book.lock().unwrap().asked, std::slice::from_ref(&seen));
    // It looks as it did before the change.
    run.world.merge("configmaps", "a", "c3", json!({"data": {"x": "1"}})).await;
    run.passed("one", 2).await;
    assert_eq!(run.book.lock().unwrap().asked, [seen.clone(), seen.clone()]);
    run.world.merge("configmaps", "a", "c3", json!({"metadata": {"labels": {"thing": "two"}}})).await;
    run.passed("two", 1).await;
    run.passed("one", 3).await;
    let other = json!({"metadata": {"labels": {"thing": "two"}}});
    assert_eq!(run.book.lock().unwrap().asked, [seen.clone(), seen.clone(), seen, other]);
}

#[tokio::test]
async fn outcomes_have_consequences() {
    let world = World::new().await;
    let failed = |code, retry| Outcome::Failed(Error { code, message: "no luck".into(), retry });
    let book = Arc::new(Mutex::new(Book::default()));
    for (name, outcome) in [
        ("requeued", Outcome::RequeueAfterMs(10)),
        ("retried", failed(ErrorCode::Internal, RetryHint::Backoff)),
        ("later", failed(ErrorCode::Unavailable, RetryHint::AfterMs(10))),
        ("never", failed(ErrorCode::Invalid, RetryHint::Never)),
        ("raced", failed(ErrorCode::Conflict, RetryHint::Backoff)),
    ] {
        book.lock().unwrap().outcomes.insert(name.into(), vec![outcome]);
        world.create("things", "a", named(name)).await;
    }
    let run = Running::with(world, vec![watch(thing(), Mapping::Itself)], book);
    for name in ["requeued", "retried", "later", "raced"] {
        run.passed(name, 2).await;
    }
    run.world.until("it is told", |w| w.told("never", "FailedReconcile") == ["no luck"]).await;
    assert_eq!(run.passes("never"), 1);
    assert!(run.world.told("raced", "FailedReconcile").is_empty(), "a lost race is no news");
    run.world.merge("things", "a", "never", json!({"spec": {"x": 1}})).await;
    run.passed("never", 2).await;
}

#[tokio::test]
async fn a_poisonous_object_harms_no_other() {
    let world = World::new().await;
    for n in 0..40 {
        world.create("things", "a", named(&format!("t{n}"))).await;
    }
    let book = Arc::new(Mutex::new(Book::default()));
    book.lock().unwrap().poison.insert("t7".into());
    let run = Running::with(world, vec![watch(thing(), Mapping::Itself)], book);
    run.world.until("it is told", |w| !w.told("t7", "PluginTrapped").is_empty()).await;
    run.passed("t7", 4).await;
    let before = run.passes("t7");
    // Whatever comes now goes without it: had it gone along, others would have had to pass twice.
    for n in (0..40).filter(|n| *n != 7) {
        run.world.merge("things", "a", &format!("t{n}"), json!({"spec": {"x": 1}})).await;
        run.passed(&format!("t{n}"), 2).await;
    }
    assert!((0..40).filter(|n| *n != 7).all(|n| run.passes(&format!("t{n}")) <= 3));
    run.book.lock().unwrap().poison.clear();
    run.world.merge("things", "a", "t7", json!({"spec": {"x": 1}})).await;
    run.passed("t7", before + 1).await;
    assert!(run.book.lock().unwrap().batches.iter().any(|size| *size > 1), "keys go in batches");
}

#[tokio::test]
async fn an_answer_of_the_wrong_length_is_no_answer() {
    let world = World::new().await;
    world.create("things", "a", named("t")).await;
    let book = Arc::new(Mutex::new(Book { short: 2, ..Book::default() }));
    let run = Running::with(world, vec![watch(thing(), Mapping::Itself)], book);
    run.passed("t", 3).await;
    run.world.until("it is told", |w| w.told("t", "ContractViolated") == ["0 outcomes for 1 keys"]).await;
}

#[tokio::test]
async fn a_plugin_that_was_away_does_everything_when_it_is_back() {
    let world = World::new().await;
    for n in 0..10 {
        world.create("things", "a", named(&format!("t{n}"))).await;
    }
    let book = Arc::new(Mutex::new(Book { away: true, ..Book::default() }));
    let run = Running::with(world, vec![watch(thing(), Mapping::Itself)], book);
    run.passed("t0", 2).await;
    let seen: Vec<u32> = {
        let mut book = run.book.lock().unwrap();
        book.away = false;
        (0..10).map(|n| book.passes[&format!("t{n}")]).collect()
    };
    for (n, seen) in (0..10).zip(seen) {
        run.passed(&format!("t{n}"), seen + 1).await;
    }
}

#[tokio::test]
async fn an_object_that_can_not_be_mapped_does_not_stop_the_others() {
    let run = Running::start(World::new().await, vec![watch(kind("", "ConfigMap"), Mapping::Map)]);
    run.book.lock().unwrap().unmappable.insert("bad".into());
    run.world.create("configmaps", "a", named("bad")).await;
    let good = json!({"metadata": {"name": "good", "labels": {"thing": "one"}}});
    run.world.create("configmaps", "a", good).await;
    run.passed("one", 1).await;
    run.world.until("it is told", |w| !w.told("bad", "PluginFault").is_empty()).await;
}
