//! Review: every way to write is looked at; changes come before judgement and are checked; refusals, warnings, and what
//! follows when a reviewer is down.

use std::sync::{Arc, Mutex};

use gantry_model::status::{Cause, Reason};
use gantry_model::{Kind, Status};
use gantry_objects::admission::{Decision, Denial, Down, Operation, Request, Reviewer, Rule, Verdict};
use gantry_objects::{Binding, DeleteOptions, Patch, Subresource, User, WriteOptions};
use serde_json::{Value, json};

use crate::support::{World, by, managed, pod, status_write, web, write};

type Say = Box<dyn Fn(&Request) -> Result<Verdict, Down> + Send + Sync>;

/// A reviewer that says what the test wants, and remembers what it was asked.
struct Fake {
    name: &'static str,
    rules: Vec<Rule>,
    say: Say,
    seen: Mutex<Vec<Request>>,
}

impl Fake {
    fn new(
        name: &'static str,
        rules: Vec<Rule>,
        say: impl Fn(&Request) -> Result<Verdict, Down> + Send + Sync + 'static,
    ) -> Arc<Self> {
        Arc::new(Self { name, rules, say: Box::new(say), seen: Mutex::default() })
    }

    fn seen(&self) -> Vec<Request> {
        std::mem::take(&mut *self.seen.lock().unwrap())
    }
}

#[async_trait::async_trait]
impl Reviewer for Fake {
    fn name(&self) -> &str {
        self.name
    }

    fn rules(&self) -> &[Rule] {
        &self.rules
    }

    async fn review(&self, request: Request) -> Result<Verdict, Down> {
        self.seen.lock().unwrap().push(request.clone());
        (self.say)(&request)
    }
}

fn rule(group: &str, kind: &str, mutates: bool) -> Rule {
    Rule {
        group: group.into(),
        kind: kind.into(),
        operations: vec![Operation::Create, Operation::Update, Operation::Delete],
        subresources: ["", "status", "scale", "binding"].map(str::to_owned).to_vec(),
        mutates,
        refuses_when_down: true,
    }
}

fn apps(mutates: bool) -> Vec<Rule> {
    vec![rule("apps", "*", mutates)]
}

fn decided(decision: Decision) -> Result<Verdict, Down> {
    Ok(Verdict { decision, warnings: Vec::new() })
}

fn deny(reason: Reason, message: &str, fields: &[&str]) -> Decision {
    let causes = fields.iter().map(|field| Cause::invalid(*field, &json!(1), "is odd")).collect();
    Decision::Deny(Denial { reason, message: message.into(), causes })
}

fn change(operations: Value) -> Result<Verdict, Down> {
    decided(Decision::Change(operations))
}

async fn world(reviewers: &[&Arc<Fake>]) -> World {
    let world = World::new().await;
    world.objects.reviewed_by(reviewers.iter().map(|fake| (*fake).clone() as Arc<dyn Reviewer>).collect());
    world
}

fn parsed(bytes: Option<&bytes::Bytes>) -> Value {
    bytes.map(|bytes| serde_json::from_slice(bytes).unwrap()).unwrap_or_default()
}

/// Refuses what has the label `bad`, and all that concerns objects that are told to be kept.
fn guard() -> Arc<Fake> {
    Fake::new("guard", apps(false), |request| {
        let new = parsed(request.new.as_ref());
        let bad = new.pointer("/metadata/labels/bad").is_some()
            || new.pointer("/spec/replicas") == Some(&json!(7))
            || new.pointer("/status/replicas") == Some(&json!(7))
            || request.operation == Operation::Delete;
        decided(if bad { deny(Reason::Invalid, "", &["metadata.labels.bad"]) } else { Decision::Allow })
    })
}

