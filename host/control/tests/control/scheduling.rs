//! Pods get nodes, or are told why not; what goes away makes room; no fault of a policy or of a binding loses a pod.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use gantry_control::scheduling::{self, Handle, Options};
use gantry_model::status::Reason;
use gantry_objects::Binding;
use gantry_objects::admission::{Decision, Denial, Down, Operation, Request, Reviewer, Rule, Verdict};
use gantry_plugin::Scheduler;
use gantry_plugin::family::scheduler::Dependency;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use serde_json::json;

use crate::policy::{Fit, Script};
use crate::world::{World, pod};

fn start(world: &World, policies: Vec<Fit>) -> Handle {
    let named = policies.into_iter().map(|fit| ("fit".to_owned(), Box::new(fit) as Box<dyn Scheduler>)).collect();
    scheduling::start(Options::new(world.objects.clone(), world.recorder.clone(), named))
}

fn fit(world: &World) -> (Handle, Arc<Mutex<Script>>) {
    let (fit, script) = Fit::new();
    (start(world, vec![fit]), script)
}

#[tokio::test]
async fn pods_get_nodes_before_and_after_the_loop_starts() {
    let world = World::new().await;
    world.node("n1", "1", "10").await;
    world.node("n2", "1", "10").await;
    world.pod("early", "100m").await;
    let (_loop, _) = fit(&world);
    world.until("the early pod is on a node", |w| !w.home("early").is_empty()).await;
    world.pod("late", "100m").await;
    world.until("the late pod is on a node", |w| !w.home("late").is_empty()).await;
    assert_ne!(world.home("early"), world.home("late"), "the emptier node is better");
    world.until("it is told", |w| !w.told("late", "Scheduled").is_empty()).await;
    assert_eq!(world.told("late", "Scheduled"), [format!("Successfully assigned a/late to {}", world.home("late"))]);
}

#[tokio::test]
async fn what_fits_nowhere_says_why_and_goes_where_room_comes() {
    let world = World::new().await;
    let (_loop, _) = fit(&world);
    world.pod("first", "1").await;
    world.until("there are no nodes", |w| w.refusal("first") == "no nodes available to schedule pods").await;
    world.node("n1", "1", "10").await;
    world.until("a node came", |w| w.home("first") == "n1").await;
    world.pod("second", "500m").await;
    world.pod("third", "500m").await;
    let why = "0/1 nodes are available: 1 Insufficient cpu.";
    world.until("it is full", |w| w.refusal("second") == why && w.refusal("third") == why).await;
    world.until("an Event says so", |w| w.told("second", "FailedScheduling").contains(&why.to_owned())).await;
    world.delete("pods", "a", "first").await;
    world.until("both fit now", |w| w.home("second") == "n1" && w.home("third") == "n1").await;
    world.pod("fourth", "500m").await;
    world.until("it is full again", |w| w.refusal("fourth") == why).await;
    world.status("pods", "a", "second", json!({"phase": "Succeeded"})).await;
    world.until("a pod that is over makes room", |w| w.home("fourth") == "n1").await;
}

#[tokio::test]
async fn every_one_of_many_that_fit_nowhere_is_told() {
    let world = World::new().await;
    let (_loop, _) = fit(&world);
    let names: Vec<String> = (0..150).map(|n| format!("many-{n}")).collect();
    for name in &names {
        world.pod(name, "8").await;
    }
    let why = "no nodes available to schedule pods";
    world.until("there are no nodes", |w| names.iter().all(|name| w.refusal(name) == why)).await;
}

#[tokio::test]
async fn a_parked_pod_that_changes_without_mattering_is_not_forgotten() {
    let world = World::new().await;
    let (_loop, _) = fit(&world);
    world.pod("p", "1").await;
    world.until("it is parked", |w| !w.refusal("p").is_empty()).await;
    // A new image is a new generation of the same class.
    world
        .merge(
            "pods",
            "a",
            "p",
            json!({"spec": {"containers": [{"name": "c", "image": "i:2", "resources": {"requests": {"cpu": "1"}}}]}}),
        )
        .await;
    world.merge("pods", "a", "p", json!({"metadata": {"labels": {"app": "y"}}})).await;
    world.node("n1", "1", "10").await;
    world.until("it is on the node", |w| w.home("p") == "n1").await;
}

