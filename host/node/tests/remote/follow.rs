//! What a node is told, whatever happens to its connection.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use gantry_node::cluster::{Cluster, PodEvent, PodFeed, Source};
use rand::{Rng, SeedableRng};
use serde_json::{Value, json};
use tokio::sync::watch;

use crate::world::{NODE, World, until};

/// The pods of the node as its feed tells of them, and how often it began anew.
#[derive(Default)]
struct Mirror {
    pods: BTreeMap<String, Value>,
    snapshots: usize,
}

impl Mirror {
    fn follow(mut feed: Box<dyn PodFeed>) -> Arc<Mutex<Self>> {
        let mirror = Arc::new(Mutex::new(Self::default()));
        let weak = Arc::downgrade(&mirror);
        tokio::spawn(async move {
            loop {
                let events = feed.next().await.unwrap();
                let Some(mirror) = weak.upgrade() else { return };
                events.into_iter().for_each(|event| mirror.lock().unwrap().take(event));
            }
        });
        mirror
    }

    fn take(&mut self, event: PodEvent) {
        match event {
            PodEvent::Snapshot(records) => {
                self.snapshots += 1;
                self.pods = records.iter().map(|record| (record.meta.name.clone(), record.value())).collect();
            }
            PodEvent::Applied(record) => {
                assert_eq!(record.field("spec.nodeName"), NODE);
                self.pods.insert(record.meta.name.clone(), record.value());
            }
            PodEvent::Gone(record) => {
                self.pods.remove(&record.meta.name).expect("it was never told of");
            }
        }
    }
}

fn names(mirror: &Mutex<Mirror>) -> Vec<String> {
    mirror.lock().unwrap().pods.keys().cloned().collect()
}

/// What the server has.
fn truth(world: &World) -> BTreeMap<String, Value> {
    let kind = world.objects.kinds().by_kind("", "Pod").unwrap();
    let all = world.objects.list(&kind, &Default::default()).unwrap().items;
    let own = all.iter().filter(|record| record.field("spec.nodeName") == NODE);
    own.map(|record| (record.meta.name.clone(), record.value())).collect()
}

#[tokio::test]
async fn only_pods_of_the_node_are_told_of_whole() {
    let world = World::start(1000).await;
    for number in 0..600 {
        // More than a page.
        world.pod(&format!("here-{number}")).await;
    }
    world.pod_on("there", "n2").await;
    let mirror = Mirror::follow(world.remote().pods(Some(NODE)));
    until("600 pods", || names(&mirror).len() == 600).await;
    world.pod_on("there-too", "n2").await;
    world.pod("last").await;
    until("the last pod", || names(&mirror).len() == 601).await;
    assert_eq!(mirror.lock().unwrap().pods, truth(&world));
    assert_eq!(mirror.lock().unwrap().snapshots, 1);
}

#[tokio::test]
async fn broken_connections_lose_nothing() {
    let world = World::start(100_000).await;
    world.pod("first").await;
    let mirror = Mirror::follow(world.remote().pods(Some(NODE)));
    until("the first pod", || names(&mirror) == ["first"]).await;
    let seed = rand::random();
    println!("seed {seed}");
    let mut random = rand::rngs::StdRng::seed_from_u64(seed);
    let mut alive: Vec<String> = Vec::new();
    for number in 0..400 {
        match random.random_range(0..10) {
            0..5 => {
                let name = format!("p{number}");
                world.pod(&name).await;
                alive.push(name);
            }
            5..8 if !alive.is_empty() => {
                let name = &alive[random.random_range(0..alive.len())];
                world.merge("Pod", name, json!({"metadata": {"labels": {"step": number.to_string()}}})).await;
            }
            8 if !alive.is_empty() => {
                let name = alive.swap_remove(random.random_range(0..alive.len()));
                world.delete("Pod", &name).await;
            }
            _ => world.door.slam(),
        }
    }
    until("everything", || mirror.lock().unwrap().pods == truth(&world)).await;
    assert_eq!(mirror.lock().unwrap().snapshots, 1, "it should have gone on where it broke off");
}

