//! Properties of the planner of services over any history: percentages hold in every step, everything converges, what
//! fails is given up and what was good comes back.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a helper that fails fails its test")]

use std::time::Duration;

use controller_ecs::aws::Alarms;
use controller_ecs::service::member::Member;
use controller_ecs::service::object::{Breaker, Service, Stop};
use controller_ecs::service::plan::{Plan, Sight, Start, plan};
use ecs_common::capacity::Share;
use gantry_sdk::api::Time;
use proptest::prelude::*;

const WELL: Duration = Duration::from_secs(40);

/// A service, its tasks and its nodes, as they would be if all writes were made at once.
struct World {
    now: Time,
    service: Service,
    members: Vec<Member>,
    nodes: Vec<String>,
    /// Deployments whose tasks end before they are well.
    bad: Vec<String>,
    updates: u64,
    /// What CloudWatch says in each pass.
    alarms: Option<Result<Alarms, String>>,
}

impl World {
    fn new(desired: u32, minimum: u32, maximum: u32) -> Self {
        let mut service = Service::default();
        service.metadata.uid = "u".into();
        service.spec.service_name = "web".into();
        service.spec.desired_count = desired;
        service.spec.deployment_configuration.minimum_healthy_percent = Some(minimum);
        service.spec.deployment_configuration.maximum_percent = Some(maximum);
        let now = Time::from_millis(1_767_225_600_000);
        let (members, nodes, bad) = (Vec::new(), Vec::new(), Vec::new());
        let mut world = Self { now, service, members, nodes, bad, updates: 0, alarms: None };
        world.update(false);
        world
    }

    fn daemon(nodes: usize, minimum: u32) -> Self {
        let mut world = Self::new(0, minimum, 100);
        world.service.spec.scheduling_strategy = "DAEMON".into();
        world.nodes = (0..nodes).map(|n| format!("n{n}")).collect();
        world
    }

    fn breaking(mut self) -> Self {
        self.service.spec.deployment_configuration.deployment_circuit_breaker =
            Breaker { enable: true, rollback: true };
        self
    }

    fn update(&mut self, bad: bool) {
        self.updates += 1;
        let id = format!("ecs-svc/{}", self.updates);
        if bad {
            self.bad.push(id.clone());
        }
        self.service.spec.deployment.id = id;
    }

    fn think(&self) -> Plan {
        plan(Sight {
            now: self.now,
            well: WELL,
            service: &self.service,
            members: &self.members,
            nodes: &self.nodes,
            alarms: self.alarms.as_ref(),
        })
    }

    /// A pass, and its writes.
    fn pass(&mut self) -> Plan {
        let plan = self.think();
        for id in &plan.stops {
            let member = self.members.iter_mut().find(|member| member.id == *id).unwrap();
            assert!(!member.ending, "nothing is stopped twice");
            (member.ending, member.stop_code, member.ended_at) =
                (true, "ServiceSchedulerInitiated".into(), Some(self.now));
        }
        for start in &plan.starts {
            assert!(self.members.iter().all(|member| member.id != start.id), "no id comes twice");
            self.members.push(Member {
                id: start.id.clone(),
                deployment: start.deployment.clone(),
                serial: start.serial,
                node: start.node.clone(),
                last: "PROVISIONING".into(),
                ..Member::default()
            });
        }
        self.service.status = plan.status.clone();
        plan
    }

    /// Time goes by on the nodes.
    fn live(&mut self, seconds: u64) {
        self.now = self.now.after(Duration::from_secs(seconds));
        for member in self.members.iter_mut().filter(|member| !member.is_stopped()) {
            if member.ending {
                member.last = "STOPPED".into();
            } else if self.bad.contains(&member.deployment) {
                (member.ending, member.last, member.stop_code) =
                    (true, "STOPPED".into(), "EssentialContainerExited".into());
                member.ended_at = Some(self.now);
            } else if member.last != "RUNNING" {
                (member.last, member.started_at) = ("RUNNING".into(), Some(self.now));
            }
        }
    }

    fn kill(&mut self, which: usize) {
        let mut live: Vec<&mut Member> = self.members.iter_mut().filter(|member| !member.ending).collect();
        let Some(count) = live.len().checked_sub(1) else { return };
        let member = &mut live[which % (count + 1)];
        (member.ending, member.last, member.stop_code) = (true, "STOPPED".into(), "EssentialContainerExited".into());
        member.ended_at = Some(self.now);
    }

    fn healthy(&self) -> usize {
        let failed = |id: &str| self.service.status.deployments.iter().any(|d| d.id == id && d.is_failed());
        self.members.iter().filter(|m| m.is_healthy(self.now, WELL) && !failed(&m.deployment)).count()
    }

    fn there(&self) -> usize {
        self.members.iter().filter(|member| !member.is_stopped()).count()
    }

