use gantry_objects::{FieldValidation, WriteOptions};
use serde_json::json;

use crate::support::{World, by, managed, pod, web, write};

#[tokio::test]
async fn a_new_object_gets_what_only_the_server_gives() {
    let world = World::new().await;
    let mut sent = pod("p");
    sent["metadata"]["uid"] = json!("mine");
    sent["metadata"]["generation"] = json!(9);
    sent["status"] = json!({"phase": "Running", "podIP": "10.0.0.1"});
    let written = world.create("pods", sent).await.unwrap();
    assert!(written.created);
    let pod = written.record.value();
    assert_ne!(pod["metadata"]["uid"], "mine");
    assert_eq!(pod["metadata"]["generation"], 1);
    assert_eq!(pod["metadata"]["namespace"], "a");
    assert_eq!(pod["metadata"]["resourceVersion"], written.record.revision.to_string());
    assert!(pod["metadata"]["creationTimestamp"].as_str().unwrap().parse::<jiff::Timestamp>().is_ok());
    assert_eq!(pod["status"], json!({"phase": "Pending", "qosClass": "BestEffort"}));
    assert_eq!(pod["spec"]["restartPolicy"], "Always");
    assert_eq!(pod["spec"]["serviceAccountName"], "default");
    let entry = managed(&pod, "tester");
    assert_eq!((&entry[0]["operation"], &entry[0]["apiVersion"]), (&json!("Update"), &json!("v1")));
    let container = &entry[0]["fieldsV1"]["f:spec"]["f:containers"]["k:{\"name\":\"c\"}"];
    assert_eq!((&container["."], &container["f:image"]), (&json!({}), &json!({})), "{entry:?}");
    assert!(entry[0]["fieldsV1"]["f:metadata"].get("f:name").is_none());
    assert!(entry[0]["fieldsV1"].get("f:status").is_none());
}

#[tokio::test]
async fn names_are_generated_checked_and_taken_once() {
    let world = World::new().await;
    let mut generated = pod("x");
    generated["metadata"] = json!({"generateName": "web-"});
    let a = world.create("pods", generated.clone()).await.unwrap().record.meta.name.clone();
    let b = world.create("pods", generated.clone()).await.unwrap().record.meta.name.clone();
    assert!(a.starts_with("web-") && a.len() == 9 && a != b, "{a} {b}");
    world.create("pods", pod("p")).await.unwrap();
    let taken = world.create("pods", pod("p")).await.unwrap_err();
    assert_eq!((taken.reason.code(), taken.message.as_str()), (409, "pods \"p\" already exists"));
    let nameless = world.create("pods", json!({"spec": pod("x")["spec"]})).await.unwrap_err();
    assert_eq!(nameless.reason.code(), 422);
    assert!(nameless.causes.iter().any(|c| c.field == "metadata.name"), "{nameless:?}");
    let wrong = world.create("pods", pod("No_Good")).await.unwrap_err();
    assert!(wrong.causes.iter().any(|c| c.field == "metadata.name"), "{wrong:?}");
}

#[tokio::test]
async fn a_namespace_must_be_there_and_stay() {
    let world = World::new().await;
    let kind = world.kind("pods");
    let absent = world.objects.create(&kind, "nowhere", pod("p"), &write()).await.unwrap_err();
    assert_eq!((absent.reason.code(), absent.message.as_str()), (404, "namespaces \"nowhere\" not found"));
    let mut elsewhere = pod("p");
    elsewhere["metadata"]["namespace"] = json!("b");
    assert_eq!(world.create("pods", elsewhere).await.unwrap_err().reason.code(), 400);
    world.delete("namespaces", "a", &Default::default()).await.unwrap();
    let ending = world.create("pods", pod("p")).await.unwrap_err();
    assert_eq!(
        ending.message,
        "pods \"p\" is forbidden: unable to create new content in namespace a because it is being terminated"
    );
    assert_eq!((ending.reason.code(), ending.causes[0].reason.as_str()), (403, "NamespaceTerminating"));
}

#[tokio::test]
async fn namespaces_and_secrets_are_completed() {
    let world = World::new().await;
    let namespace = world.get("namespaces", "a").unwrap();
    assert_eq!(namespace["spec"]["finalizers"], json!(["kubernetes"]));
    assert_eq!(namespace["status"]["phase"], "Active");
    assert_eq!(namespace["metadata"]["labels"]["kubernetes.io/metadata.name"], "a");
    let secret = json!({"metadata": {"name": "s"}, "stringData": {"k": "v"}});
    let secret = world.create("secrets", secret).await.unwrap().record.value();
    assert_eq!((&secret["data"], &secret["type"]), (&json!({"k": "dg=="}), &json!("Opaque")));
    assert!(secret.get("stringData").is_none());
}

#[tokio::test]
async fn unknown_fields_are_refused_told_or_dropped() {
    let world = World::new().await;
    let mut odd = pod("p");
    odd["spec"]["colour"] = json!("red");
    odd["spec"]["containers"][0]["imagee"] = json!("x");
    let with = |validation| WriteOptions { validation, dry_run: true, ..write() };
    let refused = world.create_with("pods", odd.clone(), &with(FieldValidation::Strict)).await.unwrap_err();
    assert_eq!(refused.reason.code(), 400);
    assert!(refused.message.contains("strict decoding error: unknown field \"spec."), "{}", refused.message);
    let told = world.create_with("pods", odd.clone(), &with(FieldValidation::Warn)).await.unwrap();
    assert_eq!(told.warnings.len(), 2);
    assert!(told.warnings.contains(&"unknown field \"spec.containers[0].imagee\"".to_owned()), "{:?}", told.warnings);
    let dropped = world.create_with("pods", odd, &with(FieldValidation::Ignore)).await.unwrap();
    assert!(dropped.warnings.is_empty() && dropped.record.value()["spec"].get("colour").is_none());
}

#[tokio::test]
async fn everything_wrong_is_said_at_once() {
    let world = World::new().await;
    let mut bad = web("w");
    bad["spec"]["replicas"] = json!("three");
    bad["spec"]["template"]["spec"]["containers"] = json!({});
    bad["metadata"]["labels"]["a b"] = json!("c");
    let error = world.create("deployments", bad).await.unwrap_err();
    assert_eq!((error.reason.code(), error.group.as_str(), error.kind.as_str()), (422, "apps", "Deployment"));
    let fields: Vec<&str> = error.causes.iter().map(|c| c.field.as_str()).collect();
    assert!(fields.contains(&"spec.replicas") && fields.len() >= 3, "{fields:?}");
}

#[tokio::test]
async fn a_dry_run_leaves_no_trace() {
    let world = World::new().await;
    let options = WriteOptions { dry_run: true, ..by("t") };
    let before = world.objects.store().revision();
    let made = world.create_with("pods", pod("p"), &options).await.unwrap();
    assert!(made.record.value()["metadata"].get("resourceVersion").is_none());
    assert_eq!(made.record.value()["spec"]["restartPolicy"], "Always");
    assert_eq!(world.get("pods", "p").unwrap_err().reason.code(), 404);
    assert_eq!(world.objects.store().revision(), before);
    world.create("pods", pod("q")).await.unwrap();
    assert_eq!(world.create_with("pods", pod("q"), &options).await.unwrap_err().reason.code(), 409);
}