#[tokio::test]
async fn every_way_to_write_is_refused_and_nothing_is_stored() {
    let guard = guard();
    let world = world(&[&guard]).await;
    world.create("deployments", web("w")).await.unwrap();
    let before = world.get("deployments", "w").unwrap();
    let labelled = json!({"metadata": {"labels": {"bad": "1"}}});
    let mut bad = web("w");
    bad["metadata"]["labels"]["bad"] = json!("1");
    let mut absent = bad.clone();
    absent["metadata"]["name"] = json!("v");
    let operations = json!([{"op": "add", "path": "/metadata/labels/bad", "value": "1"}]);
    let scale = WriteOptions { subresource: Subresource::Scale, ..by("s") };
    let replicas = json!({"spec": {"replicas": 7}});
    let sent = json!({"metadata": {"name": "w"}, "spec": {"replicas": 7}});
    let status = json!({"metadata": {"name": "w"}, "status": {"replicas": 7}});
    let dry = WriteOptions { dry_run: true, ..write() };
    let refusals: Vec<(&str, Status)> = vec![
        ("create", world.create("deployments", absent.clone()).await.unwrap_err()),
        ("create, dry", world.create_with("deployments", absent.clone(), &dry).await.unwrap_err()),
        ("apply a new one", world.apply("deployments", "v", absent, &by("ci")).await.unwrap_err()),
        ("apply", world.apply("deployments", "w", bad.clone(), &force("ci")).await.unwrap_err()),
        ("update", world.update("deployments", bad.clone(), &write()).await.unwrap_err()),
        ("update, dry", world.update("deployments", bad, &dry).await.unwrap_err()),
        ("merge", world.patch("deployments", "w", Patch::Merge(labelled.clone()), &write()).await.unwrap_err()),
        ("strategic", world.patch("deployments", "w", Patch::Strategic(labelled), &write()).await.unwrap_err()),
        ("json", world.patch("deployments", "w", Patch::Json(operations), &write()).await.unwrap_err()),
        ("scale", world.update("deployments", sent, &scale).await.unwrap_err()),
        ("patch of scale", world.patch("deployments", "w", Patch::Merge(replicas), &scale).await.unwrap_err()),
        ("status", world.update("deployments", status, &status_write()).await.unwrap_err()),
        ("delete", world.delete("deployments", "w", &DeleteOptions::default()).await.unwrap_err()),
    ];
    for (what, status) in refusals {
        assert_eq!((status.reason, status.causes.len()), (Reason::Invalid, 1), "{what}: {status}");
        assert_eq!(status.causes[0].field, "metadata.labels.bad");
        let name = &status.name;
        let want = format!("Deployment.apps \"{name}\" is invalid: metadata.labels.bad: Invalid value: 1: is odd");
        assert_eq!(status.message, want, "{what}");
    }
    assert_eq!(world.get("deployments", "w").unwrap(), before);
    assert_eq!(world.get("deployments", "v").unwrap_err().reason, Reason::NotFound);
}

fn force(manager: &str) -> WriteOptions {
    WriteOptions { force: true, ..by(manager) }
}

#[tokio::test]
async fn a_request_says_who_does_what() {
    let fake = Fake::new("watcher", apps(false), |_| Ok(Verdict::allow()));
    let world = world(&[&fake]).await;
    let eve = Arc::new(User { name: "eve".into(), groups: vec!["people".into()] });
    let dry = WriteOptions { dry_run: true, user: Some(eve.clone()), ..write() };
    world.create_with("deployments", web("v"), &dry).await.unwrap();
    let [created] = fake.seen().try_into().unwrap();
    assert_eq!((created.operation, created.subresource, created.dry_run), (Operation::Create, "", true));
    assert_eq!((created.user, created.may_change, created.old.is_none()), (eve, false, true));
    let kind = (created.group.as_str(), created.version.as_str(), created.kind.as_str());
    assert_eq!((kind, created.namespace.as_str(), created.name.as_str()), (("apps", "v1", "Deployment"), "a", "v"));
    let new = parsed(created.new.as_ref());
    assert_eq!(new["spec"]["template"]["spec"]["restartPolicy"], "Always", "defaults are filled in");

    world.create("deployments", web("w")).await.unwrap();
    fake.seen();
    let status = json!({"metadata": {"name": "w"}, "status": {"replicas": 2}});
    world.update("deployments", status, &status_write()).await.unwrap();
    let scale = WriteOptions { subresource: Subresource::Scale, ..by("s") };
    world.patch("deployments", "w", Patch::Merge(json!({"spec": {"replicas": 5}})), &scale).await.unwrap();
    world.delete("deployments", "w", &DeleteOptions::default()).await.unwrap();
    let [status, scale, delete] = fake.seen().try_into().unwrap();
    assert_eq!((status.operation, status.subresource), (Operation::Update, "status"));
    assert_eq!(status.user.name, "gantry:host", "nobody is named");
    let (old, new) = (parsed(status.old.as_ref()), parsed(status.new.as_ref()));
    assert_eq!((old.pointer("/status/replicas"), &new["status"]["replicas"]), (None, &json!(2)));
    assert_eq!(old["spec"], new["spec"]);
    assert_eq!((scale.operation, scale.subresource), (Operation::Update, "scale"));
    assert_eq!(parsed(scale.new.as_ref())["spec"]["replicas"], 5, "the whole object");
    assert_eq!((delete.operation, delete.new.is_none()), (Operation::Delete, true));
    for object in [old, new, parsed(scale.old.as_ref()), parsed(scale.new.as_ref()), parsed(delete.old.as_ref())] {
        assert_eq!(object["metadata"]["name"], "w");
        assert!(
            object["metadata"].get("managedFields").is_none() && object["metadata"].get("resourceVersion").is_none()
        );
    }
}

