//! Properties over random clusters: nothing is overcommitted; verdicts depend on the state and not on its history;
//! feasibility agrees with a plain reading of the rules.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a failure here is a panic")]

mod support;

use std::collections::BTreeMap;

use gantry_sdk::scheduler::{Delta, Node, Taint, TaintEffect, Verdict};
use gantry_sdk::{Label, Scheduler, Value, json};
use proptest::prelude::*;
use scheduler_kubernetes::Kubernetes;
use support::{assign, class, policy};

/// A class in plain numbers.
#[derive(Clone, Debug)]
struct Kind {
    cpu: u64,
    memory: u64,
    gpu: u64,
    port: u16,
    zone: Option<u8>,
    tolerates: bool,
}

impl Kind {
    fn spec(&self) -> Value {
        let requests = json!({"cpu": format!("{}m", self.cpu), "memory": self.memory, "example.com/gpu": self.gpu});
        let ports = if self.port == 0 { json!([]) } else { json!([{"containerPort": 1, "hostPort": self.port}]) };
        let tolerations = if self.tolerates { json!([{"operator": "Exists"}]) } else { json!([]) };
        let selector = self.zone.map_or(json!({}), |zone| json!({"zone": zone.to_string()}));
        json!({
            "containers": [{"resources": {"requests": requests}, "ports": ports}],
            "tolerations": tolerations,
            "nodeSelector": selector,
        })
    }
}

fn kinds() -> impl Strategy<Value = Vec<Kind>> {
    let kind = (0..3_000_u64, 0..4_000_u64, 0..2_u64, 0..3_u16, proptest::option::of(0..3_u8), any::<bool>())
        .prop_map(|(cpu, memory, gpu, port, zone, tolerates)| Kind { cpu, memory, gpu, port, zone, tolerates });
    proptest::collection::vec(kind, 1..5)
}

fn nodes() -> impl Strategy<Value = Vec<Node>> {
    let parts = (0..8_000_u64, 0..8_000_u64, 0..6_u32, 0..3_u64, 0..3_u8, 0..4_u8);
    proptest::collection::vec(parts, 1..8).prop_map(|all| {
        all.into_iter()
            .enumerate()
            .map(|(id, (cpu, memory, pods, gpu, zone, taint))| {
                let mut node = support::node(id as u32);
                node.allocatable.cpu_milli = cpu;
                node.allocatable.memory = memory;
                node.allocatable.pods = pods;
                node.allocatable.extended = vec![("example.com/gpu".into(), gpu)];
                node.labels.push(Label::new("zone", zone.to_string()));
                if taint == 0 {
                    node.taints =
                        vec![Taint { key: "t".into(), value: String::new(), effect: TaintEffect::NoSchedule }];
                }
                node
            })
            .collect()
    })
}

/// Sums over the pods of a node: cpu, memory, gpu, pods, and pods by port.
fn load(node: u32, placed: &BTreeMap<(u32, u32), i32>, kinds: &[Kind]) -> (u64, u64, u64, u64, BTreeMap<u16, u64>) {
    let mut sums = (0, 0, 0, 0, BTreeMap::new());
    for ((on, class), count) in placed {
        let (kind, count) = (&kinds[*class as usize], *count as u64);
        if *on == node {
            sums.0 += kind.cpu * count;
            sums.1 += kind.memory * count;
            sums.2 += kind.gpu * count;
            sums.3 += count;
            *sums.4.entry(kind.port).or_default() += count;
        }
    }
    sums.4.remove(&0);
    sums
}

/// The rules, read plainly.
fn fits(node: &Node, kind: &Kind, placed: &BTreeMap<(u32, u32), i32>, kinds: &[Kind]) -> bool {
    let (cpu, memory, gpu, pods, ports) = load(node.id, placed, kinds);
    let free = |asked: u64, used: u64, all: u64| asked == 0 || used + asked <= all;
    let zone = node.labels.iter().find(|l| l.key == "zone").map(|l| l.value.clone());
    free(kind.cpu, cpu, node.allocatable.cpu_milli)
        && free(kind.memory, memory, node.allocatable.memory)
        && free(kind.gpu, gpu, node.allocatable.extended[0].1)
        && free(1, pods, u64::from(node.allocatable.pods))
        && !ports.contains_key(&kind.port)
        && (node.taints.is_empty() || kind.tolerates)
        && kind.zone.is_none_or(|wanted| zone == Some(wanted.to_string()))
}

fn everything(nodes: &[Node], kinds: &[Kind], placed: &BTreeMap<(u32, u32), i32>) -> Vec<Delta> {
    let nodes = nodes.iter().cloned().map(Delta::NodeSet);
    let classes = kinds.iter().enumerate().map(|(id, kind)| class(id as u32, &kind.spec()));
    nodes.chain(classes).chain(placed.iter().map(|((node, class), count)| assign(*node, *class, *count))).collect()
}

