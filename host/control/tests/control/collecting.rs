//! Garbage collection by owners, and the end of namespaces.

use std::time::Duration;

use gantry_control::{events, gc, namespaces};
use gantry_objects::Propagation;
use serde_json::{Value, json};

use crate::world::World;

async fn world() -> World {
    let mut world = World::new().await;
    world.tasks.spawn(gc::run(world.objects.clone()));
    world
}

fn owner(kind: &str, name: &str, uid: &str, block: bool) -> Value {
    json!({"apiVersion": "test.dev/v1", "kind": kind, "name": name, "uid": uid, "blockOwnerDeletion": block})
}

fn owned(name: &str, owners: &[Value]) -> Value {
    json!({"metadata": {"name": name, "ownerReferences": owners}})
}

/// A chain of three: `top` owns `middle` owns `leaf`.
async fn chain(world: &World) {
    let top = world.create("things", "a", owned("top", &[])).await;
    let middle = owned("middle", &[owner("Thing", "top", &top.meta.uid, true)]);
    let middle = world.create("things", "a", middle).await;
    let leaf = owned("leaf", &[owner("Thing", "middle", &middle.meta.uid, true)]);
    world.create("configmaps", "a", leaf).await;
}

fn there(world: &World) -> [bool; 3] {
    let has = |plural, name| world.get(plural, "a", name).is_some();
    [has("things", "top"), has("things", "middle"), has("configmaps", "leaf")]
}

#[tokio::test]
async fn events_go_when_they_are_old() {
    let mut world = World::new().await;
    let event = |name: &str, said: &str| {
        let about = json!({"kind": "Thing", "namespace": "a", "name": "x"});
        json!({"metadata": {"name": name}, "involvedObject": about, "lastTimestamp": said, "reason": "R", "type": "Normal"})
    };
    let (long_ago, now) = ("2020-01-01T00:00:00Z", format!("{:.0}", jiff::Timestamp::now()));
    world.create("events", "a", event("old", long_ago)).await;
    world.create("events", "a", event("new", &now)).await;
    world.tasks.spawn(events::run(world.objects.clone(), Duration::from_secs(3600)));
    world.until("the old one is gone", |w| w.get("events", "a", "old").is_none()).await;
    assert!(world.get("events", "a", "new").is_some());
}

#[tokio::test]
async fn a_cascade_goes_down_three_levels() {
    let world = world().await;
    chain(&world).await;
    world.delete_with("things", "a", "top", Propagation::Background).await;
    world.until("all three are gone", |w| there(w) == [false; 3]).await;
}

#[tokio::test]
async fn in_the_foreground_the_leaf_goes_first() {
    let world = world().await;
    chain(&world).await;
    world.merge("configmaps", "a", "leaf", json!({"metadata": {"finalizers": ["test.dev/hold"]}})).await;
    world.delete_with("things", "a", "top", Propagation::Foreground).await;
    let ending = |w: &World| w.get("configmaps", "a", "leaf").unwrap()["metadata"]["deletionTimestamp"].is_string();
    world.until("the leaf is being deleted", ending).await;
    assert_eq!(there(&world), [true; 3], "owners wait for it");
    world.merge("configmaps", "a", "leaf", json!({"metadata": {"finalizers": null}})).await;
    world.until("all three are gone", |w| there(w) == [false; 3]).await;
}

#[tokio::test]
async fn orphans_stay_without_their_owner() {
    let world = world().await;
    chain(&world).await;
    world.delete_with("things", "a", "top", Propagation::Orphan).await;
    world.until("only the owner is gone", |w| there(w) == [false, true, true]).await;
    let middle = world.get("things", "a", "middle").unwrap();
    assert!(middle["metadata"]["ownerReferences"].as_array().is_none_or(Vec::is_empty), "{middle}");
}

#[tokio::test]
async fn who_has_another_owner_stays_and_holds_nobody_up() {
    for propagation in [Propagation::Background, Propagation::Foreground] {
        let world = world().await;
        let one = world.create("things", "a", owned("one", &[])).await;
        let two = world.create("things", "a", owned("two", &[])).await;
        let owners = [owner("Thing", "one", &one.meta.uid, true), owner("Thing", "two", &two.meta.uid, true)];
        world.create("configmaps", "a", owned("c", &owners)).await;
        world.delete_with("things", "a", "one", propagation).await;
        world.until("one is gone", |w| w.get("things", "a", "one").is_none()).await;
        let left = |w: &World| w.get("configmaps", "a", "c").unwrap()["metadata"]["ownerReferences"].clone();
        world.until("its reference is gone", |w| left(w).as_array().is_some_and(|o| o.len() == 1)).await;
        assert_eq!(left(&world)[0]["name"], "two");
        world.delete_with("things", "a", "two", propagation).await;
        world.until("now it goes", |w| w.get("configmaps", "a", "c").is_none()).await;
    }
}