#[tokio::test]
async fn nobody_is_asked_in_vain() {
    let fake = Fake::new("watcher", apps(false), |_| Ok(Verdict::allow()));
    let world = world(&[&fake]).await;
    world.create("configmaps", json!({"metadata": {"name": "m"}})).await.unwrap();
    world.create("pods", pod("p")).await.unwrap();
    let binding = Binding { namespace: "a", name: "p", node: "n", ..Binding::default() };
    world.objects.bind(&binding).await.unwrap();
    assert!(fake.seen().is_empty(), "other kinds");
    world.create("deployments", web("w")).await.unwrap();
    assert_eq!(fake.seen().len(), 1);
    world.patch("deployments", "w", Patch::Merge(json!({"spec": {"replicas": 3}})), &write()).await.unwrap();
    assert!(fake.seen().is_empty(), "nothing changes");
}

#[tokio::test]
async fn a_binding_is_an_update_of_a_pod() {
    let pods = Rule { subresources: vec!["binding".into()], ..rule("", "Pod", false) };
    let fake = Fake::new("keeper", vec![pods], |request| {
        let node = parsed(request.new.as_ref())["spec"]["nodeName"].clone();
        decided(if node == "bad" { deny(Reason::Forbidden, "not there", &[]) } else { Decision::Allow })
    });
    let world = world(&[&fake]).await;
    world.create("pods", pod("p")).await.unwrap();
    let bad = Binding { namespace: "a", name: "p", node: "bad", ..Binding::default() };
    let refused = world.objects.bind(&bad).await.unwrap_err();
    assert_eq!(
        (refused.reason, refused.message.as_str()),
        (Reason::Forbidden, "pods \"p\" is forbidden: plugin keeper: not there")
    );
    let good = Binding { node: "good", dry_run: true, ..bad };
    world.objects.bind(&good).await.unwrap();
    assert!(world.get("pods", "p").unwrap()["spec"].get("nodeName").is_none(), "a dry run");
    world.objects.bind(&Binding { dry_run: false, ..good }).await.unwrap();
    let seen = fake.seen();
    assert_eq!((seen.len(), seen[2].subresource, seen[1].dry_run), (3, "binding", true));
}

