//! Properties of the planners and of the whole: limits hold in every step, everything converges from any state, a
//! second pass has nothing to do, scaling loses no pod.

use std::time::Duration;

use gantry_sdk::json;
use proptest::prelude::*;

use super::{Cluster, available, image};
use crate::deployment::Deployment;
use crate::deployment::plan::samples::{deployment, set, work};
use crate::deployment::work::Work;
use crate::deployment::{rolling, scale};
use crate::replicaset::ReplicaSet;

fn rolling_deployment(replicas: i64, surge: i64, unavailable: i64) -> Deployment {
    let rolling = json!({"maxSurge": surge, "maxUnavailable": unavailable});
    deployment(json!({"replicas": replicas, "strategy": {"rollingUpdate": rolling}}))
}

/// Sets as a step leaves them.
fn after(work: &Work) -> Vec<ReplicaSet> {
    work.old.iter().chain(&work.new).map(|tracked| tracked.set.clone()).collect()
}

/// Pods that are available once the sets have been brought to their sizes: those that are not go first.
fn left(sets: &[ReplicaSet]) -> i64 {
    sets.iter().map(ReplicaSet::available).sum()
}

fn total(sets: &[ReplicaSet]) -> i64 {
    sets.iter().map(ReplicaSet::replicas).sum()
}

prop_compose! {
    /// A Deployment and sets of any sizes, with any number of their pods available.
    fn any_state()(
        replicas in 0i64..20, surge in 0i64..6, unavailable in 0i64..6, has_new in any::<bool>(),
        sizes in proptest::collection::vec((0i64..15, 0i64..100), 0..5),
    ) -> (Deployment, Vec<ReplicaSet>) {
        let deployment = rolling_deployment(replicas, surge, unavailable);
        let count = sizes.len();
        let sets = sizes.iter().enumerate().map(|(i, (size, percent))| {
            set(&deployment, i, has_new && i + 1 == count, *size, size * percent / 99)
        });
        let sets = sets.collect();
        (deployment, sets)
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn a_step_respects_the_limits((deployment, sets) in any_state()) {
        let (had, were) = (left(&sets), total(&sets));
        let mut work = work(&deployment, sets);
        rolling::step(&mut work);
        let sets = after(&work);
        prop_assert!(total(&sets) <= were.max(work.most()), "never more than allowed");
        prop_assert!(left(&sets) >= had.min(work.least()), "never fewer available than allowed");
    }

    #[test]
    fn steps_converge_when_pods_become_available((deployment, sets) in any_state()) {
        let mut sets = sets;
        for _ in 0..200 {
            let healthy = left(&sets) == total(&sets);
            let mut work = work(&deployment, sets.clone());
            rolling::step(&mut work);
            let next = after(&work);
            let same = next.len() == sets.len() && next.iter().zip(&sets).all(|(a, b)| a.replicas() == b.replicas());
            let done = same && healthy && work.new.is_some();
            sets = next;
            for set in &mut sets {
                set.metadata.uid.clone_from(&set.metadata.name);
                set.status.replicas = set.replicas();
                set.status.available_replicas = set.replicas();
            }
            if done {
                break;
            }
        }
        let work = work(&deployment, sets);
        prop_assert_eq!(work.new.as_ref().map(|new| new.set.replicas()), Some(deployment.replicas()));
        prop_assert!(work.old.iter().all(|old| !old.active()));
    }

    #[test]
    fn scaling_loses_no_pod((deployment, sets) in any_state(), to in 0i64..30) {
        let mut deployment = deployment;
        deployment.spec.replicas = Some(to);
        let active = sets.iter().filter(|set| set.replicas() > 0).count();
        let mut work = work(&deployment, sets);
        if scale::due(&work) {
            scale::apply(&mut work);
            prop_assert!(!scale::due(&work), "one step is enough");
            // Spread over several sets with room for the surge, or in the one set that there is, or is to be.
            let (got, most) = (total(&after(&work)), if active > 1 && to > 0 { work.most() } else { to });
            prop_assert!(got == most || got == to, "{} of {} to {}", got, to, most);
        }
    }
}

#[derive(Clone, Debug)]
enum Step {
    Round,
    Start(usize),
    Unready(usize),
    Lose(usize),
    Image(u8),
    Scale(i64),
    Pause(bool),
    Wait(u64),
    Restart,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        6 => Just(Step::Round),
        4 => (1usize..4).prop_map(Step::Start),
        1 => (0usize..8).prop_map(Step::Unready),
        1 => (0usize..8).prop_map(Step::Lose),
        1 => (1u8..4).prop_map(Step::Image),
        1 => (0i64..9).prop_map(Step::Scale),
        1 => any::<bool>().prop_map(Step::Pause),
        1 => (1u64..30).prop_map(Step::Wait),
        1 => Just(Step::Restart),
    ];
    proptest::collection::vec(step, 0..60)
}