#[tokio::test]
async fn a_dependent_that_is_let_go_holds_its_owner_up_no_more() {
    let world = world().await;
    let top = world.create("things", "a", owned("top", &[])).await;
    let mut held = owned("c", &[owner("Thing", "top", &top.meta.uid, true)]);
    held["metadata"]["finalizers"] = json!(["test.dev/hold"]);
    world.create("configmaps", "a", held).await;
    world.delete_with("things", "a", "top", Propagation::Foreground).await;
    let ending = |w: &World| w.get("configmaps", "a", "c").unwrap()["metadata"]["deletionTimestamp"].is_string();
    world.until("it is being deleted", ending).await;
    world.merge("configmaps", "a", "c", json!({"metadata": {"ownerReferences": null}})).await;
    world.until("the owner is gone", |w| w.get("things", "a", "top").is_none()).await;
}

#[tokio::test]
async fn owners_that_never_were_are_gone_and_those_of_unknown_kinds_are_not() {
    let world = World::new().await;
    let alive = world.create("things", "b", owned("alive", &[])).await;
    let nowhere = |kind: &str| owner(kind, "nobody", &format!("no-such-{kind}"), false);
    world.create("configmaps", "a", owned("absent", &[nowhere("Thing")])).await;
    world.create("configmaps", "a", owned("unknown", &[nowhere("Mystery")])).await;
    world.create("configmaps", "a", owned("both", &[nowhere("Mystery"), nowhere("Thing")])).await;
    world.create("configmaps", "a", owned("elsewhere", &[owner("Thing", "alive", &alive.meta.uid, false)])).await;
    world.create("globals", "", owned("global", &[owner("Thing", "alive", &alive.meta.uid, false)])).await;
    world.create("globals", "", owned("lost", &[nowhere("Global")])).await;
    // The name is there, but it is another object.
    world.create("configmaps", "b", owned("replaced", &[owner("Thing", "alive", "an-older-uid", false)])).await;
    let gc = tokio::spawn(gc::run(world.objects.clone()));
    let gone = |w: &World| {
        w.get("configmaps", "a", "absent").is_none()
            && w.get("configmaps", "a", "elsewhere").is_none()
            && w.get("configmaps", "b", "replaced").is_none()
            && w.get("globals", "", "lost").is_none()
    };
    world.until("what has no owner is gone", gone).await;
    let both = |w: &World| w.get("configmaps", "a", "both").unwrap()["metadata"]["ownerReferences"].clone();
    world.until("what may have one stays", |w| both(w).as_array().unwrap().len() == 1).await;
    assert!(world.get("configmaps", "a", "unknown").is_some() && world.get("globals", "", "global").is_some());
    gc.abort();
}

#[tokio::test]
async fn a_namespace_goes_with_everything_in_it() {
    let mut world = world().await;
    world.tasks.spawn(namespaces::run(world.objects.clone()));
    for n in 0..20 {
        world.create("configmaps", "a", owned(&format!("c{n}"), &[])).await;
        world.create("things", "a", owned(&format!("t{n}"), &[])).await;
    }
    world.create("configmaps", "b", owned("other", &[])).await;
    let mut held = owned("held", &[]);
    held["metadata"]["finalizers"] = json!(["test.dev/hold"]);
    world.create("things", "a", held).await;
    world.delete_with("namespaces", "", "a", Propagation::Background).await;
    let message = |w: &World| {
        let namespace = w.get("namespaces", "", "a").unwrap();
        namespace["status"]["conditions"][0]["message"].as_str().unwrap_or_default().to_owned()
    };
    let waits = "Some resources are remaining: things.test.dev has 1 resource instances";
    world.until("it says what it waits for", |w| message(w) == waits).await;
    assert!(world.get("configmaps", "a", "c0").is_none());
    world.merge("things", "a", "held", json!({"metadata": {"finalizers": null}})).await;
    world.until("it is gone", |w| w.get("namespaces", "", "a").is_none()).await;
    assert!(world.get("configmaps", "b", "other").is_some());
}