/// Verdicts of all classes, refusals as texts: codes are each instance's own.
fn verdicts(policy: &mut Kubernetes, classes: usize) -> Vec<Vec<Result<u32, Vec<String>>>> {
    let told = |policy: &mut Kubernetes, verdict: &Verdict| match verdict {
        Verdict::Score(score) => Ok(*score),
        Verdict::Infeasible(code) => Err(policy.reasons(*code)),
    };
    (0..classes)
        .map(|class| {
            let all = policy.evaluate(class as u32, &[]).unwrap();
            all.iter().map(|verdict| told(policy, verdict)).collect()
        })
        .collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(192))]

    /// Pods are placed on the best node, some leave again; at every step feasibility is what the plain rules say, and
    /// in the end the policy that saw it happen answers like one that was told the outcome.
    #[test]
    fn placing_never_overcommits_and_history_does_not_matter(
        nodes in nodes(),
        kinds in kinds(),
        steps in proptest::collection::vec((any::<prop::sample::Index>(), any::<bool>()), 0..40),
    ) {
        let mut placed = BTreeMap::new();
        let mut live = policy(json!({}), everything(&nodes, &kinds, &placed));
        for (pick, leave) in steps {
            let class = pick.index(kinds.len()) as u32;
            let somewhere = placed.keys().find(|(_, placed)| *placed == class).copied();
            if let (true, Some((node, class))) = (leave, somewhere) {
                live.sync(vec![assign(node, class, -1)]).unwrap();
                let count: &mut i32 = placed.get_mut(&(node, class)).unwrap();
                *count -= 1;
                if *count == 0 {
                    placed.remove(&(node, class));
                }
                continue;
            }
            let answers = live.evaluate(class, &[]).unwrap();
            for (node, answer) in nodes.iter().zip(&answers) {
                let expected = fits(node, &kinds[class as usize], &placed, &kinds);
                prop_assert_eq!(matches!(answer, Verdict::Score(_)), expected, "{:?} on {:?}", kinds[class as usize], node);
            }
            let scored = answers.iter().enumerate().filter_map(|(id, v)| match v {
                Verdict::Score(score) => Some((*score, id as u32)),
                Verdict::Infeasible(_) => None,
            });
            if let Some((_, node)) = scored.max() {
                live.sync(vec![assign(node, class, 1)]).unwrap();
                *placed.entry((node, class)).or_default() += 1;
            }
        }
        for node in &nodes {
            let (cpu, memory, gpu, pods, ports) = load(node.id, &placed, &kinds);
            let all = &node.allocatable;
            prop_assert!(cpu <= all.cpu_milli && memory <= all.memory && gpu <= all.extended[0].1);
            prop_assert!(pods <= u64::from(all.pods) && ports.values().all(|pods| *pods == 1));
        }
        let mut told = policy(json!({}), everything(&nodes, &kinds, &placed));
        prop_assert_eq!(verdicts(&mut live, kinds.len()), verdicts(&mut told, kinds.len()));
    }

    /// Any order of deltas that respects "a class before its pods" leads to the same verdicts, with detours (nodes that
    /// change, classes that come and go, questions asked in between) or without.
    #[test]
    fn any_order_gives_the_same_tables(
        nodes in nodes(),
        kinds in kinds(),
        counts in proptest::collection::vec((any::<prop::sample::Index>(), any::<prop::sample::Index>(), 1..4_i32), 0..12),
        seed in any::<u64>(),
    ) {
        let mut placed = BTreeMap::new();
        for (node, class, count) in counts {
            *placed.entry((node.index(nodes.len()) as u32, class.index(kinds.len()) as u32)).or_default() += count;
        }
        let mut full = policy(json!({}), everything(&nodes, &kinds, &placed));

        let mut detour = policy(json!({}), []);
        let unused = kinds.len() as u32;
        let mut steps: Vec<Vec<Delta>> = kinds.iter().enumerate().map(|(id, k)| vec![class(id as u32, &k.spec())]).collect();
        steps.push(vec![class(unused, &kinds[0].spec())]);
        let mut rest: Vec<Vec<Delta>> = nodes.iter().map(|node| {
            let mut before = support::node(node.id);
            before.unschedulable = true;
            vec![Delta::NodeSet(before), Delta::NodeSet(node.clone())]
        }).collect();
        rest.extend(placed.iter().map(|((node, class), count)| {
            vec![assign(*node, *class, count + 2), assign(*node, unused, 1), assign(*node, *class, -2), assign(*node, unused, -1)]
        }));
        shuffle(&mut rest, seed);
        steps.extend(rest);
        for step in steps {
            for delta in step {
                detour.sync(vec![delta]).unwrap();
                let _ = detour.evaluate(0, &[]);
            }
        }
        detour.sync(vec![Delta::ClassGone(unused)]).unwrap();
        prop_assert_eq!(verdicts(&mut detour, kinds.len()), verdicts(&mut full, kinds.len()));
    }
}

fn shuffle<T>(list: &mut [T], mut seed: u64) {
    for at in (1..list.len()).rev() {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        list.swap(at, (seed >> 33) as usize % (at + 1));
    }
}
