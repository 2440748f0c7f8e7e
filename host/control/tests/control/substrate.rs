//! Nodes that fall silent, definitions that come and go, plugins as objects.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use gantry_control::plugins::{self, Refused};
use gantry_control::{bootstrap, definitions, nodes};
use gantry_model::kind::{Origin, Scope};
use serde_json::{Value, json};

use crate::world::{World, kind, pod};

fn condition(object: &Value, name: &str) -> String {
    let conditions = object["status"]["conditions"].as_array().cloned().unwrap_or_default();
    let found = conditions.iter().find(|c| c["type"] == name);
    found.and_then(|c| c["status"].as_str()).unwrap_or_default().to_owned()
}

fn taints(world: &World, node: &str) -> Vec<String> {
    let node = world.get("nodes", "", node).unwrap();
    let taints = node["spec"]["taints"].as_array().cloned().unwrap_or_default();
    taints.iter().map(|t| format!("{}:{}", t["key"].as_str().unwrap(), t["effect"].as_str().unwrap())).collect()
}

async fn ready(world: &World, node: &str, ready: &str) {
    let conditions = json!({"conditions": [{"type": "Ready", "status": ready, "reason": "X", "message": "", "lastTransitionTime": null}]});
    world.status("nodes", "", node, conditions).await;
}

fn on(name: &str, node: &str) -> Value {
    let mut pod = pod(name, "100m");
    pod["spec"]["nodeName"] = json!(node);
    pod
}

