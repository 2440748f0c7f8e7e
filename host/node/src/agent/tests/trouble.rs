//! Pods for which something goes wrong.

use std::time::Duration;

use gantry_model::status::Reason;
use serde_json::json;

use crate::agent::testing::world::World;
use crate::agent::testing::{UID, object};
use crate::cluster::Source;
use crate::network::NetError;
use crate::runtime::RuntimeError;

const WAITING: &str = "/containerStatuses/0/state/waiting/reason";

#[tokio::test(start_paused = true)]
async fn an_image_that_can_not_be_pulled_is_tried_again() {
    let world = World::new();
    world.runtime.offer("far:1");
    (0..3).for_each(|_| world.runtime.fail_pull("no route"));
    world.create(json!({
        "imagePullSecrets": [{"name": "s"}],
        "containers": [{"name": "c", "image": "far:1"}],
    }));
    world.until("it failed", |w| w.status(WAITING) == "ErrImagePull").await;
    let message = world.status("/containerStatuses/0/state/waiting/message");
    assert!(message.as_str().unwrap().contains("no route"), "{message}");
    world.until("it waits", |w| w.status(WAITING) == "ImagePullBackOff").await;
    let error = world.agent().log("default", "web", "c", false).unwrap_err();
    assert_eq!((error.reason, error.message.ends_with("trying and failing to pull image")), (Reason::BadRequest, true));
    let at = tokio::time::Instant::now();
    world.until_phase("Running").await;
    assert!((60..80).contains(&at.elapsed().as_secs()), "10 + 20 + 40 s: {:?}", at.elapsed());
    for event in [
        "Pulling",
        "Failed to pull image \"far:1\"",
        "Error: ErrImagePull",
        "Back-off pulling image",
        "Successfully pulled image \"far:1\"",
    ] {
        world.until_event(event).await;
    }
    world.until_event("FailedToRetrieveImagePullSecret").await;
}

#[tokio::test(start_paused = true)]
async fn a_name_that_is_none_is_said_so() {
    let world = World::new();
    world.create(json!({"containers": [{"name": "c", "image": "Not/A Name"}]}));
    world.until("it waits", |w| w.status(WAITING) == "InvalidImageName").await;
    world.until_event("InspectFailed: Failed to apply default image tag \"Not/A Name\"").await;
    assert!(world.steps(&["pull"]).is_empty());
}

#[tokio::test(start_paused = true)]
async fn pull_secrets_reach_the_registry_they_are_for() {
    let world = World::new();
    world.runtime.offer("reg.example/far:1");
    let encode = |text: &str| base64::Engine::encode(&base64::engine::general_purpose::STANDARD, text);
    let config = json!({"auths": {"reg.example": {"auth": encode("me:secret")}, "other": {"auth": encode("x:y")}}});
    let secret = json!({"metadata": {"name": "s", "namespace": "default"}, "data": {".dockerconfigjson": encode(&config.to_string())}});
    world.cluster.put_source(Source::Secret, "s", secret);
    world.create(
        json!({"imagePullSecrets": [{"name": "s"}], "containers": [{"name": "c", "image": "reg.example/far:1"}]}),
    );
    world.until_phase("Running").await;
    let credentials = world.runtime.credentials();
    assert_eq!(credentials.len(), 1);
    assert_eq!((credentials[0][0].username.as_str(), credentials[0].len()), ("me", 1));
}

#[tokio::test(start_paused = true)]
async fn a_missing_config_map_is_waited_for_by_name() {
    let world = World::new();
    world.create(
        json!({"containers": [{"name": "c", "image": "image:1", "envFrom": [{"configMapRef": {"name": "m"}}]}]}),
    );
    world.until("it waits", |w| w.status(WAITING) == "CreateContainerConfigError").await;
    assert_eq!(world.status("/containerStatuses/0/state/waiting/message"), "configmap \"m\" not found");
    let at = tokio::time::Instant::now();
    world.cluster.put_source(Source::ConfigMap, "m", json!({"metadata": {"name": "m", "namespace": "default"}}));
    world.until_phase("Running").await;
    assert!(at.elapsed() < Duration::from_secs(2), "a change wakes the pod: {:?}", at.elapsed());
}

#[tokio::test(start_paused = true)]
async fn an_unsupported_volume_is_named() {
    let world = World::new();
    world.create(json!({"volumes": [{"name": "v", "nfs": {"server": "s", "path": "/"}}]}));
    world.until_event("FailedMount: MountVolume.SetUp failed for volume \"v\" : volumes of kind nfs").await;
    world.until("it waits", |w| w.status(WAITING) == "ContainerCreating").await;
    world.delete(30);
    world.until_gone().await;
}

