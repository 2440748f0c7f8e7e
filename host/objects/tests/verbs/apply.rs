use gantry_objects::{Patch, WriteOptions};
use serde_json::json;

use crate::support::{World, by, managed, status_write, web};

fn force(manager: &str) -> WriteOptions {
    WriteOptions { force: true, ..by(manager) }
}

#[tokio::test]
async fn applying_makes_changes_and_repeats_for_free() {
    let world = World::new().await;
    let made = world.apply("deployments", "w", web("w"), &by("ci")).await.unwrap();
    let entry = managed(&made, "ci")[0];
    assert_eq!(entry["operation"], "Apply");
    let container = &entry["fieldsV1"]["f:spec"]["f:template"]["f:spec"]["f:containers"]["k:{\"name\":\"c\"}"];
    assert_eq!(
        *container,
        json!({".": {}, "f:name": {}, "f:image": {}, "f:env": {"k:{\"name\":\"A\"}": {".": {}, "f:name": {}, "f:value": {}}},
            "f:ports": {"k:{\"containerPort\":80,\"protocol\":\"TCP\"}": {".": {}, "f:containerPort": {}}}})
    );
    assert!(entry["fieldsV1"]["f:spec"].get("f:strategy").is_none());
    let again = world.apply("deployments", "w", web("w"), &by("ci")).await.unwrap();
    assert_eq!(again, made);
    let mut more = web("w");
    more["spec"]["template"]["spec"]["containers"][0]["image"] = json!("i:2");
    let changed = world.apply("deployments", "w", more, &by("ci")).await.unwrap();
    assert_eq!(changed["spec"]["template"]["spec"]["containers"][0]["image"], "i:2");
    assert_eq!(changed["metadata"]["generation"], 2);
}

#[tokio::test]
async fn what_is_not_applied_any_more_goes() {
    let world = World::new().await;
    let mut first = web("w");
    let spec = &mut first["spec"]["template"]["spec"];
    spec["containers"] = json!([
        {"name": "c", "image": "i:1", "livenessProbe": {"httpGet": {"port": 80}}, "env": [{"name": "A", "value": "1"}, {"name": "B", "value": "2"}]},
        {"name": "side", "image": "s:1"},
    ]);
    first["metadata"]["labels"] = json!({"app": "w", "tier": "x"});
    world.apply("deployments", "w", first, &by("ci")).await.unwrap();
    world
        .patch("deployments", "w", Patch::Merge(json!({"metadata": {"labels": {"other": "y"}}})), &by("label"))
        .await
        .unwrap();
    let object = world.apply("deployments", "w", web("w"), &by("ci")).await.unwrap();
    let containers = &object["spec"]["template"]["spec"]["containers"];
    assert_eq!(containers.as_array().unwrap().len(), 1);
    assert_eq!(containers[0]["env"], json!([{"name": "A", "value": "1"}]));
    assert!(containers[0].get("livenessProbe").is_none(), "{containers}");
    assert_eq!(object["metadata"]["labels"], json!({"app": "w", "other": "y"}));
}

#[tokio::test]
async fn conflicts_name_field_and_manager_until_forced() {
    let world = World::new().await;
    world.create_with("deployments", web("w"), &by("kubectl-create")).await.unwrap();
    let wanted = json!({"metadata": {"name": "w"}, "spec": {"replicas": 5}});
    let error = world.apply("deployments", "w", wanted.clone(), &by("ci")).await.unwrap_err();
    assert_eq!(error.reason.code(), 409);
    assert_eq!(
        error.message,
        "Apply failed with 1 conflict: conflict with \"kubectl-create\" using apps/v1: .spec.replicas"
    );
    assert_eq!(
        (error.causes[0].reason.as_str(), error.causes[0].field.as_str()),
        ("FieldManagerConflict", ".spec.replicas")
    );
    let object = world.apply("deployments", "w", wanted, &force("ci")).await.unwrap();
    assert_eq!(object["spec"]["replicas"], 5);
    assert!(managed(&object, "kubectl-create")[0]["fieldsV1"]["f:spec"].get("f:replicas").is_none());
    // The same value is no conflict: both own it, and it stays until both let go.
    let shared = json!({"metadata": {"name": "w"}, "spec": {"replicas": 5}});
    world.apply("deployments", "w", shared, &by("autoscaler")).await.unwrap();
    let object = world.apply("deployments", "w", json!({"metadata": {"name": "w"}}), &by("ci")).await.unwrap();
    assert_eq!(object["spec"]["replicas"], 5);
    assert!(managed(&object, "ci").is_empty());
    let several = json!({"metadata": {"name": "w"}, "spec": {"replicas": 1, "template": {"spec": {"containers": [{"name": "c", "image": "z"}]}}}});
    let error = world.apply("deployments", "w", several, &by("ci")).await.unwrap_err();
    assert_eq!(
        error.message,
        "Apply failed with 2 conflicts: conflicts with \"autoscaler\":\n- .spec.replicas\n\
         conflicts with \"kubectl-create\" using apps/v1:\n- .spec.template.spec.containers[name=\"c\"].image"
    );
}

#[tokio::test]
async fn status_is_applied_apart() {
    let world = World::new().await;
    let mut config = web("w");
    config["status"] = json!({"replicas": 9});
    let object = world.apply("deployments", "w", config, &by("ci")).await.unwrap();
    assert!(object.get("status").is_none_or(|s| s.get("replicas").is_none()), "{object}");
    let status = json!({"metadata": {"name": "w"}, "spec": {"replicas": 100}, "status": {"replicas": 2}});
    let object = world.apply("deployments", "w", status, &status_write()).await.unwrap();
    assert_eq!((&object["status"]["replicas"], &object["spec"]["replicas"]), (&json!(2), &json!(3)));
    assert_eq!(managed(&object, "agent")[0]["fieldsV1"], json!({"f:status": {"f:replicas": {}}}));
    let absent =
        world.apply("deployments", "v", json!({"metadata": {"name": "v"}}), &status_write()).await.unwrap_err();
    assert_eq!(absent.reason.code(), 404);
}

#[tokio::test]
async fn bad_configurations_are_refused() {
    let world = World::new().await;
    world.apply("deployments", "w", web("w"), &by("ci")).await.unwrap();
    let mut renamed = web("w");
    renamed["metadata"]["name"] = json!("v");
    assert_eq!(world.apply("deployments", "w", renamed, &by("ci")).await.unwrap_err().reason.code(), 400);
    let mut managed = web("w");
    managed["metadata"]["managedFields"] = json!([{"manager": "x"}]);
    assert_eq!(world.apply("deployments", "w", managed, &by("ci")).await.unwrap_err().reason.code(), 400);
    let mut stale = web("w");
    stale["metadata"]["resourceVersion"] = json!("1");
    assert_eq!(world.apply("deployments", "w", stale, &by("ci")).await.unwrap_err().reason.code(), 409);
    let typeless = Patch::Apply(json!({"metadata": {"name": "w"}}));
    assert_eq!(world.patch("deployments", "w", typeless, &by("ci")).await.unwrap_err().reason.code(), 400);
}
