//! The in-memory host keeps the rules that controllers rely on: names and identities, versions and preconditions,
//! status apart from spec, deletion with finalizers, grace and owners, faults on request; and the driver runs a
//! controller over it as the host would, through the same exports.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a failure here is a panic")]

use std::time::Duration;

use gantry_sdk::api::{ObjectMeta, Pod, Resource, Time};
use gantry_sdk::controller::{Outcome, Watch};
use gantry_sdk::objects::{self, EventType, Precondition, Query, Subresource, Write};
use gantry_sdk::testing::{self, Driver, Fault, Host, Verb};
use gantry_sdk::{Config, Controller, Error, ErrorCode, Level, ObjectRef, Result, Value, json};
use serde::{Deserialize, Serialize};

/// A kind with a count of pods to be kept.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
struct Herd {
    metadata: ObjectMeta,
    spec: Value,
    status: Value,
}

impl Resource for Herd {
    const GROUP: &'static str = "example.com";
    const VERSION: &'static str = "v1";
    const KIND: &'static str = "Herd";
    fn meta(&self) -> &ObjectMeta {
        &self.metadata
    }
    fn meta_mut(&mut self) -> &mut ObjectMeta {
        &mut self.metadata
    }
}

fn herd(name: &str, size: u64) -> Herd {
    Herd { metadata: ObjectMeta::named("default", name), spec: json!({"size": size}), status: Value::Null }
}

fn pod(name: &str) -> Pod {
    Pod { metadata: ObjectMeta::named("default", name), ..Pod::default() }
}

fn code(result: Result<objects::Written>) -> ErrorCode {
    result.unwrap_err().code
}

#[test]
fn creation_gives_names_and_identities() {
    let host = Host::new();
    let mut generated = pod("");
    generated.metadata.generate_name = "web-".into();
    generated.status.phase = "Running".into();
    let create = Write::create(&generated).unwrap();
    let first = objects::apply_one(create.clone()).unwrap();
    let second = objects::apply_one(create).unwrap();
    assert!(first.name.starts_with("web-") && first.name != second.name && first.uid != second.uid);
    let stored: Pod = host.get("default", &first.name).unwrap();
    assert_eq!(stored.status.phase, "Pending", "a creation has no say in the status");
    assert_eq!(stored.metadata.creation_timestamp, Some(host.now()));
    assert_eq!(code(objects::apply_one(Write::create(&stored).unwrap())), ErrorCode::AlreadyExists);
    assert_eq!(code(objects::apply_one(Write::create(&pod("")).unwrap())), ErrorCode::Invalid);
}

#[test]
fn preconditions_hold_or_conflict() {
    let host = Host::new();
    let old = host.add(herd("a", 1));
    let target = old.reference();
    let grow = |n: u64| Write::patch(target.clone(), &json!({"spec": {"size": n}}));
    let version = &old.metadata.resource_version;
    objects::apply_one(grow(2).if_uid(old.uid()).if_version(version)).unwrap();
    assert_eq!(code(objects::apply_one(grow(3).if_version(version))), ErrorCode::Conflict);
    assert_eq!(code(objects::apply_one(grow(3).if_uid("other"))), ErrorCode::Conflict);
    assert_eq!(code(objects::apply_one(Write::update(&old).unwrap())), ErrorCode::Conflict);
    assert_eq!(code(objects::apply_one(Write::delete(ObjectRef::of::<Herd>("default", "b")))), ErrorCode::NotFound);
    assert_eq!(host.get::<Herd>("default", "a").unwrap().spec["size"], 2);
}

