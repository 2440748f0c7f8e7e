use gantry_objects::{Binding, DeleteOptions, Patch, Subresource, WriteOptions};
use serde_json::{Value, json};

use crate::support::{World, by, managed, pod, status_write, web, write};

#[tokio::test]
async fn an_update_must_be_of_the_newest_object() {
    let world = World::new().await;
    let first = world.create("deployments", web("w")).await.unwrap().record.value();
    let mut second = first.clone();
    second["spec"]["replicas"] = json!(4);
    let second = world.update("deployments", second, &write()).await.unwrap().record.value();
    assert_eq!(second["metadata"]["generation"], 2);
    let stale = world.update("deployments", first.clone(), &write()).await.unwrap_err();
    assert_eq!(stale.reason.code(), 409);
    assert!(
        stale
            .message
            .starts_with("Operation cannot be fulfilled on deployments.apps \"w\": the object has been modified")
    );
    let mut bare = first;
    bare["metadata"].as_object_mut().unwrap().remove("resourceVersion");
    let third = world.update("deployments", bare, &write()).await.unwrap().record.value();
    assert_eq!(third["spec"]["replicas"], 3);
    let mut other = third;
    other["metadata"]["uid"] = json!("other");
    assert_eq!(world.update("deployments", other, &write()).await.unwrap_err().reason.code(), 409);
}

#[tokio::test]
async fn what_changes_nothing_is_not_written() {
    let world = World::new().await;
    let object = world.create("deployments", web("w")).await.unwrap().record.value();
    let same = world.update("deployments", object.clone(), &by("somebody")).await.unwrap().record.value();
    assert_eq!(same, object);
    let same = world.patch("deployments", "w", Patch::Merge(json!({"spec": {"replicas": 3}})), &by("x")).await.unwrap();
    assert_eq!(same, object);
    // What the server fills in and a writer leaves out is no change either.
    let mut sparse = web("w");
    sparse["metadata"]["resourceVersion"] = object["metadata"]["resourceVersion"].clone();
    let same = world.update("deployments", sparse, &by("x")).await.unwrap().record.value();
    assert_eq!(same["metadata"]["resourceVersion"], object["metadata"]["resourceVersion"]);
}

#[tokio::test]
async fn status_and_the_rest_have_ways_of_their_own() {
    let world = World::new().await;
    let mut object = world.create("deployments", web("w")).await.unwrap().record.value();
    object["status"] = json!({"replicas": 2, "observedGeneration": 1});
    object["spec"]["replicas"] = json!(9);
    let with_status = world.update("deployments", object.clone(), &status_write()).await.unwrap().record.value();
    assert_eq!((&with_status["status"]["replicas"], &with_status["spec"]["replicas"]), (&json!(2), &json!(3)));
    assert_eq!(with_status["metadata"]["generation"], 1);
    let entry = managed(&with_status, "agent");
    assert_eq!(entry[0]["subresource"], "status");
    assert!(entry[0]["fieldsV1"]["f:status"].get("f:replicas").is_some(), "{entry:?}");

    let mut next = with_status;
    next["spec"]["replicas"] = json!(5);
    next["status"] = json!({"replicas": 100});
    let next = world.update("deployments", next, &write()).await.unwrap().record.value();
    assert_eq!((&next["status"]["replicas"], &next["spec"]["replicas"]), (&json!(2), &json!(5)));
    assert_eq!(next["metadata"]["generation"], 2);
    let wrong = json!({"metadata": {"name": "w"}, "status": {"replicas": "two"}});
    let error = world.update("deployments", wrong, &status_write()).await.unwrap_err();
    assert_eq!((error.reason.code(), error.causes[0].field.as_str()), (422, "status.replicas"));
}

