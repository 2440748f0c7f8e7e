//! The lives of pods for which all goes well.

use std::time::Duration;

use serde_json::json;

use crate::agent::testing::world::World;
use crate::agent::testing::{UID, object};
use crate::cluster::Source;

#[tokio::test(start_paused = true)]
async fn a_pod_runs_and_goes() {
    let world = World::new();
    world.create(json!({}));
    world.until_phase("Running").await;
    assert_eq!(world.runtime.running(), ["c/0"]);
    assert_eq!(world.status("/podIP"), "10.1.0.2");
    assert_eq!(world.status("/hostIP"), "192.0.2.1");
    assert_eq!(world.status("/containerStatuses/0/ready"), true);
    assert_eq!(world.status("/containerStatuses/0/imageID"), "sha256:1");
    for condition in ["PodScheduled", "PodReadyToStartContainers", "Initialized", "ContainersReady", "Ready"] {
        assert_eq!(world.condition(condition), "True", "{condition}");
    }
    let log = world.agent().log("default", "web", "c", false).unwrap();
    assert!(
        log.path.ends_with(format!("default_web_{}/c/0.log", crate::agent::testing::UID)) && !log.ended.is_cancelled()
    );

    world.delete(30);
    world.until_gone().await;
    assert!(world.runtime.known().is_empty() && world.network.attached.lock().unwrap().is_empty());
    assert!(!world.pod_dir().exists() && log.ended.is_cancelled());
    let order = world.steps(&["attach", "create", "start", "signal", "detach", "release", "remove"]);
    let want = [
        "attach",
        "create c/0",
        "start c/0",
        "signal c/0 15",
        "detach",
        "release_sandbox",
        "remove c/0",
        "detach",
        "release_sandbox",
        "remove_sandbox",
        "remove_pod",
    ];
    assert_eq!(order, want);
    for event in
        ["Pulled: Container image \"image:1\" already present", "Created", "Started", "Killing: Stopping container c"]
    {
        world.until_event(event).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_quiet_pod_is_written_only_when_it_changes() {
    let world = World::new();
    world.create(json!({}));
    world.until_phase("Running").await;
    tokio::time::sleep(Duration::from_secs(30)).await;
    let writes = world.cluster.writes();
    tokio::time::sleep(Duration::from_secs(600)).await;
    assert_eq!(world.cluster.writes(), writes);
}

#[tokio::test(start_paused = true)]
async fn init_containers_and_sidecars_come_in_order() {
    let world = World::new();
    let container = |name: &str| json!({"name": name, "image": "image:1"});
    let mut sidecar = container("side");
    sidecar["restartPolicy"] = json!("Always");
    world.create(json!({
        "initContainers": [container("one"), sidecar, container("two")],
        "containers": [container("a"), container("b")],
        "restartPolicy": "Never",
    }));
    world.until("one runs", |w| w.runtime.running() == ["one/0"]).await;
    world
        .until("waiting is told", |w| w.status("/containerStatuses/0/state/waiting/reason") == "PodInitializing")
        .await;
    world.runtime.end("one/0", 0);
    world.until("two runs", |w| w.runtime.running() == ["side/0", "two/0"]).await;
    assert_eq!(world.status("/phase"), "Pending");
    world.runtime.end("two/0", 0);
    world.until_phase("Running").await;
    assert_eq!(world.runtime.running(), ["a/0", "b/0", "side/0"]);
    world.runtime.end("a/0", 0);
    world.runtime.end("b/0", 3);
    world.until_phase("Failed").await;
    assert!(world.runtime.running().is_empty(), "the sidecar ends after the others");
    assert_eq!(world.status("/containerStatuses/1/state/terminated/exitCode"), 3);
    assert!(world.network.attached.lock().unwrap().is_empty());
    let starts = world.steps(&["start"]);
    assert_eq!(starts, ["start one/0", "start side/0", "start two/0", "start a/0", "start b/0"]);
    world.delete(30);
    world.until_gone().await;
}

#[tokio::test(start_paused = true)]
async fn containers_start_in_the_order_that_an_annotation_gives() {
    let world = World::new();
    let probe = json!({"exec": {"command": ["ok"]}, "periodSeconds": 1, "failureThreshold": 1});
    let mut pod = object(
        UID,
        json!({"restartPolicy": "Never", "containers": [
            {"name": "app", "image": "image:1"}, {"name": "db", "image": "image:1", "readinessProbe": probe},
            {"name": "work", "image": "image:1"},
        ]}),
        json!({}),
    );
    let order = json!({"app": {"db": "ready", "work": "succeeded"}, "db": {"work": "started"}}).to_string();
    pod["metadata"]["annotations"] = json!({"gantry.dev/start-after": order});
    world.runtime.answer("db", 1, "not yet");
    world.cluster.put_pod(pod);
    world.until("two run", |w| w.runtime.running() == ["db/0", "work/0"]).await;
    let waits =
        |w: &World| w.status("/containerStatuses/0/state/waiting/message").as_str().unwrap_or_default().to_owned();
    world.until("it waits for db", |w| waits(w) == "container db must be ready first, and runs").await;
    assert_eq!(world.status("/containerStatuses/0/state/waiting/reason"), "WaitingForContainer");
    world.runtime.answer("db", 0, "");
    world.until("it waits for work", |w| waits(w) == "container work must be succeeded first, and runs").await;
    world.runtime.end("work/0", 0);
    world.until("the last runs", |w| w.runtime.running() == ["app/0", "db/0"]).await;
    assert_eq!(world.steps(&["start"]), ["start work/0", "start db/0", "start app/0"]);
}

#[tokio::test(start_paused = true)]
async fn crashes_are_restarted_with_growing_waits() {
    let world = World::new();
    world.create(json!({}));
    let mut waits = Vec::new();
    for attempt in 0..5 {
        let which = format!("c/{attempt}");
        world.until(&which, |w| w.runtime.running() == [which.clone()]).await;
        let at = tokio::time::Instant::now();
        world.runtime.end(&which, 1);
        let next = format!("c/{}", attempt + 1);
        world.until(&next, |w| w.runtime.running() == [next.clone()]).await;
        waits.push(at.elapsed().as_secs());
    }
    assert_eq!(waits, [0, 10, 20, 40, 80]);
    assert!(world.runtime.known().len() <= 2, "only the last dead one is kept: {:?}", world.runtime.known());
    world.until("the count is told", |w| w.status("/containerStatuses/0/restartCount") == 5).await;
    assert_eq!(world.status("/containerStatuses/0/lastState/terminated/exitCode"), 1);
    world.until_event("BackOff: Back-off restarting failed container c in pod web_default").await;
    assert!(world.agent().log("default", "web", "c", true).is_ok());

    world.runtime.end("c/5", 1);
    world.until("it waits", |w| w.status("/containerStatuses/0/state/waiting/reason") == "CrashLoopBackOff").await;
    let message = world.status("/containerStatuses/0/state/waiting/message");
    assert!(message.as_str().unwrap().starts_with("back-off 2m40s restarting failed container=c pod=web_default("));
    assert_eq!(world.status("/phase"), "Running");
}

#[tokio::test(start_paused = true)]
async fn a_stubborn_container_is_killed_when_its_grace_is_over() {
    let world = World::new();
    world.runtime.be_stubborn("c");
    world.create(json!({"containers": [{
        "name": "c", "image": "image:1", "lifecycle": {"preStop": {"exec": {"command": ["bye"]}}},
    }]}));
    world.until_phase("Running").await;
    let at = tokio::time::Instant::now();
    world.delete(30);
    world.until("it ended", |w| w.runtime.running().is_empty()).await;
    assert!((29..=31).contains(&at.elapsed().as_secs()), "{:?}", at.elapsed());
    assert_eq!(world.steps(&["run", "signal"]), ["run c/0 bye", "signal c/0 15", "signal c/0 9"]);
    world.until_gone().await;
}

#[tokio::test(start_paused = true)]
async fn patience_is_shortened_by_a_second_delete() {
    let world = World::new();
    world.runtime.be_stubborn("c");
    world.create(json!({}));
    world.until_phase("Running").await;
    world.delete(600);
    world.until("it was asked", |w| !w.steps(&["signal"]).is_empty()).await;
    let at = tokio::time::Instant::now();
    world.delete(3);
    world.until_gone().await;
    assert!(at.elapsed() < Duration::from_secs(10), "{:?}", at.elapsed());
}

#[tokio::test(start_paused = true)]
async fn hooks_probes_and_gates_decide_what_is_ready() {
    let world = World::new();
    let probe = json!({"exec": {"command": ["ok"]}, "periodSeconds": 5, "failureThreshold": 2});
    world.runtime.answer("c", 1, "not yet");
    world.create(json!({
        "readinessGates": [{"conditionType": "example.com/gate"}],
        "containers": [{"name": "c", "image": "image:1", "readinessProbe": probe}],
    }));
    world.until_event("Unhealthy: Readiness probe failed: not yet").await;
    assert_eq!(world.status("/phase"), "Running");
    assert_eq!(world.condition("ContainersReady"), "False");
    world.runtime.answer("c", 0, "");
    world.until("its containers are ready", |w| w.condition("ContainersReady") == "True").await;
    assert_eq!(world.condition("Ready"), "False");
    world.cluster.edit_pod("web", |pod| {
        let gate = json!({"type": "example.com/gate", "status": "True"});
        pod["status"]["conditions"].as_array_mut().unwrap().push(gate);
    });
    world.until("it is ready", |w| w.condition("Ready") == "True").await;
    assert_eq!(world.condition("example.com/gate"), "True");
}

#[tokio::test(start_paused = true)]
async fn a_container_that_fails_its_liveness_probe_is_restarted() {
    let world = World::new();
    let probe = json!({"exec": {"command": ["ok"]}, "periodSeconds": 1, "failureThreshold": 3});
    world.create(json!({"containers": [{"name": "c", "image": "image:1", "livenessProbe": probe}]}));
    world.until_phase("Running").await;
    world.runtime.answer("c", 1, "dead");
    world.until("it is started again", |w| w.runtime.running() == ["c/1"]).await;
    world.until_event("Killing: Container c failed liveness probe, will be restarted").await;
    world.runtime.answer("c", 0, "");
    world.until("it is told", |w| w.status("/containerStatuses/0/restartCount") == 1).await;
}

#[tokio::test(start_paused = true)]
async fn volumes_env_and_managed_files_reach_the_container() {
    let world = World::new();
    let map = |text: &str| json!({"metadata": {"name": "m", "namespace": "default"}, "data": {"key": text}});
    world.cluster.put_source(Source::ConfigMap, "m", map("one"));
    world.create(json!({
        "volumes": [{"name": "v", "configMap": {"name": "m"}}, {"name": "e", "emptyDir": {"medium": "Memory"}}],
        "containers": [{
            "name": "c", "image": "image:1", "args": ["--at=$(ADDRESS)"],
            "env": [
                {"name": "ADDRESS", "valueFrom": {"fieldRef": {"fieldPath": "status.podIP"}}},
                {"name": "KEY", "valueFrom": {"configMapKeyRef": {"name": "m", "key": "key"}}},
            ],
            "volumeMounts": [{"name": "v", "mountPath": "/v"}, {"name": "e", "mountPath": "/e", "subPath": "a/b"}],
        }],
    }));
    world.until_phase("Running").await;
    let spec = world.runtime.spec("c/0").unwrap();
    assert_eq!(spec.args, ["/app", "--at=10.1.0.2"]);
    assert!(
        spec.env.contains(&"KEY=one".to_owned()) && spec.env.contains(&"HOSTNAME=web".to_owned()),
        "{:?}",
        spec.env
    );
    let mount = |at: &str| spec.mounts.iter().find(|m| m.destination.as_os_str() == at).unwrap().clone();
    assert!(mount("/v").read_only && !mount("/e").read_only);
    let file = mount("/v").source.join("key");
    assert_eq!(std::fs::read_to_string(&file).unwrap(), "one");
    let hosts = std::fs::read_to_string(mount("/etc/hosts").source).unwrap();
    assert!(hosts.contains("10.1.0.2\tweb\n"), "{hosts}");
    assert!(world.mounts.mounted.lock().unwrap().values().any(|what| what.starts_with("tmpfs")));

    world.cluster.put_source(Source::ConfigMap, "m", map("two"));
    world.until("the file changed", |_| std::fs::read_to_string(&file).is_ok_and(|text| text == "two")).await;
    world.delete(1);
    world.until_gone().await;
    assert!(world.mounts.mounted.lock().unwrap().is_empty());
}
