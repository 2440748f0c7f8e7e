//! ECS's rules, one by one.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a failure here is a panic")]

mod support;

use gantry_sdk::json;
use gantry_sdk::scheduler::Delta;
use support::{World, instance, pod, task};

const ZONE: &str = "topology.kubernetes.io/zone";

/// Three instances in two zones, one of them alone in its zone.
fn zones() -> Vec<Delta> {
    [(0, "a"), (1, "a"), (2, "b")].map(|(id, zone)| Delta::NodeSet(instance(id, 4_000, 8_192, &[(ZONE, zone)]))).into()
}

#[test]
fn strategies_count_in_their_order() {
    let spread = json!({"type": "spread", "field": "attribute:ecs.availability-zone"});
    let instances = json!({"type": "spread", "field": "instanceId"});
    let pack = json!({"type": "binpack", "field": "memory"});
    // (strategy, tasks on the three instances after eight)
    let table = [
        (json!([spread, instances]), [2, 2, 4]),
        (json!([spread, pack]), [4, 0, 4]),
        (json!([instances]), [3, 3, 2]),
        (json!([instances, spread]), [3, 2, 3]),
        (json!([pack]), [8, 0, 0]),
    ];
    for (strategy, expected) in table {
        let mut world = World::new(zones());
        world.sync(task(1, json!({"cluster": "c", "group": "g", "strategy": strategy})));
        (0..8).for_each(|_| assert!(world.place(1, &[0, 1, 2]).is_some()));
        assert_eq!(world.on(1, &[0, 1, 2]), expected, "{strategy}");
    }
}

#[test]
fn tasks_are_spread_among_those_of_their_group() {
    let strategy = json!([{"type": "spread", "field": "instanceId"}]);
    let mut world = World::new(zones());
    world.sync(task(1, json!({"cluster": "c", "group": "g", "strategy": strategy})));
    // The next revision of the same group, another group, and a pod of Kubernetes.
    world.sync(pod(2, "200m", "1Mi", Some(json!({"cluster": "c", "group": "g", "strategy": strategy}))));
    world.sync(task(3, json!({"cluster": "c", "group": "other", "strategy": strategy})));
    world.sync(pod(4, "1", "1Gi", None));
    world.assign(0, 1, 1);
    world.assign(1, 2, 1);
    world.assign(2, 3, 9);
    world.assign(2, 4, 2);
    assert_eq!(world.place(1, &[0, 1, 2]), Some(2));
    assert_eq!(world.place(3, &[0, 1, 2]), Some(0));
    // The class that is gone counts no more.
    world.sync(Delta::Assign(gantry_sdk::scheduler::Assignment { node: 1, class: 2, count: -1 }));
    world.sync(Delta::ClassGone(2));
    assert_eq!(world.place(1, &[0, 1, 2]), Some(1));
}

#[test]
fn binpack_sees_what_others_take() {
    let mut world = World::new(zones());
    world.sync(pod(9, "1", "4Gi", None));
    world.assign(1, 9, 1);
    world.sync(task(1, json!({"cluster": "c", "group": "g", "strategy": [{"type": "binpack", "field": "cpu"}]})));
    assert_eq!(world.place(1, &[0, 1, 2]), Some(1), "a pod of Kubernetes has left the least there");
}

#[test]
fn distinct_instances_hold_one_task_of_a_group() {
    let wish = |group: &str| json!({"cluster": "c", "group": group, "constraints": [{"type": "distinctInstance"}]});
    let mut world = World::new(zones());
    world.sync(task(1, wish("g")));
    world.sync(task(2, wish("h")));
    let mut on: Vec<u32> = (0..3).filter_map(|_| world.place(1, &[0, 1, 2])).collect();
    on.sort_unstable();
    assert_eq!(on, [0, 1, 2]);
    assert_eq!(world.place(1, &[0, 1, 2]), None);
    let why = world.why(1, 0).unwrap();
    assert!(why.contains("distinctInstance"), "{why}");
    assert!(world.place(2, &[0, 1, 2]).is_some(), "another group has room");
}

