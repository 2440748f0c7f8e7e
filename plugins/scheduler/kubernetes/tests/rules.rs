//! The rules one by one, with the words in which a refusal is told: fit, cordon, taints, selectors and affinity, ports;
//! what makes a node better; which configuration is taken.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "a failure here is a panic")]

mod support;

use gantry_sdk::scheduler::{Delta, TaintEffect, Verdict};
use gantry_sdk::{Config, Scheduler, Value, json, testing};
use scheduler_kubernetes::Kubernetes;
use support::*;

const AFFINITY: &str = "node(s) didn't match Pod's node affinity/selector";

fn refused(text: &str) -> Result<(), Vec<String>> {
    Err(vec![text.to_string()])
}

#[test]
fn a_pod_must_fit() {
    let gpu = |count: u64| json!({"containers": [{"resources": {"requests": {"cpu": "1", "example.com/gpu": count}}}]});
    let mut with_gpu = node(0);
    with_gpu.allocatable.extended = vec![("example.com/gpu".into(), 1)];
    let mut full = node(0);
    full.allocatable.pods = 0;
    let all = |texts: &[&str]| Err(texts.iter().map(ToString::to_string).collect());
    let cases = [
        (node(0), asking("4", "8Gi"), Ok(())),
        (node(0), asking("4001m", "8Gi"), refused("Insufficient cpu")),
        (node(0), asking("4", "8193Mi"), refused("Insufficient memory")),
        (node(0), asking("5", "9Gi"), all(&["Insufficient cpu", "Insufficient memory"])),
        (full.clone(), asking("0", "0"), refused("Too many pods")),
        (full, asking("5", "0"), all(&["Too many pods", "Insufficient cpu"])),
        (node(0), json!({"overhead": {"ephemeral-storage": "101Gi"}}), refused("Insufficient ephemeral-storage")),
        (node(0), gpu(1), refused("Insufficient example.com/gpu")),
        (with_gpu.clone(), gpu(1), Ok(())),
        (with_gpu, gpu(2), refused("Insufficient example.com/gpu")),
    ];
    for (node, spec, expected) in cases {
        assert_eq!(judge(node, &spec).map(drop), expected, "{spec}");
    }
}

#[test]
fn what_is_assigned_is_not_free() {
    let gpus = json!({"containers": [{"resources": {"requests": {"example.com/gpu": 1}}}]});
    let mut with_gpus = node(0);
    with_gpus.allocatable.extended = vec![("example.com/gpu".into(), 2)];
    let tables = [Delta::NodeSet(with_gpus), class(1, &asking("2", "1Gi")), class(2, &gpus)];
    let mut policy = policy(json!({}), tables);
    let feasible =
        |policy: &mut Kubernetes, class| matches!(policy.evaluate(class, &[0]).unwrap()[0], Verdict::Score(_));
    assert!(feasible(&mut policy, 1) && feasible(&mut policy, 2));
    policy.sync(vec![assign(0, 1, 2), assign(0, 2, 2)]).unwrap();
    assert!(!feasible(&mut policy, 1) && !feasible(&mut policy, 2));
    policy.sync(vec![assign(0, 1, -1), assign(0, 2, -1)]).unwrap();
    assert!(feasible(&mut policy, 1) && feasible(&mut policy, 2));
}

#[test]
fn asking_for_nothing_fits_where_too_much_was_given_away() {
    let mut shrunk = node(0);
    shrunk.allocatable.cpu_milli = 1_000;
    let tables = [Delta::NodeSet(node(0)), class(1, &asking("2", "0")), class(2, &json!({})), assign(0, 1, 1)];
    let mut policy = policy(json!({}), tables);
    policy.sync(vec![Delta::NodeSet(shrunk)]).unwrap();
    assert!(matches!(policy.evaluate(2, &[0]).unwrap()[0], Verdict::Score(_)));
    assert!(matches!(policy.evaluate(1, &[0]).unwrap()[0], Verdict::Infeasible(_)));
}

