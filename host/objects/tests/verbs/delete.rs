use gantry_objects::{Binding, DeleteOptions, Patch, Preconditions, Propagation};
use serde_json::json;

use crate::support::{World, pod, write};

fn grace(seconds: i64) -> DeleteOptions {
    DeleteOptions { grace_seconds: Some(seconds), ..DeleteOptions::default() }
}

#[tokio::test]
async fn preconditions_must_hold() {
    let world = World::new().await;
    let record = world.create("configmaps", json!({"metadata": {"name": "m"}})).await.unwrap().record;
    let wrong = |uid: Option<&str>, version: Option<&str>| DeleteOptions {
        preconditions: Preconditions { uid: uid.map(Into::into), resource_version: version.map(Into::into) },
        ..DeleteOptions::default()
    };
    for options in [wrong(Some("x"), None), wrong(None, Some("1"))] {
        assert_eq!(world.delete("configmaps", "m", &options).await.unwrap_err().reason.code(), 409);
    }
    let right = wrong(Some(&record.meta.uid), Some(&record.revision.to_string()));
    let dry = DeleteOptions { dry_run: true, ..right.clone() };
    world.delete("configmaps", "m", &dry).await.unwrap();
    assert!(world.delete("configmaps", "m", &right).await.unwrap().removed);
    assert_eq!(world.delete("configmaps", "m", &right).await.unwrap_err().reason.code(), 404);
}

#[tokio::test]
async fn pods_on_nodes_get_time_which_only_gets_shorter() {
    let world = World::new().await;
    world.create("pods", pod("idle")).await.unwrap();
    assert!(world.delete("pods", "idle", &DeleteOptions::default()).await.unwrap().removed);

    world.create("pods", pod("p")).await.unwrap();
    let binding = Binding { namespace: "a", name: "p", uid: None, revision: None, node: "n", ..Binding::default() };
    world.objects.bind(&binding).await.unwrap();
    let marked = world.delete("pods", "p", &DeleteOptions::default()).await.unwrap();
    assert!(!marked.removed);
    assert_eq!(marked.record.meta.deletion_grace_period_seconds, Some(30));
    let longer = world.delete("pods", "p", &grace(60)).await.unwrap();
    assert_eq!(longer.record.revision, marked.record.revision);
    let shorter = world.delete("pods", "p", &grace(5)).await.unwrap().record;
    assert_eq!(shorter.meta.deletion_grace_period_seconds, Some(5));
    let time = |record: &gantry_model::Record| {
        record.meta.deletion_timestamp.clone().unwrap().parse::<jiff::Timestamp>().unwrap()
    };
    assert_eq!(time(&marked.record).as_second() - time(&shorter).as_second(), 25);
    assert!(world.delete("pods", "p", &grace(0)).await.unwrap().removed);
    assert_eq!(world.get("pods", "p").unwrap_err().reason.code(), 404);
}

#[tokio::test]
async fn finalizers_hold_an_object_until_the_last_is_gone() {
    let world = World::new().await;
    let object = json!({"metadata": {"name": "m", "finalizers": ["x.io/a", "x.io/b"]}});
    world.create("configmaps", object).await.unwrap();
    let marked = world.delete("configmaps", "m", &DeleteOptions::default()).await.unwrap();
    assert!(!marked.removed && marked.record.meta.deletion_timestamp.is_some());
    let again = world.delete("configmaps", "m", &DeleteOptions::default()).await.unwrap();
    assert_eq!(again.record.revision, marked.record.revision);
    let more = Patch::Merge(json!({"metadata": {"finalizers": ["x.io/a", "x.io/c"]}}));
    assert_eq!(world.patch("configmaps", "m", more, &write()).await.unwrap_err().reason.code(), 422);
    let fewer = Patch::Merge(json!({"metadata": {"finalizers": ["x.io/b"]}}));
    world.patch("configmaps", "m", fewer, &write()).await.unwrap();
    assert!(world.get("configmaps", "m").is_ok());
    let none = Patch::Merge(json!({"metadata": {"finalizers": null}}));
    world.patch("configmaps", "m", none, &write()).await.unwrap();
    assert_eq!(world.get("configmaps", "m").unwrap_err().reason.code(), 404);
}

