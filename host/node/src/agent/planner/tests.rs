//! The planner: tables of views and plans, and lives of random pods that must come to rest.

use std::collections::HashMap;

use gantry_model::order::State;
use jiff::Timestamp;
use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::agent::desired::Desired;
use crate::agent::instance::Life;
use crate::agent::testing::{UID, desired};

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap()
}

/// A pod, and what is seen of it.
struct Scene {
    desired: Desired,
    instances: Vec<Instance>,
    health: HashMap<String, Health>,
    busy: Busy,
    holds: HashMap<String, Hold>,
    prepared: bool,
    torn_down: bool,
    stop: bool,
    now: Timestamp,
}

impl Scene {
    fn new(spec: Value) -> Self {
        Self {
            desired: desired(UID, spec, json!({})),
            instances: Vec::new(),
            health: HashMap::new(),
            busy: Busy::default(),
            holds: HashMap::new(),
            prepared: true,
            torn_down: false,
            stop: false,
            now: at(1000),
        }
    }

    fn plan(&self) -> Plan {
        plan(&View {
            pod: "web_default(u)",
            units: &self.desired.units,
            policy: self.desired.policy,
            instances: &self.instances,
            health: &self.health,
            busy: &self.busy,
            holds: &self.holds,
            prepared: self.prepared,
            torn_down: self.torn_down,
            stop: self.stop,
            now: self.now,
        })
    }

    fn add(&mut self, container: &str, attempt: u32, delay: u32, life: Life) -> String {
        let unit = self.desired.unit(container).unwrap().clone();
        let mut instance = Instance::new(&self.desired.key, &unit, attempt, delay);
        instance.started = (life != Life::Created).then(|| at(900));
        if life == Life::Running {
            let up = Health { started: true, hooked: true, ready: true, doom: None };
            self.health.insert(instance.id.clone(), up);
        }
        instance.life = life;
        let id = instance.id.clone();
        self.instances.push(instance);
        id
    }

    fn ended(&mut self, container: &str, attempt: u32, delay: u32, code: i32, second: i64) -> String {
        let (reason, message) = (String::new(), String::new());
        self.add(container, attempt, delay, Life::Ended(End { code, at: at(second), reason, message }))
    }
}

fn start(container: &str, attempt: u32, delay: u32) -> Action {
    Action::Start { container: container.to_owned(), attempt, delay }
}

#[test]
fn restarts_follow_policy_and_back_off() {
    for (policy, code, delay, ended, want, wake) in [
        ("Always", 0, 0, 999, vec![start("c", 1, 10)], None),
        ("Always", 1, 10, 995, vec![], Some(1005)),
        ("Always", 1, 10, 990, vec![start("c", 1, 20)], None),
        ("OnFailure", 1, 0, 999, vec![start("c", 1, 10)], None),
        ("OnFailure", 0, 0, 999, vec![Action::TearDown], None),
        ("Never", 1, 0, 999, vec![Action::TearDown], None),
    ] {
        let mut scene = Scene::new(json!({"restartPolicy": policy}));
        scene.ended("c", 0, delay, code, ended);
        let plan = scene.plan();
        assert_eq!(plan.actions, want, "{policy} {code} {delay}");
        assert_eq!(plan.wake, wake.map(at), "{policy} {code} {delay}");
        let waits = plan.waiting.get("c").is_some_and(|waiting| waiting.reason == "CrashLoopBackOff");
        assert_eq!(waits, wake.is_some(), "{policy} {code} {delay}");
    }
}

#[test]
fn init_containers_run_again_in_a_new_sandbox() {
    let spec = json!({
        "initContainers": [{"name": "i", "image": "a"}, {"name": "j", "image": "a"}],
        "containers": [{"name": "c", "image": "a"}, {"name": "d", "image": "a"}],
    });
    let old = |scene: &mut Scene| scene.instances.iter_mut().for_each(|instance| instance.former = true);
    for (policy, codes, want) in [
        ("Always", (137, 137), vec![start("i", 1, 0)]),
        ("OnFailure", (0, 137), vec![start("i", 1, 0)]),
        // There is nothing to run, so nothing to prepare for.
        ("OnFailure", (0, 0), vec![Action::TearDown]),
        ("Never", (137, 137), vec![Action::TearDown]),
    ] {
        let mut spec = spec.clone();
        spec["restartPolicy"] = json!(policy);
        let mut scene = Scene::new(spec);
        for (container, code) in [("i", 0), ("j", 0), ("c", codes.0), ("d", codes.1)] {
            scene.ended(container, 0, 0, code, 900);
        }
        old(&mut scene);
        assert_eq!(scene.plan().actions, want, "{policy} {codes:?}");
        if want == [Action::TearDown] {
            continue;
        }
        assert!(!scene.plan().initialized);
        // One after the other, then the ordinary ones.
        scene.ended("i", 1, 0, 0, 990);
        assert_eq!(scene.plan().actions.last(), Some(&start("j", 1, 0)));
        scene.ended("j", 1, 0, 0, 995);
        let plan = scene.plan();
        assert!(plan.initialized);
        let first = if codes.0 == 0 { "d" } else { "c" };
        assert_eq!(plan.actions.last(), Some(&start(first, 1, 10)), "{policy}");
    }
}

