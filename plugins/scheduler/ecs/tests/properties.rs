//! Properties over random fleets: nothing is overcommitted, spread stays within one where all fit, binpack opens an
//! instance only when no other has room, distinct instances are distinct, and history does not matter.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a failure here is a panic")]

mod support;

use std::collections::BTreeMap;

use gantry_sdk::json;
use gantry_sdk::scheduler::{Assignment, Delta, Verdict};
use gantry_sdk::{Scheduler, Value};
use proptest::prelude::*;
use support::{World, instance, pod};

fn fleet(sizes: &[(u64, u8)]) -> (Vec<Delta>, Vec<u32>) {
    let zone = |zone: u8| format!("z{zone}");
    let node = |(id, (cpu, z)): (usize, &(u64, u8))| {
        Delta::NodeSet(instance(id as u32, *cpu, 1 << 20, &[("topology.kubernetes.io/zone", &zone(*z))]))
    };
    (sizes.iter().enumerate().map(node).collect(), (0..sizes.len() as u32).collect())
}

fn wish(strategy: Value, distinct: bool) -> Value {
    let constraints = if distinct { json!([{"type": "distinctInstance"}]) } else { json!([]) };
    json!({"cluster": "c", "group": "g", "strategy": strategy, "constraints": constraints})
}

fn strategies() -> impl Strategy<Value = Value> {
    let one = prop_oneof![
        Just(json!({"type": "random"})),
        Just(json!({"type": "spread", "field": "instanceId"})),
        Just(json!({"type": "spread", "field": "attribute:ecs.availability-zone"})),
        Just(json!({"type": "binpack", "field": "cpu"})),
        Just(json!({"type": "binpack", "field": "memory"})),
    ];
    proptest::collection::vec(one, 0..4).prop_map(Value::Array)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn spread_stays_within_one(zones in proptest::collection::vec(0..3_u8, 1..9), tasks in 0..60_usize) {
        let sizes: Vec<_> = zones.iter().map(|zone| (100_000, *zone)).collect();
        let (deltas, nodes) = fleet(&sizes);
        for field in ["instanceId", "attribute:ecs.availability-zone"] {
            let mut world = World::new(deltas.clone());
            world.sync(pod(1, "1m", "1Mi", Some(wish(json!([{"type": "spread", "field": field}]), false))));
            for _ in 0..tasks {
                prop_assert!(world.place(1, &nodes).is_some());
                let on = world.on(1, &nodes);
                let mut counts = BTreeMap::<String, u32>::new();
                for (node, tasks) in nodes.iter().zip(on) {
                    let key = if field == "instanceId" { node.to_string() } else { zones[*node as usize].to_string() };
                    *counts.entry(key).or_default() += tasks;
                }
                prop_assert!(counts.values().max().unwrap() - counts.values().min().unwrap() <= 1, "{:?}", counts);
            }
        }
    }

    #[test]
    fn binpack_fills(sizes in proptest::collection::vec((0..1_000_u64, 0..3_u8), 1..8), tasks in 0..40_usize) {
        let (deltas, nodes) = fleet(&sizes);
        let mut world = World::new(deltas);
        world.sync(pod(1, "100m", "1Mi", Some(wish(json!([{"type": "binpack", "field": "cpu"}]), false))));
        for _ in 0..tasks {
            let before = world.on(1, &nodes);
            let left = |node: u32| sizes[node as usize].0 - 100 * u64::from(before[node as usize]);
            let least = nodes.iter().map(|node| left(*node)).filter(|left| *left >= 100).min();
            let chosen = world.place(1, &nodes);
            prop_assert_eq!(chosen.map(left), least, "the one with the least room that is enough");
        }
    }

    #[test]
    fn nothing_is_overcommitted_and_history_does_not_matter(
        sizes in proptest::collection::vec((0..1_000_u64, 0..3_u8), 1..8),
        wishes in proptest::collection::vec((strategies(), any::<bool>(), 50..300_u64), 1..4),
        steps in proptest::collection::vec((any::<prop::sample::Index>(), any::<bool>()), 0..40),
    ) {
        let (deltas, nodes) = fleet(&sizes);
        let classes: Vec<Delta> = (0..).zip(&wishes).map(|(id, (strategy, distinct, cpu))| {
            pod(id, &format!("{cpu}m"), "1Mi", Some(wish(strategy.clone(), *distinct)))
        }).collect();
        let all: Vec<Delta> = deltas.into_iter().chain(classes).collect();
        let mut live = World::new(all.clone());
        for (pick, leave) in steps {
            let class = pick.index(wishes.len()) as u32;
            let somewhere = live.placed.iter().find(|((_, of), count)| *of == class && **count > 0).map(|(at, _)| *at);
            match (leave, somewhere) {
                (true, Some((node, class))) => live.assign(node, class, -1),
                _ => {
                    let group = |world: &World, node: u32| world.placed.iter().filter(|((on, _), _)| *on == node).map(|(_, n)| n).sum::<u32>();
                    let before: Vec<u32> = nodes.iter().map(|node| group(&live, *node)).collect();
                    if let Some(node) = live.place(class, &nodes) {
                        prop_assert!(!wishes[class as usize].1 || before[node as usize] == 0, "distinct");
                    }
                }
            }
        }
        for (node, (cpu, _)) in nodes.iter().zip(&sizes) {
            let used: u64 = live.placed.iter().filter(|((on, _), _)| on == node)
                .map(|((_, class), count)| wishes[*class as usize].2 * u64::from(*count)).sum();
            prop_assert!(used <= *cpu);
        }
        let placed = live.placed.iter().filter(|(_, count)| **count > 0);
        let assigned = placed.map(|((node, class), count)| Delta::Assign(Assignment { node: *node, class: *class, count: *count as i32 }));
        let mut told = World::new(all.into_iter().chain(assigned));
        for class in 0..wishes.len() as u32 {
            prop_assert_eq!(verdicts(&mut live, class), verdicts(&mut told, class));
        }
    }
}

fn verdicts(world: &mut World, class: u32) -> Vec<Result<u32, Vec<String>>> {
    let all = world.policy.evaluate(class, &[]).unwrap();
    all.into_iter()
        .map(|verdict| match verdict {
            Verdict::Score(score) => Ok(score),
            Verdict::Infeasible(code) => Err(world.policy.reasons(code)),
        })
        .collect()
}