#[tokio::test]
async fn pods_that_are_others_business_stay_and_count_where_they_are() {
    let world = World::new().await;
    world.node("n1", "1", "10").await;
    let with = |name: &str, cpu: &str, spec: serde_json::Value| {
        let mut pod = pod(name, cpu);
        pod["spec"].as_object_mut().unwrap().extend(spec.as_object().unwrap().clone());
        pod
    };
    world.create("pods", "a", with("other", "100m", json!({"schedulerName": "other"}))).await;
    world.create("pods", "a", with("gated", "100m", json!({"schedulingGates": [{"name": "g"}]}))).await;
    world.create("pods", "a", with("preset", "800m", json!({"nodeName": "n1"}))).await;
    world.create("pods", "a", with("astray", "800m", json!({"nodeName": "n2"}))).await;
    let (_loop, _) = fit(&world);
    world.pod("big", "500m").await;
    world.until("the preset pod takes its room", |w| w.refusal("big").contains("Insufficient cpu")).await;
    assert_eq!((world.home("other"), world.home("gated")), (String::new(), String::new()));
    world.merge("pods", "a", "gated", json!({"spec": {"schedulingGates": null}})).await;
    world.until("the gate is open", |w| w.home("gated") == "n1").await;
    // The pod that named a node before it was there takes room on it from the start.
    world.node("n2", "1", "10").await;
    world.pod("small", "150m").await;
    world.until("it is on a node", |w| !w.home("small").is_empty()).await;
    assert!(world.home("big").is_empty() && world.home("other").is_empty());
}

/// Two schedulers, each with a policy and tables of its own, over the same nodes.
fn two(world: &World) -> (Handle, [Arc<Mutex<Script>>; 2]) {
    let ((one, first), (other, second)) = (Fit::new(), Fit::new());
    let named = [("default-scheduler", "fit", one), ("other", "tif", other)];
    let policies =
        named.map(|(name, policy, fit)| (name.to_owned(), policy.to_owned(), Box::new(fit) as Box<dyn Scheduler>));
    let options = Options::serving(world.objects.clone(), world.recorder.clone(), policies);
    (scheduling::start(options), [first, second])
}

