use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::misspelt;
use crate::scheduler::{Assignment, Class, Delta, MAX_SCORE, Node, Resources, Taint, TaintEffect, Verdict};
use crate::{Config, Label, Scheduler};

/// Schedulers: answers have the right length and range, are the same when asked again, and do not depend on the way by
/// which the tables came to be. `deltas` is a history that ends in a state worth asking about: `history()`, or the
/// author's own.
pub fn scheduler<S: Scheduler>(config: &Config, deltas: &[Delta]) {
    assert!(S::default().configure(misspelt(config)).is_err(), "an unknown key of the configuration is refused");
    let at_once = fed::<S>(config, [deltas.to_vec()]);
    let singly = fed::<S>(config, deltas.iter().map(|delta| vec![delta.clone()]));
    let (mut at_once, mut singly) = (at_once, singly);
    let (nodes, classes) = alive(deltas);
    let ids: Vec<u32> = nodes.iter().copied().collect();
    assert!(!ids.is_empty() && !classes.is_empty(), "the history ends with nodes and classes");
    for class in classes {
        let all = at_once.evaluate(class, &[]).expect("evaluates");
        assert_eq!(all.len(), ids.len(), "one verdict per node");
        assert_eq!(all, at_once.evaluate(class, &ids).expect("evaluates"), "no nodes means all, in ascending order");
        assert_eq!(all, at_once.evaluate(class, &[]).expect("evaluates"), "the same question has the same answer");
        for (id, verdict) in ids.iter().zip(&all) {
            let alone = singly.evaluate(class, &[*id]).expect("evaluates");
            same(&mut at_once, verdict, &mut singly, &alone);
        }
    }
    late(&mut at_once, &ids);
}

/// Codes are an instance's own, so refusals are compared by their texts.
fn same<S: Scheduler>(one: &mut S, verdict: &Verdict, other: &mut S, alone: &[Verdict]) {
    match (verdict, alone) {
        (Verdict::Score(score), [Verdict::Score(again)]) => {
            assert!(*score <= MAX_SCORE, "a score is at most {MAX_SCORE}");
            assert_eq!(score, again, "a score does not depend on how the changes came");
        }
        (Verdict::Infeasible(code), [Verdict::Infeasible(again)]) => {
            let texts = one.reasons(*code);
            assert!(!texts.is_empty(), "a code has a text");
            assert_eq!(texts, other.reasons(*again), "reasons do not depend on how the changes came");
        }
        (verdict, alone) => panic!("{verdict:?} when fed at once, {alone:?} when fed singly"),
    }
}

/// Changes that come after an answer count in the next.
fn late<S: Scheduler>(plugin: &mut S, ids: &[u32]) {
    plugin.sync(Vec::new()).expect("takes no changes");
    plugin.sync(vec![class(u32::MAX, json!({"containers": [{"name": "late"}]}))]).expect("takes a class");
    for (gone, id) in ids.iter().enumerate() {
        let left = plugin.evaluate(u32::MAX, &[]).expect("evaluates a class that came late");
        assert_eq!(left.len(), ids.len() - gone, "one verdict for each node that is left");
        plugin.sync(vec![Delta::NodeGone(*id)]).expect("lets a node go");
    }
}

fn fed<S: Scheduler>(config: &Config, batches: impl IntoIterator<Item = Vec<Delta>>) -> S {
    let mut plugin = S::default();
    let policy = plugin.configure(config.clone()).expect("takes its configuration");
    assert!(!policy.depends_on.is_empty(), "a policy says what its verdicts depend on");
    for batch in batches {
        plugin.sync(batch).expect("takes the changes");
    }
    plugin
}

/// Nodes and classes that are there after a history.
fn alive(deltas: &[Delta]) -> (BTreeSet<u32>, BTreeSet<u32>) {
    let (mut nodes, mut classes) = (BTreeSet::new(), BTreeSet::new());
    for delta in deltas {
        match delta {
            Delta::NodeSet(node) => drop(nodes.insert(node.id)),
            Delta::NodeGone(id) => drop(nodes.remove(id)),
            Delta::ClassSet(class) => drop(classes.insert(class.id)),
            Delta::ClassGone(id) => drop(classes.remove(id)),
            Delta::Assign(_) => {}
        }
    }
    (nodes, classes)
}

/// A history in which nodes and classes come, change and go: zones, a taint, a node that takes nothing, one that was
/// full before it went, demands that fit nowhere.
pub fn history() -> Vec<Delta> {
    let node = |id: u32| Delta::NodeSet(sample(id));
    let requests = |cpu: &str| json!({"containers": [{"name": "c", "resources": {"requests": {"cpu": cpu}}}]});
    vec![
        node(0),
        node(1),
        class(1, requests("1")),
        Delta::Assign(Assignment { node: 0, class: 1, count: 4 }),
        Delta::NodeSet(Node {
            taints: vec![Taint { key: "team".into(), value: "a".into(), effect: TaintEffect::NoSchedule }],
            ..sample(3)
        }),
        Delta::NodeSet(Node { unschedulable: true, ..sample(4) }),
        class(2, json!({"nodeSelector": {"zone": "z1"}, "containers": [{"name": "c"}]})),
        class(3, requests("64")),
        class(4, json!({"tolerations": [{"operator": "Exists"}], "containers": [{"name": "c"}]})),
        Delta::NodeGone(0),
        node(0),
        Delta::Assign(Assignment { node: 0, class: 1, count: 2 }),
        Delta::Assign(Assignment { node: 0, class: 1, count: -1 }),
        Delta::Assign(Assignment { node: 1, class: 4, count: 1 }),
        Delta::NodeSet(Node { labels: Vec::new(), ..sample(1) }),
        Delta::ClassGone(2),
        class(5, json!({"nodeSelector": {"zone": "z0"}, "containers": [{"name": "c"}]})),
    ]
}

fn class(id: u32, spec: Value) -> Delta {
    let class = json!({"namespace": "default", "labels": {"app": format!("app-{id}")}, "spec": spec});
    Delta::ClassSet(Class { id, spec: class.to_string().into_bytes() })
}

/// A node of 4 cores and 8 Gi in one of two zones.
fn sample(id: u32) -> Node {
    Node {
        id,
        name: format!("node-{id}"),
        labels: vec![
            Label::new("kubernetes.io/hostname", format!("node-{id}")),
            Label::new("zone", format!("z{}", id % 2)),
        ],
        taints: Vec::new(),
        unschedulable: false,
        allocatable: Resources {
            cpu_milli: 4_000,
            memory: 8 << 30,
            ephemeral_storage: 100 << 30,
            pods: 110,
            extended: Vec::new(),
        },
    }
}