#[test]
fn cordons_and_taints_need_tolerations() {
    use TaintEffect::{NoExecute, NoSchedule, PreferNoSchedule};
    let tolerating = |tolerations: Value| json!({"tolerations": tolerations});
    let untolerated = || refused("node(s) had untolerated taint {gpu: yes}");
    let mut cordoned = node(0);
    cordoned.unschedulable = true;
    let taint = |effect| tainted(0, "gpu", "yes", effect);
    let cases = [
        (cordoned.clone(), json!({}), refused("node(s) were unschedulable")),
        (cordoned.clone(), tolerating(json!([{"operator": "Exists"}])), Ok(())),
        (cordoned, tolerating(json!([{"key": "node.kubernetes.io/unschedulable", "effect": "NoSchedule"}])), Ok(())),
        (taint(NoSchedule), json!({}), untolerated()),
        (taint(NoExecute), json!({}), untolerated()),
        (taint(PreferNoSchedule), json!({}), Ok(())),
        (taint(NoSchedule), tolerating(json!([{"key": "gpu", "operator": "Exists"}])), Ok(())),
        (taint(NoSchedule), tolerating(json!([{"key": "gpu", "value": "yes"}])), Ok(())),
        (taint(NoSchedule), tolerating(json!([{"key": "gpu", "value": "no"}])), untolerated()),
        (taint(NoSchedule), tolerating(json!([{"key": "gpu", "value": "yes", "effect": "NoExecute"}])), untolerated()),
        (taint(NoExecute), tolerating(json!([{"key": "gpu", "value": "yes", "effect": "NoExecute"}])), Ok(())),
        (taint(NoSchedule), tolerating(json!([{"key": "gpu", "operator": "Near", "value": "yes"}])), untolerated()),
    ];
    for (node, spec, expected) in cases {
        assert_eq!(judge(node, &spec).map(drop), expected, "{spec}");
    }
}

#[test]
fn selectors_and_required_affinity() {
    let required = |terms: Value| {
        json!({"affinity": {"nodeAffinity": {
            "requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": terms}}}})
    };
    let term = |key: &str, operator: &str, values: &[&str]| {
        required(json!([{"matchExpressions": [{"key": key, "operator": operator, "values": values}]}]))
    };
    let field = |operator: &str, name: &str| {
        required(json!([{"matchFields": [{"key": "metadata.name", "operator": operator, "values": [name]}]}]))
    };
    let cases = [
        (json!({"nodeSelector": {"disk": "ssd"}}), true),
        (json!({"nodeSelector": {"disk": "ssd", "arch": "arm"}}), false),
        (term("disk", "In", &["hdd", "ssd"]), true),
        (term("disk", "In", &["hdd"]), false),
        (term("disk", "NotIn", &["hdd"]), true),
        (term("disk", "NotIn", &["ssd"]), false),
        (term("arch", "NotIn", &["arm"]), true),
        (term("disk", "Exists", &[]), true),
        (term("arch", "Exists", &[]), false),
        (term("arch", "DoesNotExist", &[]), true),
        (term("cores", "Gt", &["15"]), true),
        (term("cores", "Gt", &["16"]), false),
        (term("cores", "Lt", &["17"]), true),
        (term("disk", "Lt", &["17"]), false),
        (term("disk", "Like", &["ssd"]), false),
        (field("In", "n0"), true),
        (field("NotIn", "n0"), false),
        (required(json!([])), false),
        (required(json!([{}])), false),
        // One of the terms is enough; within a term all must hold.
        (required(json!([{}, {"matchExpressions": [{"key": "disk", "operator": "Exists"}]}])), true),
        (
            required(json!([{"matchExpressions": [{"key": "disk", "operator": "Exists"}],
                             "matchFields": [{"key": "metadata.name", "operator": "In", "values": ["n1"]}]}])),
            false,
        ),
    ];
    for (spec, matches) in cases {
        let expected = if matches { Ok(()) } else { refused(AFFINITY) };
        assert_eq!(judge(labelled(0, &[("disk", "ssd"), ("cores", "16")]), &spec).map(drop), expected, "{spec}");
    }
}

