//! Reviewers: rules and their grants, verdicts, what a review may do with objects, and faults.

use gantry_plugin::family::admission::{Decision, Operation, Reason, Request, User, Verdict};
use gantry_plugin::family::{ErrorCode, KindRef};
use gantry_plugin::{Finding, Loaded, State};

use crate::support::Bench;

async fn reviewer(more: &str) -> (Bench, Loaded) {
    let mut bench = Bench::new();
    bench.fixture("fixture-admission", more);
    let loaded = bench.only().await;
    (bench, loaded)
}

fn request(name: &str) -> Request {
    Request {
        operation: Operation::Create,
        kind: KindRef { group: String::new(), kind: "ConfigMap".into() },
        version: "v1".into(),
        subresource: String::new(),
        namespace: "a".into(),
        name: name.into(),
        user: User { name: "eve".into(), groups: vec!["people".into()] },
        dry_run: true,
        may_change: false,
        old: None,
        new: Some(b"{}".to_vec()),
    }
}

fn warnings(verdicts: &[Verdict]) -> Vec<&str> {
    verdicts.iter().flat_map(|verdict| &verdict.warnings).map(String::as_str).collect()
}

#[tokio::test]
async fn a_batch_gets_its_verdicts_in_order() {
    let (_bench, loaded) = reviewer("grants = \"asked\"").await;
    let admission = loaded.admission().unwrap();
    let description = admission.describe().await.unwrap().unwrap();
    assert_eq!(description.rules.iter().map(|rule| rule.mutates).collect::<Vec<_>>(), [true, false]);
    let change = Request { may_change: true, ..request("change") };
    let verdicts = admission.review(&[request("deny"), change, request("fail"), request("see")]).await.unwrap();
    let [Decision::Deny(denial), Decision::Change(patch), Decision::Failed(error), Decision::Allow] =
        &verdicts.iter().map(|verdict| verdict.decision.clone()).collect::<Vec<_>>()[..]
    else {
        panic!("{verdicts:?}")
    };
    assert!(matches!(denial.reason, Reason::Invalid));
    assert_eq!((denial.causes[0].field.as_str(), denial.causes[0].reason.as_str()), ("data.a", "FieldValueInvalid"));
    assert!(patch.starts_with(b"[{"));
    assert!(matches!(error.code, ErrorCode::Unavailable));
    assert_eq!(
        warnings(&verdicts),
        ["Operation::Create ConfigMap/ v1 a by eve of [\"people\"], dry true, changes false: None to Some(\"{}\")"]
    );
    assert!(admission.review(&[]).await.unwrap().is_empty());
    assert_eq!((loaded.health().state, loaded.health().faults), (State::Ready, 0));
}

#[tokio::test]
async fn a_review_reads_and_never_writes() {
    let (bench, loaded) = reviewer("grants = \"asked\"").await;
    let verdicts = loaded.admission().unwrap().review(&[request("read"), request("write")]).await.unwrap();
    assert_eq!(warnings(&verdicts), ["{}", "a review only reads: it can't write objects"]);
    assert_eq!(bench.objects.asked(), ["get read"]);
}

#[tokio::test]
async fn rules_need_a_grant() {
    let table = [
        ("", "reviews ConfigMap, but the bundle does not grant review on it"),
        (
            "grants = \"asked\"\n[plugin.config]\nwhat = \"secrets\"",
            "reviews Secret, but the bundle does not grant review",
        ),
        (
            "grants = \"asked\"\n[plugin.config]\nwhat = \"mutate-pods\"",
            "reviews Pod, but the bundle does not grant mutate",
        ),
    ];
    for (more, want) in table {
        let (_bench, loaded) = reviewer(more).await;
        let admission = loaded.admission().unwrap();
        let refused = admission.describe().await.unwrap().unwrap_err();
        assert!(refused.message.contains(want), "{}", refused.message);
        let fault = admission.review(&[request("x")]).await.unwrap_err();
        assert!(matches!(&fault.finding, Finding::Unavailable(why) if why.contains(want)), "{fault}");
        assert_eq!(loaded.health().faults, 0, "a refusal is no fault");
    }
}

#[tokio::test]
async fn what_is_no_verdict_is_a_fault_and_the_next_review_is_well() {
    let (_bench, loaded) = reviewer("grants = \"asked\"\ndeadline-ms = 200\ninstances = 1").await;
    let admission = loaded.admission().unwrap();
    for (name, want) in [
        ("panic", "trapped: "),
        ("loop", "ran longer than its deadline of 200 ms"),
        ("lie", "answered against the contract: 0 verdicts instead of 1"),
        ("change", "answered against the contract: changes ConfigMap change, which it was only to judge"),
    ] {
        let fault = admission.review(&[request(name)]).await.unwrap_err();
        let text = fault.to_string();
        assert!(
            text.starts_with("plugin fixture-admission 0.1.0: admission.review: ") && text.contains(want),
            "{text}"
        );
        assert_eq!(admission.review(&[request("x")]).await.unwrap().len(), 1, "after {name}");
    }
    assert_eq!(loaded.health().faults, 4);
}