#[tokio::test]
async fn changes_come_in_order_and_are_judged() {
    let add = |name: &'static str| {
        Fake::new(name, apps(true), move |request| {
            let labels = parsed(request.new.as_ref())["metadata"]["labels"].as_object().unwrap().len();
            let path = format!("/metadata/labels/{name}");
            let mut operations = json!([{"op": "add", "path": path, "value": labels.to_string()}]);
            if name == "two" && request.operation == Operation::Create {
                // A container without what has a default.
                let side = json!({"name": "side", "image": "s:1"});
                let operation = json!({"op": "add", "path": "/spec/template/spec/containers/-", "value": side});
                operations.as_array_mut().unwrap().push(operation);
            }
            Ok(Verdict { decision: Decision::Change(operations), warnings: vec![format!("{name} was here")] })
        })
    };
    let (one, two) = (add("one"), add("two"));
    let judge = Fake::new("judge", apps(false), |_| Ok(Verdict::allow()));
    let world = world(&[&one, &judge, &two]).await;
    let written = world.create_with("deployments", web("w"), &by("kubectl")).await.unwrap();
    assert_eq!(written.warnings, ["one was here", "two was here"]);
    let object = written.record.value();
    assert_eq!(object["metadata"]["labels"], json!({"app": "w", "one": "1", "two": "2"}));
    let side = &object["spec"]["template"]["spec"]["containers"][1];
    assert_eq!((&side["name"], &side["imagePullPolicy"]), (&json!("side"), &json!("IfNotPresent")), "defaults again");
    assert!(managed(&object, "kubectl")[0]["fieldsV1"]["f:metadata"]["f:labels"].get("f:two").is_some());
    let [asked] = judge.seen().try_into().unwrap();
    let seen = parsed(asked.new.as_ref());
    assert_eq!((&seen["spec"], asked.may_change), (&object["spec"], false), "the outcome of all changes");
    assert!(one.seen()[0].may_change);
    // Applied: the applier owns what it named, not what others added.
    let applied = world.apply("deployments", "v", web("v"), &by("ci")).await.unwrap();
    assert_eq!(applied["metadata"]["labels"]["one"], "1");
    assert!(managed(&applied, "ci")[0]["fieldsV1"]["f:metadata"]["f:labels"].get("f:one").is_none());
    let patch = Patch::Merge(json!({"metadata": {"labels": {"one": null, "two": null}}}));
    let patched = world.patch("deployments", "v", patch, &write()).await.unwrap();
    assert_eq!(patched["metadata"]["labels"], json!({"app": "v", "one": "1", "two": "2"}), "updates too");
}

#[tokio::test]
async fn a_change_that_must_not_be_is_the_reviewers_fault() {
    let table = [
        (json!([{"op": "replace", "path": "/metadata/name", "value": "x"}]), "its patch changes metadata.name"),
        (json!([{"op": "remove", "path": "/metadata/uid"}]), "its patch changes metadata.uid"),
        (json!([{"op": "add", "path": "/status", "value": {"replicas": 1}}]), "its patch changes status"),
        (json!([{"op": "replace", "path": "/kind", "value": "x"}]), "its patch changes kind"),
        (json!([{"op": "replace", "path": "/spec/replicas", "value": "many"}]), "its patch makes the object invalid"),
        (json!([{"op": "remove", "path": "/nothing"}]), "its patch can't be applied"),
        (json!([{"op": "boil"}]), "its patch can't be applied"),
        (json!({"op": "remove"}), "its patch can't be applied"),
    ];
    for refuses in [true, false] {
        let next = Arc::new(Mutex::new(json!([])));
        let patch = next.clone();
        let rules = vec![Rule { refuses_when_down: refuses, ..rule("apps", "Deployment", true) }];
        let fake = Fake::new("clumsy", rules, move |_| change(patch.lock().unwrap().clone()));
        let world = world(&[&fake]).await;
        for (n, (operations, want)) in table.iter().enumerate() {
            *next.lock().unwrap() = operations.clone();
            let written = world.create("deployments", web(&format!("w{n}"))).await;
            match (refuses, written) {
                (true, Err(status)) => {
                    assert_eq!(status.reason, Reason::InternalError);
                    let head = "plugin clumsy must review this and failed: ";
                    assert!(status.message.starts_with(head) && status.message.contains(want), "{status}");
                }
                (false, Ok(written)) => {
                    assert!(written.warnings[0].contains(want), "{:?}", written.warnings);
                    assert_eq!(written.record.value()["spec"]["replicas"], 3, "as it was asked for");
                }
                (_, other) => panic!("{operations}: {other:?}"),
            }
        }
    }
}

