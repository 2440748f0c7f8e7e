//! Plugins that review: writes share calls, one bad write does not fail its neighbours, and every write gets an answer
//! in bounded time.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use gantry_control::admission::{self, Away, Options, Reviews};
use gantry_control::plugins;
use gantry_model::status::Reason;
use gantry_objects::admission::{Down, Operation, Request, Reviewer, Rule, Verdict};
use gantry_objects::{Patch, Subresource, WriteOptions};
use gantry_plugin::family::admission as wit;
use gantry_plugin::family::{Call, Error, ErrorCode, KindRef, RetryHint};
use gantry_plugin::{Admission, Fault, Finding};
use serde_json::json;
use tokio::task::JoinSet;

use crate::world::{World, write};

/// A plugin in the test's own words.
#[derive(Default)]
struct Fake {
    /// Names in each batch.
    batches: Mutex<Vec<Vec<String>>>,
    /// Findings of the next calls.
    faults: Mutex<Vec<Finding>>,
    gate: Option<Arc<tokio::sync::Semaphore>>,
    describes: Mutex<Vec<Call<Result<(), Error>>>>,
}

fn fault(finding: Finding) -> Fault {
    Fault { plugin: "p".into(), version: "1.0.0".into(), call: "admission.review".into(), finding }
}

fn trap() -> Finding {
    Finding::Trap { message: "boom".into(), backtrace: String::new(), log: Vec::new() }
}

fn verdict(decision: wit::Decision) -> wit::Verdict {
    wit::Verdict { decision, warnings: Vec::new() }
}

#[async_trait]
impl Admission for Fake {
    async fn describe(&self) -> Call<Result<wit::Description, Error>> {
        let next = self.describes.lock().unwrap().pop();
        if let Some(answer) = next {
            answer.map(|answer| answer.map(|()| wit::Description { rules: Vec::new() }))
        } else {
            let rule = wit::Rule {
                kind: KindRef { group: "test.dev".into(), kind: "Thing".into() },
                operations: vec![wit::Operation::Create, wit::Operation::Delete],
                subresources: vec![String::new()],
                mutates: false,
                when_down: wit::WhenDown::Allow,
            };
            Ok(Ok(wit::Description { rules: vec![rule] }))
        }
    }

    async fn review(&self, requests: &[wit::Request]) -> Call<Vec<wit::Verdict>> {
        self.batches.lock().unwrap().push(requests.iter().map(|request| request.name.clone()).collect());
        if let Some(gate) = &self.gate {
            gate.acquire().await.unwrap().forget();
        }
        if let Some(finding) = self.faults.lock().unwrap().pop() {
            return Err(fault(finding));
        }
        if requests.iter().any(|request| request.name == "poison") {
            return Err(fault(trap()));
        }
        let decide = |request: &wit::Request| match request.name.as_str() {
            "odd" => verdict(wit::Decision::Deny(wit::Denial {
                reason: wit::Reason::Invalid,
                message: "odd".into(),
                causes: Vec::new(),
            })),
            _ => verdict(wit::Decision::Allow),
        };
        Ok(requests.iter().map(decide).collect())
    }
}

struct Bench {
    plugin: Arc<Fake>,
    reviews: Arc<Reviews>,
    _tasks: JoinSet<()>,
}

fn bench(plugin: Fake, change: impl FnOnce(&mut Options)) -> Bench {
    let plugin = Arc::new(plugin);
    let mut options = Options::new("p", plugin.clone());
    change(&mut options);
    let mut tasks = JoinSet::new();
    let reviews = Arc::new(admission::start(options, Vec::new(), &mut tasks));
    Bench { plugin, reviews, _tasks: tasks }
}

fn request(name: &str) -> Request {
    Request {
        operation: Operation::Create,
        group: "test.dev".into(),
        kind: "Thing".into(),
        version: "v1".into(),
        subresource: "",
        namespace: "a".into(),
        name: name.into(),
        user: Arc::default(),
        dry_run: false,
        may_change: false,
        old: None,
        new: None,
    }
}

async fn all(bench: &Bench, names: &[&str]) -> Vec<Result<Verdict, Down>> {
    futures::future::join_all(names.iter().map(|name| bench.reviews.review(request(name)))).await
}

fn allowed(outcome: &Result<Verdict, Down>) -> bool {
    matches!(outcome, Ok(Verdict { decision: gantry_objects::admission::Decision::Allow, .. }))
}

#[tokio::test]
async fn what_waits_shares_a_call() {
    let gate = Arc::new(tokio::sync::Semaphore::new(0));
    let plugin = Fake { gate: Some(gate.clone()), ..Fake::default() };
    let bench = bench(plugin, |options| (options.concurrency, options.batch) = (1, 3));
    let names = ["a", "b", "c", "d", "e"];
    let (outcomes, ()) = tokio::join!(all(&bench, &names), async { gate.add_permits(10) });
    assert!(outcomes.iter().all(allowed));
    let batches = bench.plugin.batches.lock().unwrap().clone();
    assert_eq!(batches.concat(), names);
    assert!(batches.len() < names.len() && batches.iter().all(|batch| batch.len() <= 3), "{batches:?}");
}