fn others(name: &str, cpu: &str) -> serde_json::Value {
    let mut pod = pod(name, cpu);
    pod["spec"]["schedulerName"] = json!("other");
    pod
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_schedulers_never_fill_a_node_twice() {
    let world = World::new().await;
    let (_loop, scripts) = two(&world);
    world.pod("first", "100m").await;
    world.create("pods", "a", others("second", "100m")).await;
    world.until("there are no nodes", |w| !w.refusal("first").is_empty() && !w.refusal("second").is_empty()).await;
    // Both have pods that wait for this node, and all of them at once.
    for n in 0..60 {
        world.pod(&format!("p{n}"), "100m").await;
        world.create("pods", "a", others(&format!("q{n}"), "100m")).await;
    }
    world.node("n1", "1", "100").await;
    let placed = |w: &World| w.list("pods").iter().filter(|pod| pod["spec"]["nodeName"] == "n1").count();
    world.until("it is full", |w| placed(w) == 10).await;
    world.pod("p-more", "100m").await;
    world.create("pods", "a", others("q-more", "100m")).await;
    let full = |w: &World, name: &str| w.refusal(name) == "0/1 nodes are available: 1 Insufficient cpu.";
    world.until("both see that it is full", |w| full(w, "p-more") && full(w, "q-more")).await;
    assert_eq!(placed(&world), 10);
    // Whoever goes makes room for the other's, too.
    let homed = |w: &World, of: &str| {
        w.list("pods")
            .iter()
            .any(|p| p["spec"]["nodeName"] == "n1" && p["metadata"]["name"].as_str().unwrap().starts_with(of))
    };
    for pod in world.list("pods") {
        let name = pod["metadata"]["name"].as_str().unwrap();
        if name.starts_with('p') || name == "first" {
            world.delete("pods", "a", name).await;
        }
    }
    world.until("it is full of the other's", |w| placed(w) == 10 && homed(w, "q") && !homed(w, "p")).await;
    // A policy that fails stops its own pods only, and knows what the other did meanwhile.
    scripts[0].lock().unwrap().faults = 2;
    world.pod("late", "100m").await;
    world.node("n2", "1", "100").await;
    let on = |w: &World, node: &str| w.list("pods").iter().filter(|p| p["spec"]["nodeName"] == node).count();
    world.until("it recovers, and all is full", |w| scripts[0].lock().unwrap().faults == 0 && on(w, "n2") == 10).await;
    for pod in world.list("pods") {
        let name = pod["metadata"]["name"].as_str().unwrap();
        if name.starts_with('q') {
            world.delete("pods", "a", name).await;
        }
    }
    world.until("what the other's left is its own", |w| !w.home("late").is_empty()).await;
    assert!(on(&world, "n1") <= 10 && on(&world, "n2") <= 10);
}

#[tokio::test]
async fn pods_of_a_scheduler_that_is_not_there_wait_and_are_told() {
    let world = World::new().await;
    world.node("n1", "1", "10").await;
    world.create("pods", "a", others("p", "100m")).await;
    let (handle, _) = fit(&world);
    let why = "no scheduler plugin of the bundle serves the schedulerName other";
    world.until("it is told", |w| w.told("p", "FailedScheduling").iter().any(|m| m.starts_with(why))).await;
    assert!(world.home("p").is_empty());
    handle.stop().await;
    let (_loop, _) = two(&world);
    world.until("one came", |w| w.home("p") == "n1").await;
}

#[tokio::test]
async fn the_more_important_pod_goes_first() {
    let world = World::new().await;
    for (name, class) in [("low", ""), ("high", "system-node-critical"), ("middle", "system-cluster-critical")] {
        let mut pod = pod(name, "1");
        pod["spec"]["priorityClassName"] = json!(class);
        world.create("pods", "a", pod).await;
    }
    world.node("n1", "2", "10").await;
    let (_loop, _) = fit(&world);
    world.until("the last one is refused", |w| !w.refusal("low").is_empty()).await;
    world.until("the others are placed", |w| !w.home("high").is_empty() && !w.home("middle").is_empty()).await;
}

#[tokio::test]
async fn without_a_policy_pods_wait_and_are_told() {
    let world = World::new().await;
    world.node("n1", "1", "10").await;
    world.pod("p", "1").await;
    let none = start(&world, Vec::new());
    world.until("it is told", |w| w.refusal("p").starts_with("no scheduler plugin is loaded")).await;
    none.stop().await;
    let (_loop, _) = fit(&world);
    world.until("a policy came", |w| w.home("p") == "n1").await;
}

#[tokio::test]
async fn a_policy_in_trouble_is_made_anew_and_told_everything() {
    let world = World::new().await;
    world.node("n1", "1", "10").await;
    world.pod("there", "500m").await;
    let (_loop, script) = fit(&world);
    world.until("it is placed", |w| w.home("there") == "n1").await;
    for (name, faults, nonsense) in [("after-a-fault", 1, 0), ("after-nonsense", 0, 1), ("after-many", 4, 0)] {
        let resets = {
            let mut script = script.lock().unwrap();
            (script.faults, script.nonsense) = (faults, nonsense);
            script.resets
        };
        world.pod(name, "100m").await;
        world.until(name, |w| w.home(name) == "n1").await;
        assert!(script.lock().unwrap().resets > resets, "{name}");
    }
    assert!(world.refusal("after-many").is_empty(), "placed pods carry no refusal");
    world
        .until("it was told", |w| w.told("after-many", "FailedScheduling").iter().any(|m| m.contains("no answer")))
        .await;
    // The new instance knows what the old one knew.
    world.pod("big", "500m").await;
    world.until("there is no room", |w| w.refusal("big").contains("Insufficient cpu")).await;
}

#[tokio::test]
async fn a_class_at_which_a_policy_faults_stops_no_other() {
    let world = World::new().await;
    world.node("n1", "1", "10").await;
    let (_loop, script) = fit(&world);
    script.lock().unwrap().deadly = Some(300);
    world.pod("bad", "300m").await;
    world.pod("good", "200m").await;
    world.until("the other class goes on", |w| w.home("good") == "n1").await;
    let why = |w: &World| w.refusal("bad").starts_with("scheduler plugin fit gives no answer about this pod: ");
    world.until("its pod is told", why).await;
    script.lock().unwrap().deadly = None;
    world.until("it is tried again", |w| w.home("bad") == "n1").await;
}

#[tokio::test]
async fn a_class_that_a_policy_refuses_stops_no_other() {
    let world = World::new().await;
    world.node("n1", "1", "10").await;
    let (mut other, _) = Fit::new();
    other.depends_on = Dependency::Global;
    let (fit, script) = Fit::new();
    let _loop = start(&world, vec![other, fit]);
    world.pod("before", "100m").await;
    world.until("it is placed", |w| w.home("before") == "n1").await;
    script.lock().unwrap().unreadable = Some(300);
    world.pod("bad", "300m").await;
    world.pod("good", "200m").await;
    world.until("the other class goes on", |w| w.home("good") == "n1").await;
    let why = "scheduler plugin fit does not take this pod: the class can't be read";
    world.until("its pod is told", |w| w.refusal("bad") == why).await;
    world.until("an Event says so", |w| w.told("bad", "FailedScheduling").contains(&why.to_owned())).await;
    world.pod("later", "400m").await;
    world.until("new classes are placed", |w| w.home("later") == "n1").await;
    // Its number may be another class's: the policies of this test do not bear a lie about it.
    world.delete("pods", "a", "bad").await;
    world.pod("last", "250m").await;
    world.until("so are those after it", |w| w.home("last") == "n1").await;
    world.pod("much", "100m").await;
    world.until("all count", |w| w.refusal("much") == "0/1 nodes are available: 1 Insufficient cpu.").await;
}

#[tokio::test]
async fn events_do_not_hurry_a_policy_that_fails() {
    let world = World::new().await;
    world.node("n1", "100", "1000").await;
    let (_loop, script) = fit(&world);
    script.lock().unwrap().faults = u32::MAX;
    let begun = std::time::Instant::now();
    for n in 0..200 {
        world.pod(&format!("p{n}"), "100m").await;
    }
    world.until("they are told", |w| !w.refusal("p0").is_empty()).await;
    // It waits 50 ms, then 100 ms, and so on; some are of the search for the class that it does not take.
    let most = 5 + 2 * (begun.elapsed().as_millis() as u32 / 50).ilog2();
    let resets = script.lock().unwrap().resets;
    assert!(resets <= most, "{resets} resets, {most} at most");
    script.lock().unwrap().faults = 0;
    world.until("all are placed", |w| (0..200).all(|n| w.home(&format!("p{n}")) == "n1")).await;
}

/// Denies the binding of pods of one name.
struct NoBinding(Vec<Rule>);

#[async_trait]
impl Reviewer for NoBinding {
    fn name(&self) -> &str {
        "no-binding"
    }

    fn rules(&self) -> &[Rule] {
        &self.0
    }

    async fn review(&self, request: Request) -> Result<Verdict, Down> {
        let denial = Denial { reason: Reason::Forbidden, message: "not this one".to_owned(), causes: Vec::new() };
        Ok(match request.name.as_str() {
            "denied" => Verdict { decision: Decision::Deny(denial), warnings: Vec::new() },
            _ => Verdict::allow(),
        })
    }
}

#[tokio::test]
async fn a_binding_that_is_denied_is_told_and_holds_up_nobody() {
    let world = World::new().await;
    world.objects.reviewed_by(vec![Arc::new(NoBinding(vec![Rule {
        group: String::new(),
        kind: "Pod".into(),
        operations: vec![Operation::Update],
        subresources: vec!["binding".into()],
        mutates: false,
        refuses_when_down: true,
    }]))]);
    world.node("n1", "1", "10").await;
    let (_loop, _) = fit(&world);
    world.pod("denied", "100m").await;
    let told = |w: &World| w.told("denied", "FailedScheduling").iter().any(|m| m.contains("not this one"));
    world.until("it is told why", told).await;
    for n in 0..9 {
        world.pod(&format!("p{n}"), "100m").await;
    }
    world.until("others go on", |w| (0..9).all(|n| w.home(&format!("p{n}")) == "n1")).await;
    assert!(world.home("denied").is_empty());
}

#[tokio::test]
async fn a_new_loop_counts_what_is_there() {
    let world = World::new().await;
    world.node("n1", "1", "10").await;
    world.pod("one", "600m").await;
    let (first, _) = fit(&world);
    world.until("it is placed", |w| w.home("one") == "n1").await;
    first.stop().await;
    world.pod("two", "600m").await;
    let (_loop, _) = fit(&world);
    world.until("there is no room", |w| w.refusal("two").contains("Insufficient cpu")).await;
}

#[tokio::test]
async fn somebody_elses_binding_wins_and_counts_once() {
    let world = World::new().await;
    world.node("n1", "10", "1000").await;
    world.node("n2", "10", "1000").await;
    let (_loop, _) = fit(&world);
    for n in 0..100 {
        let name = format!("p{n}");
        let record = world.pod(&name, "100m").await;
        let (uid, revision) = (Some(record.meta.uid.as_str()), None);
        let binding = Binding { namespace: "a", name: &name, uid, revision, node: "n1", ..Binding::default() };
        // Whoever comes second is refused.
        let _ = world.objects.bind(&binding).await;
        if n % 3 == 0 {
            world.delete("pods", "a", &name).await;
        }
    }
    world.until("all are bound", |w| w.list("pods").iter().all(|p| p["spec"]["nodeName"].is_string())).await;
    // 66 pods of 100m and as many as still fit: had any been counted twice or left behind, fewer would.
    for n in 0..134 {
        world.pod(&format!("q{n}"), "100m").await;
    }
    world.until("the nodes are full", |w| w.list("pods").iter().all(|p| p["spec"]["nodeName"].is_string())).await;
    world.pod("more", "100m").await;
    world.until("not one more fits", |w| w.refusal("more").starts_with("0/2 nodes")).await;
}

#[tokio::test]
async fn a_node_that_leaves_a_domain_frees_it() {
    let world = World::new().await;
    for name in ["n1", "n2", "n3"] {
        world.node(name, "10", "10").await;
    }
    let (mut policy, _) = Fit::new();
    (policy.depends_on, policy.most_per_domain) = (Dependency::Domain("zone".into()), Some(2));
    let _loop = start(&world, vec![policy]);
    for name in ["a", "b", "c", "d"] {
        world.pod(name, "1").await;
    }
    let waiting = |w: &World| ["a", "b", "c", "d"].iter().filter(|name| w.home(name).is_empty()).count();
    world.until("the zone is full", |w| waiting(w) == 2 && w.refusal("d").contains("in their zone")).await;
    let home = world.home("a");
    world.merge("nodes", "", &home, json!({"metadata": {"labels": {"zone": "z2"}}})).await;
    world.until("its zone has room, the new one too", |w| waiting(w) == 0).await;
}

#[tokio::test]
async fn a_policy_that_depends_on_everything_is_asked_again_about_everything() {
    let world = World::new().await;
    for name in ["n1", "n2", "n3", "n4"] {
        world.node(name, "1", "10").await;
    }
    let (mut policy, script) = Fit::new();
    policy.depends_on = Dependency::Global;
    let _loop = start(&world, vec![policy]);
    for n in 0..8 {
        world.pod(&format!("p{n}"), "500m").await;
    }
    world.until("all are placed", |w| (0..8).all(|n| !w.home(&format!("p{n}")).is_empty())).await;
    assert!(script.lock().unwrap().broad >= 8);
    world.delete("nodes", "", "n4").await;
    world.pod("more", "500m").await;
    world.until("a node that is gone is no candidate", |w| w.refusal("more").starts_with("0/3 nodes")).await;
}

#[tokio::test]
async fn two_policies_must_agree() {
    let world = World::new().await;
    for name in ["n1", "n2"] {
        world.node(name, "10", "10").await;
    }
    world.merge("nodes", "", "n2", json!({"metadata": {"labels": {"zone": "z2"}}})).await;
    let (mut zones, _) = Fit::new();
    (zones.depends_on, zones.most_per_domain) = (Dependency::Domain("zone".into()), Some(1));
    let _loop = start(&world, vec![Fit::new().0, zones]);
    for name in ["a", "b", "c"] {
        world.pod(name, "100m").await;
    }
    let waiting = |w: &World| ["a", "b", "c"].iter().filter(|name| w.home(name).is_empty()).count();
    world.until("one is in each zone", |w| waiting(w) == 1).await;
    let why = "0/2 nodes are available: 2 node(s) had too many pods in their zone.";
    world.until("the third is refused", |w| ["a", "b", "c"].iter().any(|name| w.refusal(name) == why)).await;
}

/// Pods and nodes come, change and go at random. Never is a node given more than it can take, and when things calm down
/// a pod waits only if it fits nowhere.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_node_is_overfilled_and_no_pod_forgotten_under_churn() {
    for depends_on in [Dependency::Node, Dependency::Global, Dependency::Domain("zone".into())] {
        let seed: u64 = rand::rng().random();
        println!("seed {seed}, {depends_on:?}");
        churn(seed, depends_on).await;
    }
}