    fn settle(&mut self) {
        for _ in 0..400 {
            if self.is_at_rest() {
                return;
            }
            self.live(15);
        }
    }

    /// A pass after which nothing is left to wait for.
    fn is_at_rest(&mut self) -> bool {
        let plan = self.pass();
        let moving = self.members.iter().any(|m| !m.is_stopped() && (m.ending || !m.is_running()));
        plan.starts.is_empty() && plan.stops.is_empty() && plan.again.is_none() && !moving
    }

    fn said(&self, what: &str) -> bool {
        self.service.status.events.iter().any(|event| event.message.contains(what))
    }

    /// Every task is one of this deployment's, all run, and all is told.
    fn is_done(&self, id: &str) {
        let status = &self.service.status;
        assert_eq!(status.deployments.len(), 1, "{status:?}");
        assert_eq!(
            (status.deployments[0].id.as_str(), status.deployments[0].rollout_state.as_str()),
            (id, "COMPLETED")
        );
        assert!(
            status.steady && status.running_count == status.desired_count && status.pending_count == 0,
            "{status:?}"
        );
        let live: Vec<_> = self.members.iter().filter(|member| !member.is_stopped()).collect();
        assert!(live.iter().all(|member| member.deployment == id && member.is_running()));
        assert_eq!(live.len(), status.desired_count as usize);
    }
}

fn least(world: &World) -> usize {
    let minimum = world.service.spec.deployment_configuration.minimum_healthy_percent.unwrap();
    (world.service.spec.desired_count * minimum).div_ceil(100) as usize
}

fn most(world: &World) -> usize {
    let maximum = world.service.spec.deployment_configuration.maximum_percent.unwrap();
    (world.service.spec.desired_count * maximum / 100) as usize
}

#[derive(Clone, Debug)]
enum Step {
    Update(bool),
    Scale(u32),
    Kill(usize),
    Live(u64),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        1 => any::<bool>().prop_map(Step::Update),
        1 => (0u32..9).prop_map(Step::Scale),
        2 => any::<usize>().prop_map(Step::Kill),
        8 => (1u64..50).prop_map(Step::Live),
    ];
    proptest::collection::vec(step, 0..60)
}

fn percents() -> impl Strategy<Value = (u32, u32)> {
    prop_oneof![Just((100, 200)), Just((50, 100)), Just((0, 100)), Just((50, 150)), Just((100, 125)), Just((34, 134))]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn percentages_hold_and_everything_converges((minimum, maximum) in percents(), desired in 0u32..9, steps in steps(), breaks in any::<bool>()) {
        let mut world = World::new(desired, minimum, maximum);
        if breaks {
            world = world.breaking();
        }
        for step in steps {
            match step {
                Step::Update(bad) => world.update(bad),
                Step::Scale(to) => world.service.spec.desired_count = to,
                Step::Kill(which) => world.kill(which),
                Step::Live(seconds) => world.live(seconds),
            }
            let (healthy, there) = (world.healthy(), world.there());
            world.pass();
            prop_assert!(world.healthy() >= healthy.min(least(&world)), "never below the minimum");
            prop_assert!(world.there() <= there.max(most(&world)), "never above the maximum");
            let again = world.think();
            prop_assert!(again.starts.is_empty() && again.stops.is_empty(), "a second pass has nothing to do: {:?}", again);
            prop_assert!(world.service.status.events.len() <= 100);
        }
        // Room to move, and something that works: then all is well in the end.
        world.service.spec.deployment_configuration.minimum_healthy_percent = Some(50);
        world.service.spec.deployment_configuration.maximum_percent = Some(200);
        world.update(false);
        let id = world.service.spec.deployment.id.clone();
        world.settle();
        world.is_done(&id);
        let rest = world.think();
        prop_assert_eq!(&rest.status, &world.service.status, "nothing changes any more");
    }

    #[test]
    fn what_fails_makes_way_for_what_was_good(desired in 1u32..9, (minimum, maximum) in percents()) {
        let mut world = World::new(desired, minimum, maximum.max(200)).breaking();
        world.settle();
        world.is_done("ecs-svc/1");
        world.update(true);
        for _ in 0..400 {
            let rests = world.is_at_rest();
            let least = least(&world);
            prop_assert!(world.healthy() >= least, "the old tasks stay");
            if rests {
                break;
            }
            world.live(15);
        }
        world.is_done("ecs-svc/1");
        prop_assert!(world.service.status.deployments[0].rollback);
        prop_assert!(world.said("(service web) (deployment ecs-svc/2) deployment failed: tasks failed to start."));
        prop_assert!(world.said("(service web) rolling back to deployment ecs-svc/1."));
        let record = &world.service.status.history[0];
        prop_assert_eq!((record.id.as_str(), record.back.as_str()), ("ecs-svc/2", "ecs-svc/1"));
        prop_assert_eq!((record.status.as_str(), record.failures >= 3), ("ROLLBACK_SUCCESSFUL", true));
        world.update(false);
        world.settle();
        world.is_done("ecs-svc/3");
        let history: Vec<_> = world.service.status.history.iter().map(|record| record.status.as_str()).collect();
        prop_assert_eq!(history, ["SUCCESSFUL", "ROLLBACK_SUCCESSFUL", "SUCCESSFUL"]);
    }

    #[test]
    fn each_node_has_one(nodes in 0usize..6, minimum in prop_oneof![Just(0u32), Just(50)], steps in steps()) {
        let mut world = World::daemon(nodes, minimum);
        for step in steps {
            match step {
                Step::Update(bad) => world.update(bad),
                Step::Scale(to) => world.nodes = (0..to).map(|n| format!("n{n}")).collect(),
                Step::Kill(which) => world.kill(which),
                Step::Live(seconds) => world.live(seconds),
            }
            world.pass();
            for node in &world.nodes {
                prop_assert!(world.members.iter().filter(|m| m.node == *node && !m.is_stopped()).count() <= 1);
            }
        }
        world.service.spec.deployment_configuration.minimum_healthy_percent = Some(0);
        world.update(false);
        let id = world.service.spec.deployment.id.clone();
        world.settle();
        world.is_done(&id);
        let mut on: Vec<_> = world.members.iter().filter(|m| !m.is_stopped()).map(|m| m.node.clone()).collect();
        on.sort();
        prop_assert_eq!(on, world.nodes.clone());
    }
}

