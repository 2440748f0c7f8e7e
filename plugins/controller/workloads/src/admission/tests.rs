use super::*;
use gantry_sdk::admission::{Decision, Reason};
use gantry_sdk::testing::{Host, suite};
use gantry_sdk::{Config, json, merge};

fn object(kind: &str, change: &Value) -> Value {
    let mut object = json!({
        "apiVersion": "apps/v1", "kind": kind, "metadata": {"namespace": "a", "name": "web"},
        "spec": {
            "replicas": 3,
            "selector": {"matchLabels": {"app": "web"}},
            "template": {
                "metadata": {"labels": {"app": "web", "tier": "front"}},
                "spec": {"restartPolicy": "Always", "containers": [{"name": "c", "image": "i:1"}]},
            },
        },
    });
    if kind == "Deployment" {
        merge::apply(
            &mut object,
            &json!({"spec": {
                "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": "25%", "maxUnavailable": "25%"}},
                "progressDeadlineSeconds": 600,
            }}),
        );
    }
    merge::apply(&mut object, &json!({ "spec": change }));
    object
}

/// `field: message` of each cause; none when it is allowed.
fn causes(request: &Request) -> Vec<String> {
    match Review.review(request).unwrap().decision {
        Decision::Allow => Vec::new(),
        Decision::Deny(denial) => {
            assert_eq!(denial.reason, Reason::Invalid);
            denial.causes.into_iter().map(|cause| format!("{}: {}", cause.field, cause.message)).collect()
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn rules_for_both_kinds() {
    let table = [
        (json!({}), vec![]),
        (json!({"selector": {"matchLabels": {"app": "web", "tier": "front"}}}), vec![]),
        (
            json!({"selector": {"matchLabels": null, "matchExpressions": [{"key": "tier", "operator": "Exists"}]}}),
            vec![],
        ),
        (
            json!({"selector": {"matchLabels": {"app": "db"}}}),
            vec![
                "spec.template.metadata.labels: Invalid value: {\"app\":\"web\",\"tier\":\"front\"}: `selector` does not match template `labels`",
            ],
        ),
        (
            json!({"template": {"metadata": null}}),
            vec!["spec.template.metadata.labels: Invalid value: null: `selector` does not match template `labels`"],
        ),
        (
            json!({"selector": {"matchLabels": {"app": "web"}, "matchExpressions": [{"key": "tier", "operator": "NotIn", "values": ["front"]}]}}),
            vec![
                "spec.template.metadata.labels: Invalid value: {\"app\":\"web\",\"tier\":\"front\"}: `selector` does not match template `labels`",
            ],
        ),
        (
            json!({"selector": {"matchLabels": {"app": null}}}),
            vec!["spec.selector: Invalid value: {\"matchLabels\":{}}: empty selector is invalid for deployment"],
        ),
        (
            json!({"template": {"spec": {"restartPolicy": "OnFailure"}}}),
            vec!["spec.template.spec.restartPolicy: Unsupported value: \"OnFailure\": supported values: \"Always\""],
        ),
        (
            json!({"template": {"spec": {"activeDeadlineSeconds": 5}}}),
            vec![
                "spec.template.spec.activeDeadlineSeconds: Forbidden: activeDeadlineSeconds in ReplicaSet is not Supported",
            ],
        ),
        (
            json!({"template": null}),
            vec![
                "spec.template.metadata.labels: Invalid value: null: `selector` does not match template `labels`",
                "spec.template.spec.containers: Required value",
            ],
        ),
        (
            json!({"selector": {"matchLabels": {"app": "db"}}, "template": {"spec": {"restartPolicy": "Never"}}}),
            vec![
                "spec.template.metadata.labels: Invalid value: {\"app\":\"web\",\"tier\":\"front\"}: `selector` does not match template `labels`",
                "spec.template.spec.restartPolicy: Unsupported value: \"Never\": supported values: \"Always\"",
            ],
        ),
    ];
    for (change, want) in table {
        for kind in ["Deployment", "ReplicaSet"] {
            assert_eq!(causes(&Request::create(&object(kind, &change))), want, "{kind} {change}");
        }
    }
}

#[test]
fn rules_for_deployments() {
    let rolling = |surge: Value, unavailable: Value| json!({"strategy": {"rollingUpdate": {"maxSurge": surge, "maxUnavailable": unavailable}}});
    let max_surge = |detail: &str| vec![format!("spec.strategy.rollingUpdate.maxSurge: Invalid value: {detail}")];
    let unavailable =
        |detail: &str| vec![format!("spec.strategy.rollingUpdate.maxUnavailable: Invalid value: {detail}")];
    let format = "must be an integer or percentage (e.g '5%%')";
    let table = [
        (rolling(json!(0), json!(1)), vec![]),
        (rolling(json!("0%"), json!("1%")), vec![]),
        (rolling(json!("200%"), json!("100%")), vec![]),
        (rolling(json!(null), json!(0)), vec![]),
        (json!({"strategy": {"rollingUpdate": null}}), vec![]),
        (json!({"strategy": null}), vec![]),
        (json!({"strategy": {"type": "Recreate", "rollingUpdate": null}}), vec![]),
        (rolling(json!(0), json!(0)), unavailable("0: may not be 0 when `maxSurge` is 0")),
        (rolling(json!("0%"), json!("00%")), unavailable("\"00%\": may not be 0 when `maxSurge` is 0")),
        (rolling(json!("many"), json!(1)), max_surge(&format!("\"many\": {format}"))),
        (rolling(json!("10"), json!(1)), max_surge(&format!("\"10\": {format}"))),
        (rolling(json!("%"), json!(1)), max_surge(&format!("\"%\": {format}"))),
        (rolling(json!("-5%"), json!(1)), max_surge(&format!("\"-5%\": {format}"))),
        (rolling(json!(1), json!("1.5%")), unavailable(&format!("\"1.5%\": {format}"))),
        (rolling(json!(1), json!("101%")), unavailable("\"101%\": must not be greater than 100%")),
        (
            rolling(json!(1), json!("99999999999999999999%")),
            unavailable("\"99999999999999999999%\": must not be greater than 100%"),
        ),
        (
            json!({"strategy": {"type": "Recreate"}}),
            vec![
                "spec.strategy.rollingUpdate: Forbidden: may not be specified when strategy `type` is 'Recreate'"
                    .to_owned(),
            ],
        ),
        (json!({"minReadySeconds": 599}), vec![]),
        (json!({"minReadySeconds": 9, "progressDeadlineSeconds": null}), vec![]),
        (
            json!({"minReadySeconds": 600}),
            vec!["spec.progressDeadlineSeconds: Invalid value: 600: must be greater than minReadySeconds".to_owned()],
        ),
        (
            json!({"progressDeadlineSeconds": 0}),
            vec!["spec.progressDeadlineSeconds: Invalid value: 0: must be greater than minReadySeconds".to_owned()],
        ),
    ];
    for (change, want) in table {
        assert_eq!(causes(&Request::create(&object("Deployment", &change))), want, "{change}");
    }
}

#[test]
fn what_was_stored_before_can_still_be_touched() {
    let bad = object("Deployment", &json!({"selector": {"matchLabels": {"app": "db"}}}));
    let mut labelled = bad.clone();
    merge::apply(&mut labelled, &json!({"metadata": {"labels": {"a": "b"}, "finalizers": []}}));
    assert!(causes(&Request::update(&bad, &labelled)).is_empty());
    let scaled = object("Deployment", &json!({"selector": {"matchLabels": {"app": "db"}}, "replicas": 4}));
    assert_eq!(causes(&Request::update(&bad, &scaled).of("scale")).len(), 1);
    let mended = object("Deployment", &json!({}));
    assert!(causes(&Request::update(&bad, &mended)).is_empty());
    assert_eq!(causes(&Request::update(&mended, &bad)).len(), 1);
}

#[test]
fn keeps_the_rules_of_its_family() {
    let _host = Host::new();
    suite::admission::<Review>(&Config::get(), &cases());
}

/// Writes worth asking about.
fn cases() -> Vec<Request> {
    let good = object("Deployment", &json!({}));
    let bad = object("ReplicaSet", &json!({"selector": {"matchLabels": {"app": "db"}}}));
    vec![Request::create(&good), Request::create(&bad), Request::update(&bad, &bad), Request::update(&good, &good)]
}

#[test]
fn the_manifest_asks_for_what_is_reviewed() {
    let manifest: toml::Value = toml::from_str(crate::MANIFEST).unwrap();
    let asked = manifest["grants"]["objects"].as_array().unwrap();
    for rule in Review.rules() {
        let granted = asked.iter().any(|grant| {
            grant["group"].as_str() == Some(&rule.kind.group)
                && grant["kind"].as_str() == Some(&rule.kind.kind)
                && grant["verbs"].as_array().is_some_and(|verbs| verbs.contains(&"review".into()))
        });
        assert!(granted, "{}", rule.kind);
    }
}