async fn churn(seed: u64, depends_on: Dependency) {
    let mut rng = StdRng::seed_from_u64(seed);
    let world = World::new().await;
    let (mut policy, script) = Fit::new();
    policy.depends_on = depends_on;
    let handle = start(&world, vec![policy]);
    let (mut pods, mut nodes, mut serial) = (Vec::<String>::new(), Vec::<String>::new(), 0);
    for _ in 0..400 {
        serial += 1;
        match rng.random_range(0..20) {
            0..9 => {
                let name = format!("p{serial}");
                world.pod(&name, &format!("{}m", 100 * rng.random_range(1..6))).await;
                pods.push(name);
            }
            9..13 if !pods.is_empty() => {
                let name = pods.swap_remove(rng.random_range(0..pods.len()));
                world.delete("pods", "a", &name).await;
                if rng.random_bool(0.3) {
                    // The same name at once, as another pod.
                    world.pod(&name, "200m").await;
                    pods.push(name);
                }
            }
            13 if !pods.is_empty() => {
                let name = &pods[rng.random_range(0..pods.len())];
                let labels = json!({"metadata": {"labels": {"app": format!("l{}", rng.random_range(0..3))}}});
                world.merge("pods", "a", name, labels).await;
            }
            14 if !pods.is_empty() => {
                let name = &pods[rng.random_range(0..pods.len())];
                world.status("pods", "a", name, json!({"phase": "Succeeded"})).await;
            }
            15 if nodes.len() > 3 => {
                let name = nodes.swap_remove(rng.random_range(0..nodes.len()));
                world.delete("nodes", "", &name).await;
                // As the node loop does.
                for pod in pods.extract_if(.., |pod| world.home(pod) == name).collect::<Vec<_>>() {
                    world.delete("pods", "a", &pod).await;
                }
            }
            16 if !nodes.is_empty() => {
                let name = &nodes[rng.random_range(0..nodes.len())];
                let zone = json!({"metadata": {"labels": {"zone": format!("z{}", rng.random_range(0..3))}}});
                world.merge("nodes", "", name, zone).await;
            }
            17 => script.lock().unwrap().faults = 1,
            18 if nodes.len() < 8 => {
                let name = format!("n{}", rng.random_range(0..10));
                if !nodes.contains(&name) {
                    world.node(&name, "2", "8").await;
                    nodes.push(name);
                }
            }
            _ => tokio::task::yield_now().await,
        }
        check(&world);
    }
    world.until(&format!("every pod that fits is placed (seed {seed})"), settled).await;
    check(&world);
    handle.stop().await;
}