#[test]
fn spec_and_status_are_written_apart_and_only_the_spec_counts_generations() {
    let host = Host::new();
    let target = host.add(herd("a", 1)).reference();
    let both = json!({"spec": {"size": 5}, "status": {"size": 4}});
    objects::apply_one(Write::patch_status(target.clone(), &both)).unwrap();
    let after_status: Herd = host.get("default", "a").unwrap();
    assert_eq!((&after_status.spec["size"], &after_status.status["size"]), (&json!(1), &json!(4)));
    objects::apply_one(Write::patch(target.clone(), &json!({"spec": {"size": 5}, "status": null}))).unwrap();
    let after_spec: Herd = host.get("default", "a").unwrap();
    assert_eq!((&after_spec.spec["size"], &after_spec.status["size"]), (&json!(5), &json!(4)));
    assert_eq!((after_status.metadata.generation, after_spec.metadata.generation), (1, 2));
    let again = objects::apply_one(Write::patch(target, &json!({"spec": {"size": 5}}))).unwrap();
    assert_eq!(again.resource_version, after_spec.metadata.resource_version, "nothing changed, nothing written");
}

#[test]
fn a_change_is_the_smallest_patch() {
    let host = Host::new();
    let old = host.add(herd("a", 1));
    assert_eq!(Write::change(&old, &old, Subresource::None).unwrap(), None);
    let mut new = old.clone();
    new.metadata.labels.insert("x".into(), "y".into());
    let Some(Write::Patch(patch)) = Write::change(&old, &new, Subresource::None).unwrap() else { panic!("a patch") };
    assert_eq!(String::from_utf8(patch.merge).unwrap(), r#"{"metadata":{"labels":{"x":"y"}}}"#);
    assert_eq!(patch.require, Precondition { uid: Some(old.uid().to_string()), resource_version: None });
}

#[test]
fn deletion_waits_for_finalizers_and_nodes_and_takes_dependents_along() {
    let host = Host::new();
    let mut owner = herd("a", 1);
    owner.metadata.finalizers = vec!["example.com/wait".into()];
    let owner = host.add(owner);
    let mut owned = pod("owned");
    owned.metadata.owner_references = vec![owner.controller_reference()];
    owned.spec.node_name = "n1".into();
    host.add(owned);
    objects::apply_one(Write::delete(owner.reference())).unwrap();
    assert!(host.get::<Herd>("default", "a").unwrap().metadata.is_deleting(), "the finalizer holds it");
    objects::apply_one(Write::patch(owner.reference(), &json!({"metadata": {"finalizers": null}}))).unwrap();
    assert!(host.get::<Herd>("default", "a").is_none());
    assert!(host.get::<Pod>("default", "owned").unwrap().metadata.is_deleting(), "a node still runs it");
    host.finish_deletions();
    assert!(host.all::<Pod>().is_empty());
}

#[test]
fn lists_select_and_project() {
    let host = Host::new();
    for (name, app, node) in [("a", "web", "n1"), ("b", "web", ""), ("c", "db", "n1")] {
        let mut pod = pod(name);
        pod.metadata.labels.insert("app".into(), app.into());
        pod.spec.node_name = node.into();
        host.add(pod);
    }
    let names = |query: Query| {
        let rows: Vec<(String, Option<String>)> = objects::rows(&query, ["/metadata/name", "/spec/nodeName"]).unwrap();
        rows.into_iter().map(|(name, node)| name + node.as_deref().unwrap_or("-")).collect::<Vec<_>>().join(" ")
    };
    assert_eq!(names(Query::of::<Pod>()), "an1 b- cn1");
    assert_eq!(names(Query::of::<Pod>().labels("app in (web)")), "an1 b-");
    assert_eq!(names(Query::of::<Pod>().fields("spec.nodeName=n1").limit(1)), "an1");
    assert_eq!(names(Query::of::<Pod>().namespace("other")), "");
    assert_eq!(objects::list::<Pod>(&Query::of::<Pod>().labels("a in b")).unwrap_err().code, ErrorCode::Invalid);
}

#[test]
fn faults_strike_when_they_are_meant_to() {
    let host = Host::new();
    host.fail(Fault::on(Verb::Create).of::<Pod>().skip(1).with(Error::exhausted("quota")));
    host.fail(Fault::on(Verb::Create).named("d").but_made());
    let created = objects::apply(&["a", "b", "c", "d"].map(|name| Write::create(&pod(name)).unwrap()));
    let codes: Vec<_> = created.into_iter().map(|r| r.err().map(|e| e.code)).collect();
    assert_eq!(codes, [None, Some(ErrorCode::Exhausted), None, Some(ErrorCode::Unavailable)]);
    let names: Vec<String> = host.all::<Pod>().into_iter().map(|pod| pod.metadata.name).collect();
    assert_eq!(names, ["a", "c", "d"], "the last was made, only its answer was lost");
}

/// Keeps as many pods as its spec says.
#[derive(Default)]
struct Herder;

impl Controller for Herder {
    fn watches(&self) -> Vec<Watch> {
        vec![Watch::itself::<Herd>(), Watch::owned::<Pod, Herd>()]
    }

    fn reconcile(&mut self, _now: Time, key: &ObjectRef) -> Result<Outcome> {
        let Some(herd) = objects::get::<Herd>(key)? else { return Ok(Outcome::Done) };
        let have = objects::list::<Pod>(&Query::of::<Pod>().owner(herd.uid()))?.len() as u64;
        let want = herd.spec["size"].as_u64().unwrap_or_default();
        let mut pod = pod("");
        pod.metadata.generate_name = format!("{}-", herd.name());
        pod.metadata.owner_references = vec![herd.controller_reference()];
        let missing = (have..want).map(|_| Write::create(&pod)).collect::<Result<Vec<_>>>()?;
        objects::apply_all(&missing)?;
        if !missing.is_empty() {
            objects::event(&herd, EventType::Normal, "Grown", format!("made {} pods", missing.len()));
            gantry_sdk::info!("{key} has grown to {want}");
        }
        Ok(Outcome::after(Duration::from_secs(60)))
    }
}

#[test]
fn a_driver_brings_a_controller_to_rest() {
    let host = Host::new();
    let mut driver = Driver::<Herder>::new(&host);
    let key = host.add(herd("a", 3)).reference();
    driver.settle();
    assert_eq!(host.all::<Pod>().len(), 3);
    assert_eq!(host.events()[0].message, "made 3 pods");
    let line = &host.lines()[0];
    assert_eq!((line.level, line.message.as_str()), (Level::Info, "Herd.example.com default/a has grown to 3"));
    assert!(line.target.contains("host.rs:"));
    host.take_writes();
    driver.advance(Duration::from_secs(60));
    assert!(host.take_writes().is_empty(), "at rest it writes nothing");
    assert_eq!(driver.timer(&key), Some(host.now().after(Duration::from_secs(60))));

    // A pod goes; the first attempt to replace it fails; so does nothing after that.
    let gone = host.all::<Pod>()[0].reference();
    host.fail(Fault::on(Verb::Create));
    host.remove(&gone);
    driver.settle();
    assert_eq!(driver.take_errors().len(), 1);
    driver.advance(Duration::from_secs(1));
    assert_eq!(host.all::<Pod>().len(), 3);
    let mut driver = driver.restart();
    driver.settle();
    assert_eq!(host.all::<Pod>().len(), 3);
}

#[test]
fn the_rules_of_the_family() {
    let herd = json!({
        "apiVersion": "example.com/v1", "kind": "Herd", "metadata": {"name": "h", "namespace": "default"},
        "spec": {"size": 2},
    });
    testing::suite::controller::<Herder>(&Config::from_text("{}"), &[herd]);
}

gantry_sdk::plugin!(manifest: "examples/spread.toml", controller: Herder);

#[test]
fn a_plugin_that_has_nothing_to_configure_refuses_configuration() {
    let error = Herder.configure(Config::from(json!({"sise": 1}))).unwrap_err();
    assert!(error.message.contains("sise"), "{error}");
    assert!(MANIFEST.contains("scheduler-spread"));
}