#[tokio::test]
async fn the_four_patches() {
    let world = World::new().await;
    world.create("deployments", web("w")).await.unwrap();
    let json_patch = json!([{"op": "replace", "path": "/spec/replicas", "value": 1}]);
    let object = world.patch("deployments", "w", Patch::Json(json_patch), &write()).await.unwrap();
    assert_eq!(object["spec"]["replicas"], 1);
    let failing = json!([{"op": "test", "path": "/spec/replicas", "value": 2}]);
    assert_eq!(world.patch("deployments", "w", Patch::Json(failing), &write()).await.unwrap_err().reason.code(), 422);

    let strategic = json!({"spec": {"template": {"spec": {
        "$setElementOrder/containers": [{"name": "side"}, {"name": "c"}],
        "containers": [{"name": "c", "image": "i:2"}, {"name": "side", "image": "s:1"}]}}}});
    let object = world.patch("deployments", "w", Patch::Strategic(strategic), &write()).await.unwrap();
    let containers = object["spec"]["template"]["spec"]["containers"].as_array().unwrap();
    let names: Vec<&Value> = containers.iter().map(|c| &c["name"]).collect();
    assert_eq!((names, &containers[1]["image"]), (vec![&json!("side"), &json!("c")], &json!("i:2")));
    assert_eq!(containers[1]["env"], json!([{"name": "A", "value": "1"}]));

    let strategic = json!({"spec": {"template": {"spec": {"containers": [{"name": "side", "$patch": "delete"}]}}}});
    let object = world.patch("deployments", "w", Patch::Strategic(strategic), &write()).await.unwrap();
    assert_eq!(object["spec"]["template"]["spec"]["containers"].as_array().unwrap().len(), 1);

    let strategic = json!({"spec": {"strategy": {"$retainKeys": ["type"], "type": "Recreate"}}});
    let object = world.patch("deployments", "w", Patch::Strategic(strategic), &write()).await.unwrap();
    assert_eq!(object["spec"]["strategy"], json!({"type": "Recreate"}));

    let merge = json!({"metadata": {"labels": {"app": null, "new": "x"}}});
    let object = world.patch("deployments", "w", Patch::Merge(merge), &write()).await.unwrap();
    assert_eq!(object["metadata"]["labels"], json!({"new": "x"}));
    let stale = json!({"metadata": {"resourceVersion": "1"}, "spec": {"replicas": 7}});
    assert_eq!(world.patch("deployments", "w", Patch::Merge(stale), &write()).await.unwrap_err().reason.code(), 409);
    let renamed = json!({"metadata": {"name": "v"}});
    assert_eq!(world.patch("deployments", "w", Patch::Merge(renamed), &write()).await.unwrap_err().reason.code(), 400);
    assert_eq!(
        world.patch("deployments", "none", Patch::Merge(json!({})), &write()).await.unwrap_err().reason.code(),
        404
    );
}

#[tokio::test]
async fn patches_of_many_writers_all_arrive() {
    let world = World::new().await;
    world.create("configmaps", json!({"metadata": {"name": "m"}})).await.unwrap();
    let kind = world.kind("configmaps");
    let writers = (0..8).map(|n| {
        let (objects, kind) = (world.objects.clone(), kind.clone());
        tokio::spawn(async move {
            let patch = Patch::Merge(json!({"data": {format!("k{n}"): "v"}}));
            objects.patch(&kind, "a", "m", patch, &by("w")).await.unwrap();
        })
    });
    futures::future::join_all(writers).await.into_iter().for_each(|r| r.unwrap());
    assert_eq!(world.get("configmaps", "m").unwrap()["data"].as_object().unwrap().len(), 8);
}

/// Scales and statuses too.
#[tokio::test]
async fn patches_of_subresources_all_arrive() {
    let world = World::new().await;
    world.create("deployments", web("w")).await.unwrap();
    let kind = world.kind("deployments");
    // Fewer than a patch is tried: each round one of them arrives.
    let writers = (1..=4).flat_map(|n| {
        [
            (Subresource::Scale, json!({"spec": {"replicas": n}})),
            (Subresource::Status, json!({"status": {"replicas": n}})),
        ]
    });
    let writers = writers.map(|(subresource, patch)| {
        let (objects, kind) = (world.objects.clone(), kind.clone());
        tokio::spawn(async move {
            let options = WriteOptions { subresource, ..by("w") };
            objects.patch(&kind, "a", "w", Patch::Merge(patch), &options).await.unwrap();
        })
    });
    futures::future::join_all(writers).await.into_iter().for_each(|r| r.unwrap());
    // One that names what it is about is for that and for nothing else.
    let scale = WriteOptions { subresource: Subresource::Scale, ..by("w") };
    let stale = Patch::Merge(json!({"metadata": {"resourceVersion": "1"}, "spec": {"replicas": 3}}));
    assert_eq!(world.patch("deployments", "w", stale, &scale).await.unwrap_err().reason.code(), 409);
}

#[tokio::test]
async fn what_is_wrong_is_said_once() {
    let world = World::new().await;
    let mut object = world.create("configmaps", json!({"metadata": {"name": "m", "finalizers": ["x.io/a"]}})).await;
    let mut object = object.as_mut().unwrap().record.value();
    object["metadata"]["creationTimestamp"] = json!("2020-01-01T00:00:00Z");
    let refused = world.update("configmaps", object, &write()).await.unwrap_err();
    assert_eq!(refused.causes.iter().map(|c| c.field.as_str()).collect::<Vec<_>>(), ["metadata.creationTimestamp"]);
    let ends = Patch::Merge(json!({"metadata": {"deletionTimestamp": "2020-01-01T00:00:00Z"}}));
    let refused = world.patch("configmaps", "m", ends, &write()).await.unwrap_err();
    assert_eq!(refused.causes.iter().map(|c| c.field.as_str()).collect::<Vec<_>>(), ["metadata.deletionTimestamp"]);
    world.delete("configmaps", "m", &DeleteOptions::default()).await.unwrap();
    let more = Patch::Merge(json!({"metadata": {"finalizers": ["x.io/a", "x.io/b"]}}));
    let refused = world.patch("configmaps", "m", more, &write()).await.unwrap_err();
    assert_eq!(refused.causes.len(), 1, "{:?}", refused.causes);
    let refused = world.create("configmaps", json!({"metadata": {}})).await.unwrap_err();
    assert_eq!(refused.causes.iter().map(|c| c.field.as_str()).collect::<Vec<_>>(), ["metadata.name"]);
}