#[test]
fn a_rollout_goes_by_what_is_well() {
    let mut world = World::new(2, 100, 200);
    assert_eq!(world.pass().starts.len(), 2);
    world.live(1);
    let plan = world.pass();
    assert_eq!(plan.again, Some(WELL), "the one after which it is completed");
    assert_eq!((plan.status.running_count, plan.status.deployments[0].rollout_state.as_str()), (2, "IN_PROGRESS"));
    assert!(world.said("(service web) has reached a steady state."));
    world.live(40);
    world.pass();
    world.is_done("ecs-svc/1");
    world.update(false);
    let plan = world.pass();
    assert_eq!((plan.starts.len(), plan.stops.len()), (2, 0));
    assert_eq!(plan.status.deployments.iter().map(|d| d.status.as_str()).collect::<Vec<_>>(), ["PRIMARY", "ACTIVE"]);
    world.live(1);
    assert_eq!(world.pass().stops.len(), 0, "they run, and are not well yet");
    world.live(40);
    assert_eq!(world.pass().stops.len(), 2);
    world.live(1);
    world.pass();
    world.is_done("ecs-svc/2");
}

#[test]
fn without_a_way_back_what_failed_stays_as_it_is() {
    let mut world = World::new(1, 100, 200).breaking();
    world.update(true);
    world.settle();
    let primary = &world.service.status.deployments[0];
    assert_eq!((primary.rollout_state.as_str(), primary.failed_tasks), ("FAILED", 3));
    assert_eq!(primary.rollout_state_reason, "ECS deployment circuit breaker: tasks failed to start.");
    assert_eq!(world.members.len(), 3, "and no more are started");
    let history: Vec<_> = world.service.status.history.iter().map(|record| record.status.as_str()).collect();
    assert_eq!(history, ["STOPPED"], "the first was not begun before the second was wanted");
}

#[test]
fn without_a_breaker_tries_become_rare() {
    let mut world = World::new(1, 100, 200);
    world.update(true);
    world.settle();
    assert!(world.said("(service web) is unable to consistently start tasks successfully."));
    assert!((6..20).contains(&world.members.len()), "{} tries in 100 minutes", world.members.len());
}

#[test]
fn percentages_without_room_are_told() {
    let mut world = World::new(1, 100, 100);
    world.settle();
    world.update(false);
    world.settle();
    assert!(world.said("was unable to stop or start tasks during a deployment"));
    assert_eq!(world.service.status.deployments.len(), 2);
    world.service.spec.deployment_configuration.minimum_healthy_percent = Some(0);
    world.settle();
    world.is_done("ecs-svc/2");
}

#[test]
fn what_is_deleted_drains() {
    let mut world = World::new(2, 100, 200);
    world.settle();
    world.service.spec.deleted_at = Some(world.now);
    assert_eq!(world.pass().stops.len(), 2);
    assert_eq!((world.service.status.status.as_str(), world.service.status.desired_count), ("DRAINING", 0));
    world.live(1);
    world.pass();
    let status = &world.service.status;
    assert_eq!(
        (status.status.as_str(), status.deployments.len(), status.inactive_at),
        ("INACTIVE", 0, Some(world.now))
    );
}

