//! What a verdict costs: `cargo bench -p scheduler-kubernetes`. Natively; the component's figures come with the engine.

#![allow(clippy::expect_used, clippy::indexing_slicing, reason = "a failure here is a panic")]

use std::hint::black_box;
use std::time::Instant;

use gantry_sdk::scheduler::{Assignment, Class, Delta, Node, Resources};
use gantry_sdk::{Config, Label, Scheduler, json};
use scheduler_kubernetes::Kubernetes;

const ROUNDS: u32 = 200;

fn node(id: u32) -> Delta {
    let labels = [("kubernetes.io/hostname", format!("n{id}")), ("zone", format!("z{}", id % 3))];
    let labels = labels.into_iter().map(|(key, value)| Label::new(key, value)).collect();
    let allocatable = Resources {
        cpu_milli: 32_000,
        memory: 64 << 30,
        ephemeral_storage: 1 << 40,
        pods: 110,
        extended: vec![("example.com/gpu".into(), 4)],
    };
    Delta::NodeSet(Node { id, name: format!("n{id}"), labels, taints: Vec::new(), unschedulable: false, allocatable })
}

fn class(id: u32, spec: &gantry_sdk::Value) -> Delta {
    let spec = json!({"namespace": "default", "labels": {}, "spec": spec}).to_string().into_bytes();
    Delta::ClassSet(Class { id, spec })
}

fn measure(what: &str, per: u32, mut call: impl FnMut()) {
    call();
    let start = Instant::now();
    for _ in 0..ROUNDS {
        call();
    }
    let each = start.elapsed().as_nanos() as f64 / f64::from(ROUNDS) / f64::from(per);
    println!("{what}: {each:.1} ns each");
}

fn main() {
    let plain = json!({"containers": [{"resources": {"requests": {"cpu": "100m", "memory": "64Mi"}}}]});
    let zoned = json!({"containers": plain["containers"], "nodeSelector": {"zone": "z1"}});
    let gpu = json!({"containers": [{"resources": {"requests": {"example.com/gpu": 1}}}]});
    let port = json!({"containers": [{"ports": [{"containerPort": 80, "hostPort": 80}]}]});
    let huge = json!({"containers": [{"resources": {"requests": {"cpu": "64"}}}]});
    for nodes in [1_000, 5_000] {
        let mut policy = Kubernetes::default();
        policy.configure(Config::from(json!({}))).expect("configures");
        policy.sync((0..nodes).map(node).collect()).expect("syncs");
        let classes =
            [("plain", &plain), ("nodeSelector", &zoned), ("gpu", &gpu), ("host port", &port), ("huge", &huge)];
        for (id, (_, spec)) in classes.iter().enumerate() {
            policy.sync(vec![class(id as u32, spec)]).expect("syncs");
        }
        let assigned = (0..nodes).map(|node| Delta::Assign(Assignment { node, class: 0, count: (node % 30) as i32 }));
        policy.sync(assigned.collect()).expect("syncs");
        println!("{nodes} nodes");
        for (id, (name, _)) in classes.iter().enumerate() {
            measure(&format!("  verdict, {name}"), nodes, || {
                black_box(policy.evaluate(id as u32, &[]).expect("evaluates"));
            });
        }
        let back_and_forth = |node: u32, count| Delta::Assign(Assignment { node, class: 0, count });
        measure("  assignment", nodes * 2, || {
            let deltas = (0..nodes).flat_map(|n| [back_and_forth(n, 1), back_and_forth(n, -1)]);
            policy.sync(deltas.collect()).expect("syncs");
        });
        measure("  placement (one verdict and its assignment)", 1, || {
            policy.sync(vec![back_and_forth(7, 1), back_and_forth(7, -1)]).expect("syncs");
            black_box(policy.evaluate(0, &[7]).expect("evaluates"));
        });
    }
}