#[test]
fn a_pod_that_cannot_be_read_is_refused_and_no_other_suffers() {
    let unreadable = [
        asking("much", "1Gi"),
        json!({"affinity": {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": "here"}}}),
        json!({"tolerations": 7}),
    ];
    for spec in unreadable {
        let mut policy = policy(json!({}), [Delta::NodeSet(node(0)), class(1, &spec), class(2, &asking("1", "1Gi"))]);
        let Verdict::Infeasible(code) = policy.evaluate(1, &[0]).unwrap()[0] else { panic!("{spec} is placed") };
        let texts = policy.reasons(code);
        assert!(texts[0].starts_with("node(s) can't take a pod whose spec can't be read: "), "{texts:?}");
        // One that is on a node all the same counts as a pod there, and goes with its class.
        policy.sync(vec![assign(0, 1, 1)]).unwrap();
        assert!(matches!(policy.evaluate(2, &[]).unwrap()[..], [Verdict::Score(_)]), "{spec}");
        policy.sync(vec![assign(0, 1, -1), Delta::ClassGone(1)]).unwrap();
    }
}

#[test]
fn host_ports_are_taken_once() {
    let web = json!({"containers": [{"ports": [{"containerPort": 80, "hostPort": 8080}]}]});
    let dns = json!({"containers": [{"ports": [{"containerPort": 53, "hostPort": 8080, "protocol": "UDP"}]}]});
    let tables = [Delta::NodeSet(node(0)), class(1, &web), class(2, &dns), assign(0, 1, 1)];
    let mut policy = policy(json!({}), tables);
    let Verdict::Infeasible(code) = policy.evaluate(1, &[0]).unwrap()[0] else { panic!("the port is taken") };
    assert_eq!(policy.reasons(code), ["node(s) didn't have free ports for the requested pod ports"]);
    assert!(matches!(policy.evaluate(2, &[0]).unwrap()[0], Verdict::Score(_)));
    policy.sync(vec![assign(0, 1, -1)]).unwrap();
    assert!(matches!(policy.evaluate(1, &[0]).unwrap()[0], Verdict::Score(_)));
}

#[test]
fn a_class_that_goes_takes_its_pods_along() {
    let tables = [Delta::NodeSet(node(0)), class(1, &asking("4", "0")), class(2, &asking("1", "0")), assign(0, 1, 1)];
    let mut policy = policy(json!({}), tables);
    assert!(matches!(policy.evaluate(2, &[0]).unwrap()[0], Verdict::Infeasible(_)));
    policy.sync(vec![Delta::ClassGone(1)]).unwrap();
    assert!(matches!(policy.evaluate(2, &[0]).unwrap()[0], Verdict::Score(_)));
}

#[test]
fn what_the_host_gets_wrong_is_an_error_and_not_a_wrong_table() {
    let mut policy = policy(json!({}), [Delta::NodeSet(node(0)), class(1, &json!({}))]);
    assert!(policy.sync(vec![assign(0, 1, -1)]).is_err());
    assert!(policy.sync(vec![assign(0, 9, 1)]).is_err());
    assert!(policy.sync(vec![assign(u32::MAX, 1, 1)]).is_err());
    assert!(policy.evaluate(9, &[]).unwrap_err().is_not_found());
    assert_eq!(policy.evaluate(1, &[5]).unwrap(), [Verdict::Infeasible(0)]);
}

/// Scores of a class over nodes, best first by id.
fn order(config: Value, tables: impl IntoIterator<Item = Delta>) -> Vec<usize> {
    let verdicts = policy(config, tables).evaluate(1, &[]).unwrap();
    let score = |at: &usize| match verdicts[*at] {
        Verdict::Score(score) => std::cmp::Reverse(score),
        Verdict::Infeasible(_) => panic!("feasible"),
    };
    let mut nodes: Vec<usize> = (0..verdicts.len()).collect();
    nodes.sort_by_key(score);
    nodes
}

#[test]
fn emptier_or_fuller_nodes_are_better_as_configured() {
    let tables = || {
        let nodes = (0..3).map(|id| Delta::NodeSet(node(id)));
        nodes.chain([class(1, &asking("500m", "1Gi")), assign(0, 1, 2), assign(1, 1, 1)])
    };
    assert_eq!(order(json!({}), tables()), [2, 1, 0]);
    assert_eq!(order(json!({"strategy": "MostAllocated"}), tables()), [0, 1, 2]);
}

#[test]
fn kubernetes_numbers() {
    // A pod of 1 core and 2 Gi on an empty node of 4 cores and 8 Gi: both resources 75% free, perfectly balanced.
    let only = |part: &str| {
        let mut weights = json!({"fit": 0, "balanced": 0, "node-affinity": 0, "taints": 0});
        weights[part] = json!(1);
        json!({"weights": weights})
    };
    let score = |part: &str, spec: &Value| {
        let mut policy = policy(only(part), [Delta::NodeSet(node(0)), class(1, spec)]);
        policy.evaluate(1, &[]).unwrap()[0]
    };
    assert_eq!(score("fit", &asking("1", "2Gi")), Verdict::Score(7_500));
    assert_eq!(score("balanced", &asking("1", "2Gi")), Verdict::Score(10_000));
    // Half the processor and none of the memory: a standard deviation of a quarter.
    assert_eq!(score("balanced", &asking("2", "0")), Verdict::Score(7_500));
    // Nothing asked counts as 100m and 200Mi: (97.5% + 97.56%) / 2.
    assert_eq!(score("fit", &json!({"containers": [{}]})), Verdict::Score(9_752));
}

#[test]
fn preferences_pull_and_soft_taints_push() {
    let prefers = json!({"affinity": {"nodeAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": [
        {"weight": 60, "preference": {"matchExpressions": [{"key": "disk", "operator": "In", "values": ["ssd"]}]}},
        {"weight": 40, "preference": {"matchExpressions": [{"key": "zone", "operator": "Exists"}]}},
        {"weight": 100, "preference": {}},
    ]}}});
    let nodes = [node(0), labelled(1, &[("zone", "a")]), labelled(2, &[("disk", "ssd")])];
    assert_eq!(order(json!({}), nodes.map(Delta::NodeSet).into_iter().chain([class(1, &prefers)])), [2, 1, 0]);
    let nodes = [tainted(0, "slow", "", TaintEffect::PreferNoSchedule), node(1)];
    assert_eq!(order(json!({}), nodes.map(Delta::NodeSet).into_iter().chain([class(1, &json!({}))])), [1, 0]);
}

#[test]
fn a_changed_node_is_judged_anew() {
    let spec = json!({"nodeSelector": {"disk": "ssd"}});
    let mut policy = policy(json!({}), [Delta::NodeSet(node(0)), class(1, &spec)]);
    assert!(matches!(policy.evaluate(1, &[0]).unwrap()[0], Verdict::Infeasible(_)));
    policy.sync(vec![Delta::NodeSet(labelled(0, &[("disk", "ssd")]))]).unwrap();
    assert!(matches!(policy.evaluate(1, &[0]).unwrap()[0], Verdict::Score(_)));
    policy.sync(vec![Delta::NodeGone(0), Delta::NodeSet(node(0))]).unwrap();
    assert!(matches!(policy.evaluate(1, &[0]).unwrap()[0], Verdict::Infeasible(_)));
}

#[test]
fn configuration() {
    for good in [json!({}), json!({"weights": {"taints": 0}}), json!({"resources": {"cpu": 3}})] {
        assert!(Kubernetes::default().configure(Config::from(good)).is_ok());
    }
    for (bad, word) in [
        (json!({"stratgy": "MostAllocated"}), "stratgy"),
        (json!({"strategy": "Random"}), "Random"),
        (json!({"weights": {"fit": -1}}), "-1"),
        (json!({"weights": {"fits": 1}}), "fits"),
        (json!({"weights": {"fit": 0, "balanced": 0, "node-affinity": 0, "taints": 0}}), "weights"),
    ] {
        let error = Kubernetes::default().configure(Config::from(bad)).unwrap_err();
        assert!(error.message.contains(word), "{error}");
    }
}

#[test]
fn the_rules_of_the_family() {
    let history = [
        Delta::NodeSet(node(0)),
        Delta::NodeSet(tainted(3, "a", "b", TaintEffect::NoSchedule)),
        class(1, &asking("1", "1Gi")),
        class(2, &json!({"nodeSelector": {"kubernetes.io/hostname": "n3"}})),
        assign(0, 1, 3),
        Delta::NodeGone(0),
        Delta::NodeSet(node(0)),
        assign(0, 1, 4),
        Delta::ClassGone(2),
    ];
    testing::suite::scheduler::<Kubernetes>(&Config::from(json!({})), &history);
}
