use std::collections::BTreeSet;

use gantry_model::{Kinds, core};
use gantry_store::Sled;

use super::*;

fn options(cluster: &str, prefix: u8) -> Options {
    Options {
        clusters: vec![cluster.parse().unwrap()],
        prefixes: (prefix, 64),
        reserved: vec!["10.96.0.0/16".parse().unwrap()],
    }
}

fn objects() -> Objects {
    let kinds = Kinds::default();
    core::register(&kinds);
    Objects::new(Arc::new(Sled::temporary().unwrap()), kinds)
}

struct World {
    objects: Objects,
    tasks: tokio::task::JoinSet<()>,
}

impl World {
    fn start(objects: Objects, options: &Options) -> Self {
        let ranges = Ranges::new(options, &objects).unwrap();
        objects.reviewed_by(vec![Arc::new(Review::new(ranges.clone()))]);
        let (recorder, events) = recorder::recorder(&objects);
        let mut tasks = tokio::task::JoinSet::new();
        tasks.spawn(events);
        tasks.spawn(run(objects.clone(), recorder, ranges));
        Self { objects, tasks }
    }

    async fn create(&self, name: &str, spec: Value) -> Result<(), Status> {
        let kind = self.objects.kinds().by_kind("", "Node").unwrap();
        let node = json!({"apiVersion": "v1", "kind": "Node", "metadata": {"name": name}, "spec": spec});
        self.objects.create(&kind, "", node, &WriteOptions::default()).await.map(drop)
    }

    fn range(&self, name: &str) -> String {
        let kind = self.objects.kinds().by_kind("", "Node").unwrap();
        let node = self.objects.get(&kind, "", name).unwrap().value();
        texts(&node).first().map(|text| (*text).to_owned()).unwrap_or_default()
    }

    async fn given(&self, name: &str) -> String {
        let given = async {
            while self.range(name).is_empty() {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
            self.range(name)
        };
        tokio::time::timeout(Duration::from_secs(20), given).await.expect("no range was given")
    }
}

#[tokio::test]
async fn every_node_has_a_range_of_its_own_also_after_a_restart() {
    let objects = objects();
    let options = options("10.64.0.0/16", 24);
    let mut world = World::start(objects.clone(), &options);
    world.create("own", json!({"podCIDR": "10.64.2.0/24", "podCIDRs": ["10.64.2.0/24"]})).await.unwrap();
    for name in ["n0", "n1", "n2", "n3"] {
        world.create(name, json!({})).await.unwrap();
        world.given(name).await;
    }
    world.tasks.shutdown().await;
    // One that came while nobody gave any.
    world.create("n4", json!({})).await.unwrap();
    let world = World::start(objects, &options);
    world.given("n4").await;
    let all: BTreeSet<String> = ["own", "n0", "n1", "n2", "n3", "n4"].iter().map(|name| world.range(name)).collect();
    assert_eq!(all.len(), 6, "{all:?}");
}

#[tokio::test]
async fn overlaps_are_refused_at_the_object() {
    let world = World::start(objects(), &options("10.64.0.0/16", 24));
    world.create("a", json!({})).await.unwrap();
    assert_eq!(world.given("a").await, "10.64.0.0/24");
    for (range, want) in [
        ("10.64.0.128/25", "overlaps 10.64.0.0/24 of node \"a\""),
        ("10.96.1.0/24", "which is for Services"),
        ("10.64.7.1/24", "must begin where the range begins: 10.64.7.0/24"),
        ("nonsense", "CIDR notation"),
    ] {
        let error = world.create("b", json!({"podCIDR": range, "podCIDRs": [range]})).await.unwrap_err();
        assert!(error.message.contains(want), "{range}: {error}");
    }
    world.create("b", json!({"podCIDR": "10.65.0.0/24", "podCIDRs": ["10.65.0.0/24"]})).await.unwrap();
}

#[test]
fn options_that_can_not_be_are_refused() {
    let objects = objects();
    for (cluster, prefix, want) in [
        ("10.64.0.0/16", 8, "between 16 and 30"),
        ("10.64.0.0/16", 31, "between 16 and 30"),
        ("10.64.1.0/16", 24, "10.64.0.0/16"),
        ("10.0.0.0/8", 24, "overlaps 10.96.0.0/16"),
    ] {
        let error = Ranges::new(&options(cluster, prefix), &objects).err().unwrap().to_string();
        assert!(error.contains(want), "{cluster}: {error}");
    }
}