fn take(cluster: &mut Cluster, step: &Step) {
    match step {
        Step::Round => drop(cluster.round()),
        Step::Start(most) => drop(cluster.kubelet(*most)),
        Step::Unready(at) => {
            let pods = cluster.pods();
            pods.get(*at).into_iter().for_each(|pod| cluster.set_ready(pod, false));
        }
        Step::Lose(at) => {
            let pods = cluster.pods();
            pods.get(*at).into_iter().for_each(|pod| cluster.host.remove(&gantry_sdk::api::Resource::reference(pod)));
        }
        Step::Image(number) => cluster.set_image(&format!("v{number}")),
        Step::Scale(replicas) => cluster.patch(json!({ "replicas": replicas })),
        Step::Pause(paused) => cluster.patch(json!({ "paused": paused })),
        Step::Wait(seconds) => cluster.host.advance(Duration::from_secs(*seconds)),
        Step::Restart => cluster.restart(),
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn whatever_happened_it_ends_as_wanted(steps in steps(), recreate in any::<bool>(), min_ready in 0i64..2) {
        let strategy = if recreate { json!({"type": "Recreate", "rollingUpdate": null}) } else { json!({}) };
        let mut cluster = Cluster::new(json!({"strategy": strategy, "minReadySeconds": min_ready * 5}));
        for step in &steps {
            take(&mut cluster, step);
        }
        cluster.patch(json!({"paused": false}));
        for _ in 0..12 {
            cluster.settle();
            // Pods that lost their readiness get it back.
            cluster.pods().iter().filter(|pod| !pod.is_ready()).for_each(|pod| cluster.set_ready(pod, true));
            cluster.advance(5);
        }
        cluster.assert_done();
    }

    /// Rounds of the controller and starts of single pods in any order: at no moment too many or too few.
    #[test]
    fn a_rollout_keeps_within_its_limits(
        replicas in 1i64..8, surge in 0i64..4, unavailable in 0i64..4,
        order in proptest::collection::vec((any::<bool>(), 1usize..4), 0..80),
    ) {
        let rolling = json!({"maxSurge": surge, "maxUnavailable": unavailable});
        let mut cluster = Cluster::running(json!({"replicas": replicas, "strategy": {"rollingUpdate": rolling}}));
        let limits = cluster.deployment().limits().unwrap();
        cluster.set_image("v2");
        for (round, most) in order {
            if round { cluster.round(); } else { cluster.kubelet(most); }
            let pods = cluster.pods();
            let serving = i64::try_from(available(&pods, Duration::ZERO, cluster.host.now())).unwrap();
            prop_assert!(i64::try_from(pods.len()).unwrap() <= replicas + limits.surge);
            prop_assert!(serving >= replicas - limits.unavailable);
        }
        cluster.settle();
        cluster.assert_done();
        prop_assert!(cluster.pods().iter().all(|pod| image(pod) == "v2"));
    }
}