#[test]
fn ten_good_minutes_start_the_back_off_anew() {
    let mut scene = Scene::new(json!({}));
    let id = scene.ended("c", 4, 300, 1, 999);
    scene.instances.iter_mut().find(|i| i.id == id).unwrap().started = Some(at(399));
    assert_eq!(scene.plan().actions, [start("c", 5, 10)]);
}

#[test]
fn nothing_starts_before_the_pod_is_prepared_and_one_at_a_time_after() {
    let mut scene = Scene::new(json!({"containers": [{"name": "a"}, {"name": "b"}]}));
    scene.prepared = false;
    assert_eq!(scene.plan().actions, [Action::Prepare]);
    scene.busy.preparing = true;
    assert_eq!(scene.plan().actions, []);
    (scene.prepared, scene.busy.preparing) = (true, false);
    assert_eq!(scene.plan().actions, [start("a", 0, 0)]);
    scene.busy.starting = Some("a".to_owned());
    scene.add("a", 0, 0, Life::Created);
    assert_eq!(scene.plan().actions, []);
    scene.busy.starting = None;
    assert_eq!(scene.plan().actions, [Action::Resume { id: scene.instances[0].id.clone() }]);
}

#[test]
fn a_hook_is_waited_for() {
    let mut scene = Scene::new(json!({"containers": [{"name": "a"}, {"name": "b"}]}));
    let id = scene.add("a", 0, 0, Life::Running);
    scene.health.get_mut(&id).unwrap().hooked = false;
    assert_eq!(scene.plan().actions, [Action::Hook { id: id.clone() }]);
    scene.health.get_mut(&id).unwrap().hooked = true;
    assert_eq!(scene.plan().actions, [start("b", 0, 0)]);
}

#[test]
fn init_containers_that_are_long_removed_do_not_run_again() {
    let spec = json!({
        "initContainers": [{"name": "i"}, {"name": "s", "restartPolicy": "Always"}],
        "containers": [{"name": "c"}],
    });
    let mut scene = Scene::new(spec);
    scene.add("c", 0, 0, Life::Running);
    let plan = scene.plan();
    assert_eq!(plan.actions, [start("s", 0, 0)], "but a sidecar is kept running");
    assert!(plan.initialized);
}

#[test]
fn a_failed_init_container_ends_the_pod_by_policy() {
    for (policy, want, outcome) in
        [("Never", Action::TearDown, Some(Outcome::Failed)), ("Always", start("i", 1, 10), None)]
    {
        let mut scene = Scene::new(json!({"restartPolicy": policy, "initContainers": [{"name": "i"}]}));
        scene.ended("i", 0, 0, 1, 990);
        let plan = scene.plan();
        assert_eq!((plan.actions, plan.outcome), (vec![want], outcome), "{policy}");
        assert!(!plan.initialized);
    }
}

#[test]
fn a_pod_ends_from_the_outside_in() {
    let sidecar = |name: &str| json!({"name": name, "restartPolicy": "Always"});
    let mut scene = Scene::new(json!({"initContainers": [sidecar("s"), sidecar("t")]}));
    let ids = ["s", "t", "c"].map(|name| scene.add(name, 0, 0, Life::Running));
    scene.stop = true;
    let kill = |id: &str, name: &str| {
        vec![Action::Kill { id: id.to_owned(), message: format!("Stopping container {name}"), grace: None }]
    };
    for (id, name) in [(&ids[2], "c"), (&ids[1], "t"), (&ids[0], "s")] {
        assert_eq!(scene.plan().actions, kill(id, name));
        scene.busy.killing.insert(id.clone());
        assert_eq!(scene.plan().actions, []);
        scene.busy.killing.clear();
        let end = End { code: 143, at: at(1000), reason: String::new(), message: String::new() };
        scene.instances.iter_mut().find(|i| i.id == *id).unwrap().life = Life::Ended(end);
    }
    assert_eq!(scene.plan().actions, [Action::TearDown]);
    scene.torn_down = true;
    assert_eq!(scene.plan().actions, []);
}

#[test]
fn a_changed_image_replaces_the_container() {
    let mut scene = Scene::new(json!({}));
    let id = scene.add("c", 0, 0, Life::Running);
    scene.instances[0].hash = "old".to_owned();
    let message = "Container c definition changed, will be restarted".to_owned();
    assert_eq!(scene.plan().actions, [Action::Kill { id, message, grace: None }]);
}