#[tokio::test]
async fn propagation_is_left_as_a_finalizer() {
    let world = World::new().await;
    for (propagation, finalizer) in [(Propagation::Foreground, "foregroundDeletion"), (Propagation::Orphan, "orphan")] {
        world.create("configmaps", json!({"metadata": {"name": "m"}})).await.unwrap();
        let options = DeleteOptions { propagation: Some(propagation), ..DeleteOptions::default() };
        let marked = world.delete("configmaps", "m", &options).await.unwrap();
        assert_eq!((marked.removed, &marked.record.meta.finalizers[..]), (false, &[finalizer.to_owned()][..]));
        let none = Patch::Json(json!([{"op": "remove", "path": "/metadata/finalizers"}]));
        world.patch("configmaps", "m", none, &write()).await.unwrap();
        assert!(world.get("configmaps", "m").is_err());
    }
}

#[tokio::test]
async fn a_namespace_ends_when_it_is_finalized() {
    let world = World::new().await;
    let marked = world.delete("namespaces", "a", &DeleteOptions::default()).await.unwrap();
    assert!(!marked.removed);
    let namespace = world.get("namespaces", "a").unwrap();
    assert_eq!(namespace["status"]["phase"], "Terminating");
    assert!(namespace["metadata"]["deletionTimestamp"].is_string());
    let finalized = Patch::Merge(json!({"spec": {"finalizers": []}}));
    world.patch("namespaces", "a", finalized, &write()).await.unwrap();
    assert_eq!(world.get("namespaces", "a").unwrap_err().reason.code(), 404);
    world.create("namespaces", json!({"metadata": {"name": "default"}})).await.unwrap();
    let kept = world.delete("namespaces", "default", &DeleteOptions::default()).await.unwrap_err();
    assert_eq!(kept.message, "namespaces \"default\" is forbidden: this namespace may not be deleted");
    let active = Patch::Merge(json!({"spec": {"finalizers": []}}));
    let still = world.patch("namespaces", "default", active, &write()).await.unwrap();
    assert_eq!(still["spec"]["finalizers"], json!(["kubernetes"]));
}

/// The last word counts; a deletion without one leaves it at that.
#[tokio::test]
async fn propagation_can_be_changed_while_the_object_waits() {
    use Propagation::{Background, Foreground, Orphan};
    let world = World::new().await;
    for (own, asked, want) in [
        (&[][..], &[Some(Foreground), Some(Background)][..], None),
        (&[], &[Some(Orphan), Some(Background)], None),
        (&[], &[Some(Foreground), Some(Orphan)], Some(vec!["orphan"])),
        (&[], &[Some(Orphan), Some(Foreground)], Some(vec!["foregroundDeletion"])),
        (&[], &[Some(Foreground), None], Some(vec!["foregroundDeletion"])),
        (&["orphan"], &[None], Some(vec!["orphan"])),
        (&["orphan"], &[Some(Background)], None),
        (&["x.io/a"], &[Some(Foreground), Some(Background)], Some(vec!["x.io/a"])),
        (&["x.io/a"], &[Some(Foreground)], Some(vec!["x.io/a", "foregroundDeletion"])),
    ] {
        world.create("configmaps", json!({"metadata": {"name": "m", "finalizers": own}})).await.unwrap();
        for propagation in asked {
            let options = DeleteOptions { propagation: *propagation, ..DeleteOptions::default() };
            world.delete("configmaps", "m", &options).await.unwrap();
        }
        let left = world.get("configmaps", "m").ok();
        let left = left.map(|object| object["metadata"]["finalizers"].clone());
        assert_eq!(left, want.map(|finalizers| json!(finalizers)), "{own:?} {asked:?}");
        if left.is_some() {
            world
                .patch("configmaps", "m", Patch::Merge(json!({"metadata": {"finalizers": null}})), &write())
                .await
                .unwrap();
        }
    }
}