#[tokio::test]
async fn one_that_traps_is_refused_alone() {
    let bench = bench(Fake::default(), |options| options.concurrency = 1);
    let outcomes = all(&bench, &["a", "poison", "b", "odd"]).await;
    assert!(allowed(&outcomes[0]) && allowed(&outcomes[2]), "{outcomes:?}");
    assert_eq!(outcomes[1].as_ref().unwrap_err(), &Down::Fault("trapped: boom".into()));
    assert!(outcomes[3].is_ok(), "a refusal is a verdict");
}

#[tokio::test]
async fn a_short_pause_is_waited_for_and_a_long_one_is_not() {
    let pause = || Finding::Unavailable("it failed; tried again in 40 ms".into());
    let bench = bench(Fake::default(), |_| {});
    bench.plugin.faults.lock().unwrap().extend([pause(), pause()]);
    assert!(allowed(&bench.reviews.review(request("a")).await));
    bench.plugin.faults.lock().unwrap().extend((0..1_000).map(|_| pause()));
    let begin = tokio::time::Instant::now();
    let refused = bench.reviews.review(request("a")).await.unwrap_err();
    assert!(matches!(&refused, Down::Away(why) if why.contains("it failed")), "{refused:?}");
    assert!(begin.elapsed() < Duration::from_secs(8), "{:?}", begin.elapsed());
}

#[tokio::test]
async fn a_plugin_that_does_not_answer_holds_nobody_for_long() {
    let plugin = Fake { gate: Some(Arc::new(tokio::sync::Semaphore::new(0))), ..Fake::default() };
    let bench = bench(plugin, |options| options.patience = Duration::from_millis(100));
    let refused = bench.reviews.review(request("a")).await.unwrap_err();
    assert_eq!(refused, Down::Away("no verdict within 100 ms".into()));
}

#[tokio::test]
async fn rules_are_asked_for_again_after_faults_but_not_after_a_refusal() {
    let plugin = Fake::default();
    plugin.describes.lock().unwrap().push(Err(fault(trap())));
    let rules = admission::rules(&plugin).await.unwrap();
    assert_eq!((rules[0].kind.as_str(), rules[0].refuses_when_down), ("Thing", false));
    assert_eq!(rules[0].operations, [Operation::Create, Operation::Delete]);
    let refusal = Error { code: ErrorCode::Invalid, message: "no such key".into(), retry: RetryHint::Never };
    plugin.describes.lock().unwrap().push(Ok(Err(refusal)));
    assert!(admission::rules(&plugin).await.unwrap_err().to_string().ends_with("no such key"));
}

#[tokio::test]
async fn a_plugin_that_can_not_be_loaded_keeps_its_rules() {
    let world = World::new().await;
    let rule = |kind: &str, refuses_when_down| Rule {
        group: "test.dev".into(),
        kind: kind.into(),
        operations: vec![Operation::Create],
        subresources: vec![String::new()],
        mutates: false,
        refuses_when_down,
    };
    let kind = world.kind("plugins");
    let made = json!({"apiVersion": kind.api_version(), "kind": "Plugin", "metadata": {"name": "p"}, "spec": {}});
    world.objects.create(&kind, "", made, &write()).await.unwrap();
    let status = json!({"status": {"reviews": [rule("Thing", true), rule("Global", false)]}});
    let options = WriteOptions { subresource: Subresource::Status, ..write() };
    world.objects.patch(&kind, "", "p", Patch::Merge(status), &options).await.unwrap();
    let rules = plugins::remembered(&world.objects, "p");
    assert_eq!(rules, [rule("Thing", true), rule("Global", false)]);
    assert!(plugins::remembered(&world.objects, "other").is_empty());
    world.objects.reviewed_by(vec![Arc::new(Away::new("p", "no such file", rules))]);
    let create = |plural: &'static str, namespace: &'static str| {
        let kind = world.kind(plural);
        let object = json!({"apiVersion": kind.api_version(), "kind": kind.kind, "metadata": {"name": "x"}});
        let objects = world.objects.clone();
        async move { objects.create(&kind, namespace, object, &write()).await }
    };
    let refused = create("things", "a").await.unwrap_err();
    assert_eq!(refused.reason, Reason::ServiceUnavailable);
    assert!(refused.message.contains("plugin p") && refused.message.contains("no such file"), "{refused}");
    let warned = create("globals", "").await.unwrap();
    assert_eq!(warned.warnings, ["plugin p did not review this: it is not loaded: no such file"]);
}