#[test]
fn holds_wait_and_say_why() {
    let mut scene = Scene::new(json!({}));
    let later = Some((at(1002), "ImagePullBackOff", "back off".to_owned()));
    let hold = Hold { reason: "ErrImagePull", message: "no".to_owned(), until: at(1010), later, delay: 10 };
    scene.holds.insert("c".to_owned(), hold);
    for (now, reason, actions, wake) in [
        (1000, "ErrImagePull", vec![], Some(1002)),
        (1003, "ImagePullBackOff", vec![], Some(1010)),
        (1010, "ImagePullBackOff", vec![start("c", 0, 0)], None),
    ] {
        scene.now = at(now);
        let plan = scene.plan();
        assert_eq!((plan.waiting["c"].reason.as_str(), plan.actions, plan.wake), (reason, actions, wake.map(at)));
    }
}

#[test]
fn only_the_last_dead_instance_is_kept() {
    let mut scene = Scene::new(json!({}));
    let old = scene.ended("c", 0, 0, 1, 500);
    scene.ended("c", 1, 0, 1, 600);
    scene.add("c", 2, 0, Life::Running);
    assert_eq!(scene.plan().actions, [Action::Forget { id: old }]);
}

fn any_pod() -> impl Strategy<Value = (Value, Vec<u8>)> {
    let policies = prop::sample::select(vec!["Always", "OnFailure", "Never"]);
    let init = prop::collection::vec(any::<bool>(), 0..3);
    (policies, init, 1..4_usize, prop::collection::vec(any::<u8>(), 0..40)).prop_map(|(policy, init, main, luck)| {
        let init: Vec<Value> = init
            .iter()
            .enumerate()
            .map(|(i, sidecar)| json!({"name": format!("i{i}"), "restartPolicy": sidecar.then_some("Always")}))
            .collect();
        let main: Vec<Value> = (0..main).map(|i| json!({"name": format!("m{i}")})).collect();
        (json!({"restartPolicy": policy, "initContainers": init, "containers": main}), luck)
    })
}

/// Does what a plan asks for, as a worker would. `luck` decides how containers end.
fn obey(scene: &mut Scene, action: Action, second: i64) {
    match action {
        Action::Prepare => scene.prepared = true,
        Action::Start { container, attempt, delay } => {
            let twin = scene.instances.iter().any(|i| i.container == container && i.is_running());
            assert!(!twin, "{container} was started while it ran");
            let again = scene.instances.iter().any(|i| i.container == container && i.attempt >= attempt);
            assert!(!again, "{container}/{attempt} was started again");
            scene.add(&container, attempt, delay, Life::Running);
        }
        Action::Resume { .. } | Action::Hook { .. } => {}
        Action::Kill { id, .. } => {
            let end = End { code: 137, at: at(second), reason: String::new(), message: String::new() };
            scene.instances.iter_mut().find(|i| i.id == id).unwrap().life = Life::Ended(end);
        }
        Action::Forget { id } => scene.instances.retain(|i| i.id != id),
        Action::TearDown => {
            assert!(!scene.instances.iter().any(Instance::is_running), "torn down while something runs");
            scene.torn_down = true;
        }
    }
}

proptest! {
    #[test]
    fn every_pod_comes_to_rest((spec, luck) in any_pod(), stop_at in 0..60_usize) {
        let mut scene = Scene::new(spec);
        scene.prepared = false;
        let mut luck = luck.into_iter();
        for step in 0..400_usize {
            let second = 1000 + i64::try_from(step).unwrap() * 400;
            scene.now = at(second);
            scene.stop |= step >= stop_at;
            let plan = scene.plan();
            let twice = scene.plan();
            prop_assert_eq!(&plan, &twice);
            let quiet = plan.actions.is_empty();
            for action in plan.actions {
                obey(&mut scene, action, second);
            }
            if scene.torn_down {
                let only_forgets = scene.plan().actions.iter().all(|action| matches!(action, Action::Forget { .. }));
                prop_assert!(only_forgets);
                return Ok(());
            }
            if let Some(luck) = luck.next() && quiet {
                let running: Vec<usize> = (0..scene.instances.len()).filter(|i| scene.instances[*i].is_running()).collect();
                if !running.is_empty() {
                    let which = running[usize::from(luck) % running.len()];
                    let end = End { code: i32::from(luck % 3), at: at(second), reason: String::new(), message: String::new() };
                    scene.instances[which].life = Life::Ended(end);
                }
            }
        }
        prop_assert!(false, "it never came to rest: {:?}", scene.instances);
    }
}