/// The node of a pod is said at its creation, or by a binding.
#[tokio::test]
async fn no_update_puts_a_pod_on_a_node() {
    let world = World::new().await;
    world.create("pods", pod("p")).await.unwrap();
    let on = |node: &str| Patch::Merge(json!({"spec": {"nodeName": node}}));
    for attempt in ["before it is bound", "after"] {
        let refused = world.patch("pods", "p", on("n2"), &write()).await.unwrap_err();
        assert_eq!((refused.reason.code(), refused.causes.len()), (422, 1), "{attempt}: {refused}");
        assert!(refused.message.contains("changed: spec.nodeName"), "{refused}");
        let binding = Binding { namespace: "a", name: "p", node: "n1", ..Binding::default() };
        let _ = world.objects.bind(&binding).await;
    }
    let none = Patch::Merge(json!({"spec": {"nodeName": null}}));
    assert_eq!(world.patch("pods", "p", none, &write()).await.unwrap_err().reason.code(), 422);
    let mut placed = pod("q");
    placed["spec"]["nodeName"] = json!("n2");
    assert_eq!(world.create("pods", placed).await.unwrap().record.field("spec.nodeName"), "n2");
}

#[tokio::test]
async fn scaling_touches_replicas_only() {
    let world = World::new().await;
    world.create("deployments", web("w")).await.unwrap();
    let scale = WriteOptions { subresource: Subresource::Scale, ..by("kubectl-scale") };
    let object = world.patch("deployments", "w", Patch::Merge(json!({"spec": {"replicas": 8}})), &scale).await.unwrap();
    assert_eq!((&object["spec"]["replicas"], &object["metadata"]["generation"]), (&json!(8), &json!(2)));
    assert_eq!(managed(&object, "kubectl-scale")[0]["subresource"], "scale");
    let kind = world.kind("deployments");
    let mut as_scale = gantry_objects::scale_of(&kind, &object).unwrap();
    assert_eq!(as_scale["status"]["selector"], "app=w");
    as_scale["spec"]["replicas"] = json!(2);
    let object = world.update("deployments", as_scale.clone(), &scale).await.unwrap().record.value();
    assert_eq!(object["spec"]["replicas"], 2);
    assert_eq!(world.update("deployments", as_scale, &scale).await.unwrap_err().reason.code(), 409);
    let negative = Patch::Merge(json!({"spec": {"replicas": -1}}));
    assert_eq!(world.patch("deployments", "w", negative, &scale).await.unwrap_err().reason.code(), 422);
}

#[tokio::test]
async fn a_pod_is_bound_once() {
    let world = World::new().await;
    let pod = world.create("pods", pod("p")).await.unwrap().record;
    let binding = Binding { namespace: "a", name: "p", uid: Some(&pod.meta.uid), node: "n1", ..Binding::default() };
    let stale = Binding { revision: Some(pod.revision + 1), ..binding };
    assert_eq!(world.objects.bind(&stale).await.unwrap_err().reason.code(), 409);
    let other = Binding { uid: Some("other"), ..binding };
    assert_eq!(world.objects.bind(&other).await.unwrap_err().reason.code(), 409);
    let bound = world.objects.bind(&binding).await.unwrap();
    assert_eq!(bound.field("spec.nodeName"), "n1");
    assert_eq!(bound.value()["status"]["conditions"][0]["type"], "PodScheduled");
    let again = world.objects.bind(&binding).await.unwrap_err();
    assert!(again.message.ends_with("pod p is already assigned to node \"n1\""), "{}", again.message);
}

#[tokio::test]
async fn ownership_follows_the_last_writer_and_is_bounded() {
    let world = World::new().await;
    world
        .create_with("configmaps", json!({"metadata": {"name": "m"}, "data": {"a": "1", "b": "1"}}), &by("one"))
        .await
        .unwrap();
    let object = world.patch("configmaps", "m", Patch::Merge(json!({"data": {"a": "2"}})), &by("two")).await.unwrap();
    assert_eq!(managed(&object, "two")[0]["fieldsV1"], json!({"f:data": {"f:a": {}}}));
    assert_eq!(managed(&object, "one")[0]["fieldsV1"], json!({"f:data": {".": {}, "f:b": {}}}));
    let object =
        world.patch("configmaps", "m", Patch::Merge(json!({"data": {"a": null}})), &by("three")).await.unwrap();
    assert!(managed(&object, "two").is_empty() && managed(&object, "three").is_empty(), "{object}");
    for n in 0..15 {
        let patch = Patch::Merge(json!({"data": {format!("k{n}"): "v"}}));
        world.patch("configmaps", "m", patch, &by(&format!("writer-{n}"))).await.unwrap();
    }
    let object = world.get("configmaps", "m").unwrap();
    assert_eq!(object["metadata"]["managedFields"].as_array().unwrap().len(), 10);
    assert_eq!(managed(&object, "ancient-changes").len(), 1);
    let reset = Patch::Merge(json!({"metadata": {"managedFields": [{}]}}));
    let object = world.patch("configmaps", "m", reset, &by("x")).await.unwrap();
    assert!(object["metadata"].get("managedFields").is_none(), "{object}");
}
