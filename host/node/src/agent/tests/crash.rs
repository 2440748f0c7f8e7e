//! An agent killed at any step, and another one started over what it left: everything converges, and no container is
//! ever started twice (the runtime of these tests panics if one is).

use std::time::Duration;

use serde_json::{Value, json};

use crate::agent::testing::world::World;

/// More steps than any of these lives has.
const MOST_STEPS: usize = 200;

fn spec() -> Value {
    json!({
        "restartPolicy": "OnFailure",
        "initContainers": [
            {"name": "i", "image": "image:1"},
            {"name": "s", "image": "image:1", "restartPolicy": "Always"},
        ],
        "containers": [
            {"name": "a", "image": "image:1", "lifecycle": {"postStart": {"exec": {"command": ["hi"]}}}},
            {"name": "b", "image": "image:1"},
        ],
    })
}

/// Kills the agent if it has come to the step at which it is to die, and starts another.
async fn check(world: &mut World, killed: &mut bool) {
    if !*killed && world.journal.is_hanging() {
        *killed = true;
        world.kill().await;
        world.start();
    }
}

async fn until(world: &mut World, killed: &mut bool, what: &str, condition: impl Fn(&World) -> bool) {
    for _ in 0..20_000 {
        check(world, killed).await;
        if condition(world) {
            return;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    world.until(what, |world| condition(world)).await;
}

/// One whole life with a kill at a step. Answers whether it came to that step.
async fn life(step: usize) -> bool {
    let mut world = World::empty();
    *world.journal.hang_at.lock().unwrap() = Some(step);
    world.start();
    let (w, killed) = (&mut world, &mut false);
    w.create(spec());
    until(w, killed, "i runs", |w| w.runtime.running() == ["i/0"]).await;
    w.runtime.end("i/0", 0);
    until(w, killed, "all run", |w| w.runtime.running() == ["a/0", "b/0", "s/0"]).await;
    w.runtime.end("b/0", 1);
    until(w, killed, "b runs again", |w| w.runtime.running() == ["a/0", "b/1", "s/0"]).await;
    until(w, killed, "it is told", |w| {
        w.status("/phase") == "Running"
            && w.condition("Ready") == "True"
            && w.status("/containerStatuses/1/restartCount") == 1
    })
    .await;
    w.delete(30);
    until(w, killed, "the pod is gone", |w| w.cluster.value("web").is_none()).await;
    until(w, killed, "nothing is left", |w| {
        w.runtime.known().is_empty()
            && w.runtime.sandboxes_left().is_empty()
            && w.network.attached.lock().unwrap().is_empty()
            && !w.pod_dir().exists()
    })
    .await;
    let starts: Vec<String> = w.steps(&["create"]).into_iter().filter(|step| step.contains("/1")).collect();
    assert!(starts.iter().all(|step| step == "create b/1"), "only b restarts, at step {step}: {starts:?}");
    *killed
}

#[tokio::test(start_paused = true)]
async fn a_kill_at_any_step_converges() {
    let mut steps = 0;
    while life(steps).await {
        steps += 1;
        assert!(steps < MOST_STEPS);
    }
    assert!(steps > 40, "only {steps} steps were tried");
}

#[tokio::test(start_paused = true)]
async fn running_containers_are_taken_over() {
    let mut world = World::new();
    world.create(json!({}));
    world.until_phase("Running").await;
    let (writes, before) = (world.cluster.writes(), world.cluster.value("web"));
    world.kill().await;
    world.start();
    tokio::time::sleep(Duration::from_secs(300)).await;
    assert_eq!(world.runtime.running(), ["c/0"]);
    assert_eq!(world.steps(&["create", "start", "signal"]), ["create c/0", "start c/0"]);
    assert_eq!((world.cluster.writes(), world.cluster.value("web")), (writes, before), "nothing changed");
}

#[tokio::test(start_paused = true)]
async fn ends_that_nobody_saw_are_adopted() {
    let mut world = World::new();
    world.create(json!({"restartPolicy": "Never"}));
    world.until_phase("Running").await;
    world.kill().await;
    world.runtime.end("c/0", 7);
    world.start();
    world.until_phase("Failed").await;
    assert_eq!(world.status("/containerStatuses/0/state/terminated/exitCode"), 7);
}

#[tokio::test(start_paused = true)]
async fn waits_go_on_after_a_restart_of_the_agent() {
    let mut world = World::new();
    world.create(json!({}));
    for which in ["c/0", "c/1", "c/2"] {
        world.until(which, |w| w.runtime.running() == [which]).await;
        world.runtime.end(which, 1);
    }
    world.kill().await;
    let at = tokio::time::Instant::now();
    world.start();
    world.until("it is started again", |w| w.runtime.running() == ["c/3"]).await;
    assert!((19..=21).contains(&at.elapsed().as_secs()), "{:?}", at.elapsed());
}

#[tokio::test(start_paused = true)]
async fn a_pod_that_is_over_stays_so() {
    let mut world = World::new();
    world.create(json!({"restartPolicy": "OnFailure"}));
    world.until_phase("Running").await;
    world.runtime.end("c/0", 0);
    world.until_phase("Succeeded").await;
    let before = world.cluster.value("web");
    world.kill().await;
    world.start();
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert_eq!(world.steps(&["start"]), ["start c/0"]);
    assert_eq!(world.cluster.value("web"), before);
    world.delete(30);
    world.until_gone().await;
    assert!(world.runtime.known().is_empty());
}

#[tokio::test(start_paused = true)]
async fn init_containers_run_again_after_a_reboot_and_not_after_a_restart_of_the_agent() {
    let mut world = World::new();
    let init = json!([{"name": "i", "image": "image:1"}]);
    world.create(json!({"initContainers": init, "containers": [{"name": "c", "image": "image:1"}]}));
    world.until("i runs", |w| w.runtime.running() == ["i/0"]).await;
    world.runtime.end("i/0", 0);
    world.until("c runs", |w| w.runtime.running() == ["c/0"]).await;
    world.until_phase("Running").await;
    world.kill().await;
    world.start();
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert_eq!(world.runtime.running(), ["c/0"]);
    world.kill().await;
    world.runtime.lose_all();
    world.boot = "second".to_owned();
    world.start();
    world.until("i runs again", |w| w.runtime.running() == ["i/1"]).await;
    world.until("it is told", |w| w.condition("Initialized") == "False").await;
    world.runtime.end("i/1", 0);
    world.until("c runs again", |w| w.runtime.running() == ["c/1"]).await;
    world.until("it is ready", |w| w.condition("Ready") == "True").await;
    // Now this is the sandbox that counts.
    world.kill().await;
    world.start();
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert_eq!(world.runtime.running(), ["c/1"]);
}

#[tokio::test(start_paused = true)]
async fn what_ran_until_the_node_was_switched_off_waits_for_nothing() {
    let mut world = World::new();
    world.create(json!({}));
    for run in 0..3 {
        let which = format!("c/{run}");
        world.until(&which, |w| w.runtime.running() == [which.as_str()]).await;
        world.until("it is told", |w| w.status("/containerStatuses/0/restartCount") == run).await;
        world.kill().await;
        world.runtime.lose_all();
        world.boot = format!("boot {run}");
        let at = tokio::time::Instant::now();
        world.start();
        let next = format!("c/{}", run + 1);
        world.until(&next, |w| w.runtime.running() == [next.as_str()]).await;
        assert!(at.elapsed() < Duration::from_secs(5), "{:?}", at.elapsed());
    }
}

#[tokio::test(start_paused = true)]
async fn a_pod_that_others_called_unready_is_ready_again() {
    let world = World::new();
    world.create(json!({}));
    world.until("it is ready", |w| w.condition("Ready") == "True").await;
    world.cluster.edit_pod("web", |pod| {
        for condition in pod["status"]["conditions"].as_array_mut().unwrap() {
            if condition["type"] == "Ready" {
                condition["status"] = json!("False");
            }
        }
    });
    assert_eq!(world.condition("Ready"), "False");
    world.until("its agent says how it is", |w| w.condition("Ready") == "True").await;
}