#[test]
fn many_containers_that_wait_for_each_other_are_looked_at_once() {
    let names: Vec<String> = (0..40).map(|n| format!("c{n}")).collect();
    let containers: Vec<Value> = names.iter().map(|name| json!({"name": name, "image": "a"})).collect();
    let mut scene = Scene::new(json!({"containers": containers}));
    for (n, unit) in scene.desired.units.iter_mut().enumerate() {
        unit.after = names[..n].iter().map(|name| (name.clone(), State::Started)).collect();
    }
    // Were every way from one to another looked at, it would not end.
    assert_eq!(scene.plan().actions, vec![start("c0", 0, 0)]);
}

#[test]
fn what_succeeded_before_a_boot_is_not_waited_for_again() {
    for (policy, code, starts) in [("Never", 0, true), ("OnFailure", 0, true), ("OnFailure", 1, false)] {
        let mut scene = Scene::new(json!({
            "restartPolicy": policy, "containers": [{"name": "app", "image": "a"}, {"name": "job", "image": "a"}],
        }));
        scene.desired.units[0].after = [("job".to_owned(), State::Succeeded)].into();
        scene.ended("job", 0, 0, code, 950);
        scene.instances.iter_mut().for_each(|instance| instance.former = true);
        let actions = scene.plan().actions;
        assert_eq!(actions.contains(&start("app", 0, 0)), starts, "{policy} {code}: {actions:?}");
    }
}

#[test]
fn a_container_starts_after_those_before_it() {
    let running = || Life::Running;
    let ended = |code: i32| Life::Ended(End { code, at: at(999), reason: String::new(), message: String::new() });
    for (policy, state, before, ready, want) in [
        ("Never", State::Started, None, false, Some("WaitingForContainer")),
        ("Never", State::Started, Some(Life::Created), false, Some("WaitingForContainer")),
        ("Never", State::Started, Some(running()), false, None),
        ("Never", State::Started, Some(ended(1)), false, None),
        ("Never", State::Ended, Some(running()), true, Some("WaitingForContainer")),
        ("Never", State::Ended, Some(ended(1)), false, None),
        ("Never", State::Succeeded, Some(running()), true, Some("WaitingForContainer")),
        ("Never", State::Succeeded, Some(ended(0)), false, None),
        ("Never", State::Succeeded, Some(ended(1)), false, Some("DependencyFailed")),
        ("OnFailure", State::Succeeded, Some(ended(1)), false, Some("WaitingForContainer")),
        ("Never", State::Ready, Some(running()), false, Some("WaitingForContainer")),
        ("Never", State::Ready, Some(running()), true, None),
        ("Never", State::Ready, Some(ended(0)), false, Some("DependencyFailed")),
        ("Always", State::Ready, Some(ended(0)), false, Some("WaitingForContainer")),
    ] {
        let containers = json!([{"name": "b", "image": "a"}, {"name": "a", "image": "a"}]);
        let mut scene = Scene::new(json!({"restartPolicy": policy, "containers": containers}));
        scene.desired.units[0].after = [("a".to_owned(), state)].into();
        if let Some(life) = before.clone() {
            let id = scene.add("a", 0, 0, life);
            scene.health.entry(id).and_modify(|health| health.ready = ready);
        }
        let plan = scene.plan();
        let waits = plan.waiting.get("b").map(|waiting| waiting.reason.clone());
        let waits = waits.filter(|reason| reason != "ContainerCreating");
        assert_eq!(waits.as_deref(), want, "{policy} {state:?} {before:?} {ready}");
        assert_eq!(plan.actions.contains(&start("b", 0, 0)), want.is_none(), "{policy} {state:?} {before:?} {ready}");
    }
}

#[test]
fn what_can_not_start_any_more_is_the_end_of_its_pod() {
    let containers = json!([{"name": "c", "image": "a"}, {"name": "b", "image": "a"}, {"name": "a", "image": "a"}]);
    let mut scene = Scene::new(json!({"restartPolicy": "Never", "containers": containers}));
    scene.desired.units[0].after = [("b".to_owned(), State::Started)].into();
    scene.desired.units[1].after = [("a".to_owned(), State::Succeeded)].into();
    scene.ended("a", 0, 0, 3, 999);
    let plan = scene.plan();
    assert_eq!((plan.outcome, plan.actions.as_slice()), (Some(Outcome::Failed), &[Action::TearDown][..]));
    for name in ["b", "c"] {
        assert_eq!(plan.waiting.get(name).map(|waiting| waiting.reason.as_str()), Some("DependencyFailed"), "{name}");
    }
    // Whoever has begun once waits for nobody.
    scene.add("b", 0, 0, Life::Running);
    assert_eq!(scene.plan().outcome, None);
    assert!(scene.plan().actions.contains(&start("c", 0, 0)));
}