/// What pods take of each node, in thousandths of a core, and how many they are.
fn usage(world: &World) -> BTreeMap<String, (u64, u64)> {
    let mut usage = BTreeMap::<String, (u64, u64)>::new();
    for pod in world.list("pods") {
        if let (Some(node), true) = (pod["spec"]["nodeName"].as_str(), pod["status"]["phase"] == "Pending") {
            let used = usage.entry(node.to_owned()).or_default();
            *used = (used.0 + request(&pod), used.1 + 1);
        }
    }
    usage
}

fn request(pod: &serde_json::Value) -> u64 {
    let text = pod["spec"]["containers"][0]["resources"]["requests"]["cpu"].as_str().unwrap();
    text.strip_suffix('m').unwrap().parse().unwrap()
}

fn check(world: &World) {
    for (node, (cpu, pods)) in usage(world) {
        assert!(cpu <= 2000 && pods <= 8, "{node} has {pods} pods with {cpu}m");
    }
}

fn settled(world: &World) -> bool {
    let usage = usage(world);
    let nodes: Vec<(u64, u64)> = world
        .list("nodes")
        .iter()
        .map(|n| usage.get(n["metadata"]["name"].as_str().unwrap()).copied().unwrap_or_default())
        .collect();
    let fits = |pod: &serde_json::Value| nodes.iter().any(|(cpu, pods)| cpu + request(pod) <= 2000 && *pods < 8);
    world
        .list("pods")
        .iter()
        .all(|pod| pod["status"]["phase"] != "Pending" || pod["spec"]["nodeName"].is_string() || !fits(pod))
}