#[test]
fn what_is_told_to_stop_goes_back_or_stays_as_it_is() {
    for rollback in [true, false] {
        let mut world = World::new(2, 100, 200);
        world.settle();
        world.update(true);
        world.pass();
        world.live(15);
        world.service.spec.stop = Stop { deployment: "ecs-svc/2".into(), rollback };
        world.pass();
        let record = world.service.status.history[0].clone();
        assert_eq!((record.id.as_str(), record.stopped_at.is_some()), ("ecs-svc/2", true));
        assert!(world.said("(deployment ecs-svc/2) deployment failed: stopped by a request to stop it."));
        world.settle();
        if rollback {
            world.is_done("ecs-svc/1");
            assert_eq!(world.service.status.history[0].status, "ROLLBACK_SUCCESSFUL");
        } else {
            assert_eq!(world.service.status.history[0].status, "STOPPED");
            let old = world.members.iter().filter(|m| m.deployment == "ecs-svc/1" && m.is_running()).count();
            assert_eq!(old, 2, "what ran before goes on");
        }
        // The next deployment is another one.
        world.update(false);
        world.settle();
        world.is_done("ecs-svc/3");
    }
}

#[test]
fn what_has_come_to_its_end_is_not_stopped() {
    let mut world = World::new(2, 100, 200);
    world.settle();
    world.service.spec.stop = Stop { deployment: "ecs-svc/1".into(), rollback: true };
    world.settle();
    world.is_done("ecs-svc/1");
}

#[test]
fn alarms_are_watched_until_they_would_have_seen_it() {
    let quiet = |raised: &[&str]| {
        let raised = raised.iter().map(|name| (*name).to_owned()).collect();
        Some(Ok(Alarms { raised, span: Duration::from_secs(120), ..Alarms::default() }))
    };
    let mut world = World::new(1, 100, 200);
    let alarms = &mut world.service.spec.deployment_configuration.alarms;
    (alarms.enable, alarms.rollback, alarms.alarm_names) = (true, true, vec!["errors".into()]);
    world.alarms = quiet(&[]);
    world.pass();
    world.live(1);
    world.pass();
    world.live(40);
    world.pass();
    let state = |world: &World| world.service.status.deployments[0].rollout_state.clone();
    assert_eq!(state(&world), "IN_PROGRESS", "all is well, and has to stay so for two minutes");
    world.live(119);
    let plan = world.pass();
    assert_eq!((state(&world).as_str(), plan.again), ("IN_PROGRESS", Some(Duration::from_secs(15))));
    world.live(1);
    world.pass();
    world.is_done("ecs-svc/1");

    world.update(false);
    world.pass();
    world.live(1);
    // Nobody knows: it goes on, and is not completed.
    world.alarms = Some(Err("no answer".into()));
    for _ in 0..20 {
        world.pass();
        world.live(60);
    }
    assert_eq!(state(&world), "IN_PROGRESS");
    let told = world.service.status.events.iter().filter(|event| event.message.contains("no answer")).count();
    assert_eq!(told, 1);
    world.alarms = quiet(&["errors"]);
    world.pass();
    assert!(world.said("(service web) (deployment ecs-svc/2) deployment failed: alarm detected."));
    assert_eq!(world.service.status.history[0].alarms, ["errors"]);
    world.settle();
    world.is_done("ecs-svc/1");

    // Still raised: what repairs it can be deployed.
    world.update(false);
    world.settle();
    world.is_done("ecs-svc/3");
    assert!(world.service.status.history[0].unwatched);
    assert!(world.said("(deployment ecs-svc/3) its alarms are not monitored during this deployment"));
}

#[test]
fn what_comes_back_has_its_own_capacity_providers() {
    let shares = |provider: &str| {
        vec![Share {
            capacity_provider: provider.into(),
            weight: 1,
            group: format!("{provider}-group"),
            ..Share::default()
        }]
    };
    let mut world = World::new(2, 100, 200).breaking();
    world.service.spec.capacity_providers = shares("one");
    world.settle();
    world.is_done("ecs-svc/1");
    world.service.spec.capacity_providers = shares("two");
    world.update(true);
    world.settle();
    world.is_done("ecs-svc/1");
    assert_eq!(world.service.status.deployments[0].capacity_providers, shares("one"));
    world.kill(0);
    let started = world.pass().starts;
    let of = |start: &Start| start.share.as_ref().map(|share| share.capacity_provider.clone());
    assert_eq!(started.iter().filter_map(of).collect::<Vec<_>>(), ["one"]);
    // Of a deployment that is wanted the strategy can change without another one.
    world.update(false);
    world.settle();
    world.service.spec.capacity_providers = shares("three");
    world.pass();
    assert_eq!(world.service.status.deployments[0].capacity_providers, shares("three"));
}