#[tokio::test]
async fn one_that_is_only_to_judge_changes_nothing() {
    let fake = Fake::new("clumsy", apps(false), |_| change(json!([])));
    let world = world(&[&fake]).await;
    let refused = world.create("deployments", web("w")).await.unwrap_err();
    assert_eq!(refused.reason, Reason::InternalError, "{refused}");
}

#[tokio::test]
async fn when_a_reviewer_is_down() {
    let away = || Err(Down::Away("it rests".into()));
    let fault = || Err(Down::Fault("it trapped".into()));
    let refused = |reason, message: &str| Some((reason, message.to_owned()));
    let table = [
        (true, away(), refused(Reason::ServiceUnavailable, "plugin p must review this and is not available: it rests")),
        (true, fault(), refused(Reason::InternalError, "plugin p must review this and failed: it trapped")),
        (false, away(), None),
        (false, fault(), None),
    ];
    for mutates in [true, false] {
        for (refuses, said, want) in table.clone() {
            let rules = vec![Rule { refuses_when_down: refuses, ..rule("apps", "Deployment", mutates) }];
            let down = said.clone();
            let fake = Fake::new("p", rules, move |_| down.clone());
            let world = world(&[&fake]).await;
            match (world.create("deployments", web("w")).await, want) {
                (Err(status), Some((reason, message))) => {
                    assert_eq!((status.reason, status.message.as_str()), (reason, message.as_str()));
                    assert_eq!(status.retry_after_seconds.is_some(), reason == Reason::ServiceUnavailable);
                    assert!(world.get("deployments", "w").is_err());
                }
                (Ok(written), None) => {
                    let why = said.unwrap_err();
                    let (Down::Away(why) | Down::Fault(why)) = why;
                    assert_eq!(written.warnings, [format!("plugin p did not review this: {why}")]);
                }
                (other, want) => panic!("{other:?}, not {want:?}"),
            }
        }
    }
}

#[tokio::test]
async fn refusals_add_up() {
    let says = |name, reason, message: &'static str, fields: &'static [&'static str]| {
        Fake::new(name, apps(false), move |_| decided(deny(reason, message, fields)))
    };
    let open = Rule { refuses_when_down: false, ..rule("apps", "Deployment", false) };
    let down = Fake::new("down", vec![open], |_| Err(Down::Away("it rests".into())));
    let (one, two) = (says("one", Reason::Invalid, "", &["a", "b"]), says("two", Reason::Invalid, "no", &["c"]));
    let status = world(&[&one, &down, &two]).await.create("deployments", web("w")).await.unwrap_err();
    assert_eq!(status.causes.iter().map(|cause| cause.field.as_str()).collect::<Vec<_>>(), ["a", "b", "c"]);
    for (reason, message, want) in [
        (Reason::Forbidden, "no more", "deployments.apps \"w\" is forbidden: plugin three: no more"),
        (Reason::Forbidden, "", "deployments.apps \"w\" is forbidden: plugin three does not allow it"),
        (Reason::BadRequest, "odd", "deployments.apps \"w\" is forbidden: plugin three: odd"),
        (Reason::Invalid, "odd", "Deployment.apps \"w\" is invalid: plugin three: odd"),
        (Reason::TooManyRequests, "later", "plugin three: later"),
        (Reason::Conflict, "old", "Operation cannot be fulfilled on deployments.apps \"w\": plugin three: old"),
    ] {
        let three = says("three", reason, message, &[]);
        let status = world(&[&one, &three]).await.create("deployments", web("w")).await.unwrap_err();
        assert_eq!(status.message, want);
    }
}

#[tokio::test]
async fn the_stricter_of_two_rules_holds() {
    let open = Rule { refuses_when_down: false, ..rule("apps", "Deployment", false) };
    let fake = Fake::new("p", vec![open.clone(), rule("apps", "*", false)], |_| Err(Down::Away("it rests".into())));
    let world = world(&[&fake]).await;
    assert_eq!(world.create("deployments", web("w")).await.unwrap_err().reason, Reason::ServiceUnavailable);
    assert_eq!(fake.seen().len(), 1, "asked once");
    let kind: Arc<Kind> = world.kind("deployments");
    assert_eq!(kind.kind, open.kind);
}
