//! The example in the documentation: it works, keeps the rules of its family, and stays about 30 lines.

#[allow(dead_code)]
#[path = "../examples/spread.rs"]
mod spread;

use gantry_sdk::scheduler::{Assignment, Class, Delta, Node, Resources, Verdict};
use gantry_sdk::{Config, Label, Scheduler, testing};
use spread::Spread;

fn node(id: u32, zone: &str) -> Delta {
    let allocatable = Resources { cpu_milli: 1_000, memory: 1, ephemeral_storage: 1, pods: 10, extended: Vec::new() };
    let labels = vec![Label::new("topology.kubernetes.io/zone", zone)];
    Delta::NodeSet(Node { id, name: format!("n{id}"), labels, taints: Vec::new(), unschedulable: false, allocatable })
}

fn history() -> Vec<Delta> {
    let spec = br#"{"namespace": "default", "labels": {}, "spec": {}}"#.to_vec();
    vec![
        node(0, "a"),
        node(1, "a"),
        node(2, "b"),
        Delta::ClassSet(Class { id: 7, spec }),
        Delta::Assign(Assignment { node: 0, class: 7, count: 1 }),
    ]
}

#[test]
fn an_empty_zone_is_better_than_an_empty_node_and_that_is_better_than_a_taken_one() {
    let mut policy = Spread::default();
    policy.configure(Config::from_text("{}")).unwrap();
    policy.sync(history()).unwrap();
    let verdicts = policy.evaluate(7, &[]).unwrap();
    assert_eq!(verdicts, [Verdict::Score(3_333), Verdict::Score(5_000), Verdict::Score(10_000)]);
}

#[test]
fn it_keeps_the_rules_of_its_family() {
    testing::suite::scheduler::<Spread>(&Config::from_text("{}"), &history());
}

#[test]
fn it_takes_about_30_lines() {
    let code = include_str!("../examples/spread.rs").lines();
    let lines = code.filter(|line| !line.trim().is_empty() && !line.trim().starts_with("//")).count();
    assert!(lines <= 32, "the example has grown to {lines} lines");
}