#[tokio::test]
async fn a_silent_node_is_unknown_tainted_and_emptied_until_it_speaks_again() {
    let mut world = World::new().await;
    world.node("n1", "1", "10").await;
    ready(&world, "n1", "True").await;
    world.merge("nodes", "", "n1", json!({"spec": {"taints": [{"key": "mine", "effect": "NoSchedule"}]}})).await;
    world.create("pods", "a", on("p", "n1")).await;
    let mut patient = on("patient", "n1");
    patient["spec"]["tolerations"] = json!([{"operator": "Exists"}]);
    world.create("pods", "a", patient).await;
    let serving = [("ContainersReady", "True"), ("Ready", "True")];
    let serving = serving.map(|(type_, status)| json!({"type": type_, "status": status, "lastTransitionTime": null}));
    world.status("pods", "a", "patient", json!({"phase": "Running", "conditions": serving})).await;
    world.create("pods", "a", on("homeless", "n2")).await;
    let options = nodes::Options {
        every: Duration::from_millis(10),
        grace: Duration::from_millis(300),
        eviction: Duration::from_millis(500),
    };
    world.tasks.spawn(nodes::run(world.objects.clone(), world.recorder.clone(), options));
    world.until("the pod without a node is gone", |w| w.get("pods", "a", "homeless").is_none()).await;
    let known = |w: &World, status: &str| condition(&w.get("nodes", "", "n1").unwrap(), "Ready") == status;
    world.until("it is unknown", |w| known(w, "Unknown")).await;
    let unreachable = |effect: &str| format!("node.kubernetes.io/unreachable:{effect}");
    let wanted = ["mine:NoSchedule".to_owned(), unreachable("NoSchedule"), unreachable("NoExecute")];
    world.until("it is tainted", |w| taints(w, "n1") == wanted).await;
    let ending = |w: &World, name: &str| w.get("pods", "a", name).unwrap()["metadata"]["deletionTimestamp"].is_string();
    world.until("the pod must go", |w| ending(w, "p")).await;
    assert!(!ending(&world, "patient"));
    let serves = |w: &World| condition(&w.get("pods", "a", "patient").unwrap(), "Ready");
    world.until("nobody is sent to a pod of a silent node", |w| serves(w) == "False").await;
    assert_eq!(condition(&world.get("pods", "a", "patient").unwrap(), "ContainersReady"), "True");
    world.until("it is told why", |w| !w.told("patient", "NodeNotReady").is_empty()).await;
    world.until("it is told", |w| !w.told("n1", "NodeNotReady").is_empty()).await;
    // It comes back, unwell, and then well. Its Lease is renewed all the time.
    let lease = json!({"metadata": {"name": "n1"}, "spec": {"holderIdentity": "n1"}});
    world.create("leases", "kube-node-lease", lease).await;
    ready(&world, "n1", "False").await;
    let unwell = |w: &World| taints(w, "n1").contains(&"node.kubernetes.io/not-ready:NoExecute".to_owned());
    world.until("it is not ready", unwell).await;
    let kinds = world.objects.clone();
    world.tasks.spawn(async move {
        let lease = kinds.kinds().by_kind("coordination.k8s.io", "Lease").unwrap();
        for n in 0.. {
            let patch = gantry_objects::Patch::Merge(json!({"spec": {"leaseTransitions": n}}));
            let _ = kinds.patch(&lease, "kube-node-lease", "n1", patch, &crate::world::write()).await;
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    });
    ready(&world, "n1", "True").await;
    world.until("the taints are gone", |w| known(w, "True") && taints(w, "n1") == ["mine:NoSchedule"]).await;
}

#[tokio::test]
async fn the_patience_of_pods_ends_for_a_taint_that_does_not_say_since_when() {
    let mut world = World::new().await;
    world.node("n1", "1", "10").await;
    ready(&world, "n1", "True").await;
    let mut patient = on("patient", "n1");
    let toleration = json!({"key": "mine", "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 1});
    patient["spec"]["tolerations"] = json!([toleration]);
    world.create("pods", "a", patient).await;
    let taint = json!({"spec": {"taints": [{"key": "mine", "effect": "NoExecute"}]}});
    world.merge("nodes", "", "n1", taint).await;
    let options = nodes::Options { every: Duration::from_millis(10), ..nodes::Options::default() };
    world.tasks.spawn(nodes::run(world.objects.clone(), world.recorder.clone(), options));
    let dated = |w: &World| w.get("nodes", "", "n1").unwrap()["spec"]["taints"][0]["timeAdded"].is_string();
    world.until("the taint is dated", dated).await;
    assert_eq!(taints(&world, "n1"), ["mine:NoExecute"]);
    let ending = |w: &World| w.get("pods", "a", "patient").unwrap()["metadata"]["deletionTimestamp"].is_string();
    world.until("its time is over", ending).await;
}

fn definition(group: &str, kind: &str, plural: &str) -> Value {
    json!({
        "metadata": {"name": format!("{plural}.{group}")},
        "spec": {
            "group": group, "scope": "Namespaced",
            "names": {"kind": kind, "plural": plural, "singular": kind.to_lowercase(), "listKind": format!("{kind}List")},
            "versions": [{
                "name": "v1", "served": true, "storage": true,
                "schema": {"openAPIV3Schema": {"type": "object", "properties": {"spec": {"type": "object", "properties": {"n": {"type": "integer"}}}}}},
            }],
        },
    })
}

#[tokio::test]
async fn a_definition_is_served_while_it_is_there_and_its_objects_go_with_it() {
    let mut world = World::new().await;
    world.tasks.spawn(definitions::run(world.objects.clone()));
    let name = "widgets.example.com";
    world.create("customresourcedefinitions", "", definition("example.com", "Widget", "widgets")).await;
    let established = |w: &World| {
        let definition = w.get("customresourcedefinitions", "", name).unwrap_or_default();
        condition(&definition, "Established") == "True" && condition(&definition, "NamesAccepted") == "True"
    };
    world.until("it is established", established).await;
    let holds = |w: &World| {
        let definition = w.get("customresourcedefinitions", "", name).unwrap();
        definition["metadata"]["finalizers"] == json!(["customresourcecleanup.apiextensions.k8s.io"])
    };
    world.until("it waits for its objects", holds).await;
    world.create("widgets", "a", json!({"metadata": {"name": "w"}, "spec": {"n": 1}})).await;
    let held = json!({"metadata": {"name": "held", "finalizers": ["test.dev/hold"]}, "spec": {"n": 1}});
    world.create("widgets", "b", held).await;
    world.delete("customresourcedefinitions", "", name).await;
    world.until("its objects go", |w| w.get("widgets", "a", "w").is_none()).await;
    assert!(world.get("customresourcedefinitions", "", name).is_some());
    world.merge("widgets", "b", "held", json!({"metadata": {"finalizers": null}})).await;
    let gone = |w: &World| {
        w.get("customresourcedefinitions", "", name).is_none()
            && w.objects.kinds().by_kind("example.com", "Widget").is_none()
    };
    world.until("it is gone", gone).await;
    world.create("customresourcedefinitions", "", definition("example.com", "Widget", "widgets")).await;
    world.until("it may come again", established).await;
    assert!(world.list("widgets").is_empty());
}

#[tokio::test]
async fn a_definition_that_is_replaced_is_served_all_the_while() {
    let mut world = World::new().await;
    world.tasks.spawn(definitions::run(world.objects.clone()));
    let name = "widgets.example.com";
    world.create("customresourcedefinitions", "", definition("example.com", "Widget", "widgets")).await;
    world.until("it is served", |w| w.objects.kinds().by_kind("example.com", "Widget").is_some()).await;
    let (kinds, stop) = (world.objects.kinds().clone(), Arc::new(AtomicBool::new(false)));
    let reader = std::thread::spawn({
        let stop = stop.clone();
        move || {
            let mut missed = 0_u64;
            while !stop.load(Ordering::Relaxed) {
                missed += u64::from(kinds.by_resource("example.com", "v1", "widgets").is_none());
            }
            missed
        }
    });
    for n in 0..50 {
        let names = json!({"spec": {"names": {"shortNames": [format!("w{n}")]}}});
        world.merge("customresourcedefinitions", "", name, names).await;
        let served = |w: &World| {
            let kind = w.objects.kinds().by_kind("example.com", "Widget").unwrap();
            kind.short_names == [format!("w{n}")]
        };
        world.until("the new one is served", served).await;
    }
    stop.store(true, Ordering::Relaxed);
    assert_eq!(reader.join().unwrap(), 0, "there were moments in which the kind was unknown");
}

#[tokio::test]
async fn a_definition_of_a_kind_that_is_taken_is_refused() {
    let mut world = World::new().await;
    world.tasks.spawn(definitions::run(world.objects.clone()));
    world.create("customresourcedefinitions", "", definition("test.dev", "Thing", "thingies")).await;
    let refused = |w: &World| {
        condition(&w.get("customresourcedefinitions", "", "thingies.test.dev").unwrap(), "NamesAccepted") == "False"
    };
    world.until("it is refused", refused).await;
    assert_eq!(world.kind("things").origin, Origin::Plugin("test".into()));
}

fn plugin_options(world: &World, refused: Vec<Refused>) -> plugins::Options {
    plugins::Options {
        reviews: Default::default(),
        bundle: "test".into(),
        loaded: Vec::new(),
        refused,
        objects: world.objects.clone(),
        recorder: world.recorder.clone(),
    }
}

fn phase(world: &World, name: &str) -> String {
    let plugin = world.get("plugins", "", name).unwrap_or_default();
    plugin["status"]["phase"].as_str().unwrap_or_default().to_owned()
}

#[tokio::test]
async fn kinds_of_a_plugin_that_was_taken_out_stay_readable_while_there_are_objects() {
    let mut world = World::new().await;
    let gadget = kind("Gadget", "gadgets", Scope::Namespaced, Origin::Plugin("old".into()));
    let empty = kind("Nothing", "nothings", Scope::Namespaced, Origin::Plugin("older".into()));
    for (name, declared) in [("old", &gadget), ("older", &empty)] {
        world.create("plugins", "", json!({"metadata": {"name": name}, "spec": {"bundle": "test"}})).await;
        world.status("plugins", "", name, json!({"declared": [declared], "phase": "Ready"})).await;
    }
    plugins::restore(&world.objects);
    world.create("gadgets", "a", json!({"metadata": {"name": "g"}, "spec": {"n": 1}})).await;
    let refused = vec![Refused { name: "broken".into(), why: "it is no component".into() }];
    world.tasks.spawn(plugins::run(plugin_options(&world, refused)));
    world.until("the refused one is there", |w| phase(w, "broken") == "Failed").await;
    world.until("the one with objects stays", |w| phase(w, "old") == "Absent").await;
    world.until("the one without goes", |w| w.get("plugins", "", "older").is_none()).await;
    assert!(world.objects.kinds().by_kind("test.dev", "Nothing").is_none());
    assert_eq!(world.get("gadgets", "a", "g").unwrap()["spec"]["n"], 1);
    let told = |w: &World| w.told("g", "NoController").iter().any(|message| message.contains("plugin old"));
    world.until("nobody acts on it", told).await;
    let bundle = |w: &World| w.get("bundles", "", "test").unwrap_or_default()["status"]["message"].clone();
    world.until("the bundle says so", |w| bundle(w) == "broken: it is no component").await;
    // The plugin comes back and declares its kinds anew.
    plugins::forget(&world.objects, "old");
    assert!(world.objects.kinds().by_kind("test.dev", "Gadget").is_none());
}

#[tokio::test]
async fn a_cluster_begins_with_its_namespaces() {
    let world = World::new().await;
    for _ in 0..2 {
        bootstrap::run(&world.objects).await.unwrap();
    }
    let all = ["default", "kube-system", "kube-public", "kube-node-lease"];
    assert!(all.iter().all(|name| world.get("namespaces", "", name).is_some()));
}
