//! The admission policy in the documentation: it works, keeps the rules of its family, and stays about 30 lines.

#![allow(clippy::unwrap_used, reason = "a failure here is a panic")]

#[allow(dead_code)]
#[path = "../examples/labels.rs"]
mod labels;

use gantry_sdk::admission::{Decision, Reason, Request, Verdict};
use gantry_sdk::testing::{self, Fault, Host, Verb};
use gantry_sdk::{Admission, Config, Error, Value, json, serde_json};
use labels::Labels;

fn deployment(labels: Value) -> Value {
    json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"namespace": "a", "name": "web", "labels": labels}})
}

fn host(owner: Value) -> Host {
    let host = Host::new();
    host.add_json(json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "a", "labels": owner}}));
    host
}

fn review(request: &Request) -> Verdict {
    Labels.review(request).unwrap()
}

#[test]
fn a_label_is_given_taken_or_missed() {
    let _host = host(json!({"owner": "ann"}));
    let labelled = Request::create(&deployment(json!({"owner": "bob"})));
    assert_eq!(review(&labelled), Verdict::allow());
    for (labels, path) in [(json!({}), "/metadata/labels/owner"), (Value::Null, "/metadata/labels")] {
        let verdict = review(&Request::create(&deployment(labels)).changeable());
        let Decision::Change(patch) = verdict.decision else { panic!("{verdict:?}") };
        let patch: Value = serde_json::from_slice(&patch).unwrap();
        assert_eq!(patch.pointer("/0/path"), Some(&json!(path)));
    }
    let refused = review(&Request::create(&deployment(json!({}))));
    let Decision::Deny(denial) = refused.decision else { panic!("{refused:?}") };
    assert_eq!((denial.reason, denial.causes.len()), (Reason::Invalid, 1));
}

#[test]
fn what_can_not_be_told_is_said_so() {
    let host = host(json!({}));
    let bare = Request::create(&deployment(json!({}))).changeable();
    assert_eq!(review(&bare), Verdict::allow(), "nobody owns the namespace: the second rule refuses");
    host.fail(Fault::on(Verb::Get).with(Error::unavailable("no answer")));
    let [verdict] = Labels.review_batch(&[bare]).try_into().unwrap();
    assert!(matches!(verdict.decision, Decision::Failed(error) if error.message == "no answer"));
}

#[test]
fn it_keeps_the_rules_of_its_family() {
    let _host = host(json!({"owner": "ann"}));
    let bare = deployment(json!({}));
    let requests = [
        Request::create(&bare),
        Request::create(&bare).changeable().by("eve", &[]),
        Request::update(&bare, &deployment(json!({"owner": "bob"}))),
    ];
    testing::suite::admission::<Labels>(&Config::from_text("{}"), &requests);
}

#[test]
fn it_takes_about_30_lines() {
    let code = include_str!("../examples/labels.rs").lines();
    let lines = code.filter(|line| !line.trim().is_empty() && !line.trim().starts_with("//")).count();
    assert!(lines <= 34, "the example has grown to {lines} lines");
}