#[tokio::test(start_paused = true)]
async fn a_network_that_fails_is_tried_again() {
    let world = World::new();
    let failures = (0..2).map(|_| NetError::Unavailable("no policy".to_owned()));
    world.network.failures.lock().unwrap().extend(failures);
    world.create(json!({}));
    world.until_event("FailedCreatePodSandBox: Failed to create pod sandbox: no policy").await;
    world.until_phase("Running").await;
}

#[tokio::test(start_paused = true)]
async fn a_command_that_will_not_start_counts_as_an_exit() {
    let world = World::new();
    world.runtime.fail("start", RuntimeError::Failed("no such program".to_owned()));
    world.create(json!({"restartPolicy": "Never"}));
    world.until_phase("Failed").await;
    let state = world.status("/containerStatuses/0/state/terminated");
    assert_eq!((&state["exitCode"], &state["reason"]), (&json!(128), &json!("StartError")));
    world.delete(30);
    world.until_gone().await;
    assert!(world.runtime.known().is_empty(), "what was made and not started is removed too");
}

#[tokio::test(start_paused = true)]
async fn a_runtime_that_is_away_is_waited_for() {
    let world = World::new();
    (0..3).for_each(|_| world.runtime.fail("start", RuntimeError::Unavailable("down".to_owned())));
    world.runtime.fail("create", RuntimeError::Failed("busy".to_owned()));
    world.create(json!({}));
    world.until_phase("Running").await;
    assert_eq!(world.runtime.running(), ["c/0"]);
    assert_eq!(world.steps(&["create"]).len(), 2, "one that is made is only started again");
}

#[tokio::test(start_paused = true)]
async fn pods_that_do_not_fit_fail_and_others_go_on() {
    let world = World::new();
    world.create(json!({"containers": [{"name": "c", "image": "image:1", "resources": {"requests": {"cpu": "9"}}}]}));
    world.until_phase("Failed").await;
    assert_eq!(world.status("/reason"), "OutOfcpu");
    assert!(world.status("/message").as_str().unwrap().contains("requested: 9000, used: 0, capacity: 4000"));
    assert!(world.runtime.known().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_deadline_ends_a_pod() {
    let world = World::new();
    world.create(json!({"activeDeadlineSeconds": 60}));
    world.until_phase("Running").await;
    world.until_phase("Failed").await;
    assert_eq!(world.status("/reason"), "DeadlineExceeded");
    assert!(world.runtime.running().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_status_that_can_not_be_written_is_written_later() {
    let world = World::new();
    world.cluster.fail_writes(7);
    world.create(json!({}));
    world.until_phase("Running").await;
}

#[tokio::test(start_paused = true)]
async fn a_pod_that_was_forced_away_leaves_nothing() {
    let world = World::new();
    world.create(json!({"terminationGracePeriodSeconds": 1}));
    world.until_phase("Running").await;
    world.cluster.drop_pod("web");
    world.until("all is gone", |w| w.runtime.known().is_empty() && !w.pod_dir().exists()).await;
    // Another pod of the same name is another pod.
    world.cluster.put_pod(object("1f8fad5b-d9cb-469f-a165-70867728950f", json!({}), json!({})));
    world.until_phase("Running").await;
}

#[tokio::test(start_paused = true)]
async fn a_failed_hook_kills_its_container() {
    let world = World::new();
    world.runtime.answer("c", 1, "bad");
    let hook = json!({"postStart": {"exec": {"command": ["hi"]}}});
    world.create(
        json!({"restartPolicy": "Never", "containers": [{"name": "c", "image": "image:1", "lifecycle": hook}]}),
    );
    world.until_phase("Failed").await;
    world.until_event("FailedPostStartHook: PostStartHook failed").await;
}

#[tokio::test(start_paused = true)]
async fn what_is_left_of_pods_that_went_unseen_is_removed() {
    let mut world = World::new();
    world.create(json!({}));
    world.until_phase("Running").await;
    world.kill().await;
    world.cluster.drop_pod("web");
    world.start();
    world.until("all is gone", |w| w.runtime.known().is_empty() && !w.pod_dir().exists()).await;
    assert!(world.network.attached.lock().unwrap().is_empty());
    world.until("its sandbox is gone", |w| w.runtime.sandboxes_left().is_empty()).await;
    let collected = world.network.collected.lock().unwrap().clone();
    assert!(collected.iter().any(|alive| alive.iter().any(|uid| uid == UID) || alive.is_empty()));
}