#[test]
fn members_are_chosen_by_attributes_and_by_tasks() {
    let wish = |group: &str, expression: &str| {
        let constraint = json!({"type": "memberOf", "expression": expression});
        json!({"cluster": "c", "group": group, "constraints": [constraint], "strategy": [{"type": "binpack", "field": "cpu"}]})
    };
    let mut world = World::new(zones());
    world.sync(task(1, wish("g", "attribute:ecs.availability-zone == b")));
    world.sync(task(2, wish("near", "task:group == g")));
    world.sync(task(3, wish("far", "not(task:group == g) and runningTasksCount == 0")));
    world.sync(task(4, json!({"cluster": "other", "group": "g"})));
    world.assign(0, 4, 1);
    let why = "node(s) didn't satisfy the placement constraint memberOf";
    assert_eq!(world.why(2, 2).unwrap(), why, "the group of another cluster is another one");
    assert_eq!(world.place(1, &[0, 1, 2]), Some(2));
    assert_eq!(world.why(1, 0).unwrap(), why);
    assert_eq!(world.place(2, &[0, 1, 2]), Some(2));
    assert_eq!(world.place(3, &[0, 1, 2]), Some(0));
    assert_eq!(world.place(3, &[0, 1, 2]), Some(1), "the one with a task is none without");
    assert_eq!(world.place(3, &[0, 1, 2]), None);
    // An instance that moves to another zone is another one.
    world.sync(Delta::NodeSet(instance(1, 4_000, 8_192, &[(ZONE, "b")])));
    world.sync(Delta::NodeGone(2));
    assert_eq!(world.place(1, &[0, 1]), Some(1));
}

#[test]
fn room_and_cordons_come_first() {
    let mut world = World::new([
        Delta::NodeSet(instance(0, 100, 8_192, &[])),
        Delta::NodeSet(gantry_sdk::scheduler::Node { unschedulable: true, ..instance(1, 4_000, 8_192, &[]) }),
    ]);
    world.sync(pod(1, "200m", "64Mi", Some(json!({"cluster": "c", "group": "g"}))));
    assert_eq!(world.why(1, 0).unwrap(), "Insufficient cpu");
    assert_eq!(world.why(1, 1).unwrap(), "node(s) were unschedulable");
}

#[test]
fn what_cant_be_read_is_refused_with_the_reason_and_counted_where_it_is() {
    let mut world = World::new([Delta::NodeSet(instance(0, 1_000, 8_192, &[]))]);
    for (id, placement, want) in [
        (1, json!(7), "annotation scheduling.ecs.gantry.dev/placement"),
        (2, json!({"strategy": [{"type": "spread", "field": "cpu"}]}), "\"cpu\" is not valid"),
        (3, json!({"constraints": [{"type": "near"}]}), "\"near\" is not one of"),
    ] {
        world.sync(pod(id, "300m", "1Mi", Some(placement)));
        let why = world.why(id, 0).unwrap();
        assert!(why.contains(want), "{why:?} does not say {want:?}");
        world.assign(0, id, 1);
    }
    world.sync(pod(9, "200m", "1Mi", None));
    assert_eq!(world.why(9, 0).unwrap(), "Insufficient cpu");
}

#[test]
fn random_places_are_even_and_come_again() {
    let nodes: Vec<u32> = (0..4).collect();
    let run = |seed: u64| {
        let all = nodes.iter().map(|id| Delta::NodeSet(instance(*id, 400_000, 1 << 20, &[])));
        let mut world = World::seeded(seed, all.collect::<Vec<_>>());
        world.sync(pod(1, "1m", "1Mi", Some(json!({"cluster": "c", "group": "g"}))));
        (0..100).filter_map(|_| world.place(1, &nodes)).collect::<Vec<_>>()
    };
    let first = run(1);
    assert_eq!(first, run(1), "the same seed, the same places");
    assert_ne!(first, run(2));
    for node in &nodes {
        let times = first.iter().filter(|n| *n == node).count();
        assert!((10..=40).contains(&times), "{times} of 100 on {node}");
    }
}