#[tokio::test]
async fn a_gap_is_closed_by_a_new_list() {
    let world = World::start(8).await;
    for name in ["goes", "stays", "changes"] {
        world.pod(name).await;
    }
    let mirror = Mirror::follow(world.remote().pods(Some(NODE)));
    until("three pods", || names(&mirror).len() == 3).await;
    world.door.shut();
    world.delete("Pod", "goes").await;
    for number in 0..40 {
        world.merge("Pod", "changes", json!({"metadata": {"labels": {"step": number.to_string()}}})).await;
    }
    world.pod("new").await;
    assert_eq!(names(&mirror).len(), 3, "the door is shut");
    world.door.open();
    until("a new list", || mirror.lock().unwrap().pods == truth(&world)).await;
    assert_eq!(names(&mirror), ["changes", "new", "stays"]);
    assert!(mirror.lock().unwrap().snapshots >= 2);
    // And it goes on from there.
    world.pod("later").await;
    until("the next pod", || names(&mirror).contains(&"later".to_owned())).await;
}

#[tokio::test]
async fn a_server_that_was_away_is_found_again() {
    let mut world = World::start(1000).await;
    world.pod("before").await;
    let mirror = Mirror::follow(world.remote().pods(Some(NODE)));
    until("a pod", || names(&mirror) == ["before"]).await;
    world.stop_server().await;
    world.pod("meanwhile").await;
    world.delete("Pod", "before").await;
    world.start_server().await;
    until("what happened meanwhile", || names(&mirror) == ["meanwhile"]).await;
    assert_eq!(mirror.lock().unwrap().snapshots, 1);
}

#[tokio::test]
async fn only_wanted_objects_are_followed() {
    let world = World::start(1000).await;
    let config = |name: &str| json!({"metadata": {"name": name}, "data": {"a": "0"}});
    for name in ["one", "two", "other"] {
        world.create("", "ConfigMap", "default", config(name)).await;
    }
    let set = |names: &[&str]| Arc::new(names.iter().map(|name| ("default".to_owned(), (*name).to_owned())).collect());
    let (want, wanted) = watch::channel::<Arc<BTreeSet<(String, String)>>>(set(&["one"]));
    let mut feed = world.remote().changes(Source::ConfigMap, wanted);
    let seen = Arc::new(Mutex::new(Vec::new()));
    let log = seen.clone();
    let task = tokio::spawn(async move {
        loop {
            let changed = feed.next().await.unwrap().unwrap();
            log.lock().unwrap().extend(changed.into_iter().map(|(_, name)| name));
        }
    });
    let count = |name: &str| seen.lock().unwrap().iter().filter(|n| *n == name).count();
    until("the first look at it", || count("one") == 1).await;
    let edit = |name: &'static str| world.merge("ConfigMap", name, json!({"data": {"a": "1"}}));
    edit("other").await;
    edit("one").await;
    until("a change", || count("one") == 2).await;
    // One that is not there yet.
    want.send_replace(set(&["one", "two", "absent"]));
    until("the others", || count("two") == 1 && count("absent") == 1).await;
    world.create("", "ConfigMap", "default", config("absent")).await;
    until("the new one", || count("absent") == 2).await;
    world.door.slam();
    edit("two").await;
    until("a change after a break", || count("two") == 2).await;
    want.send_replace(set(&["two"]));
    // Its end is seen at once, or with the next thing that happens.
    tokio::time::sleep(Duration::from_millis(50)).await;
    edit("one").await;
    world.merge("ConfigMap", "two", json!({"data": {"a": "2"}})).await;
    until("a last change", || count("two") == 3).await;
    assert_eq!((count("one"), count("other")), (2, 0));
    task.abort();
}
