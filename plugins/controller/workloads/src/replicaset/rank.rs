//! Which pods go first when there are too many: those whose loss is felt least.

use std::cmp::Ordering;
use std::collections::BTreeMap;

use gantry_sdk::api::Time;

use super::pod::Row;

/// How many pods of the same workload are on each node. Pods of a Deployment's other ReplicaSets count too.
pub type Crowd = BTreeMap<String, usize>;

/// Counts active pods by node.
pub fn crowd<'a>(pods: impl IntoIterator<Item = &'a Row>) -> Crowd {
    let mut crowd = Crowd::new();
    for pod in pods.into_iter().filter(|pod| pod.active()) {
        *crowd.entry(pod.node().to_owned()).or_default() += 1;
    }
    crowd
}

/// The first `count` pods to delete, in order.
pub fn victims(mut pods: Vec<Row>, crowd: &Crowd, count: usize, now: Time) -> Vec<Row> {
    pods.retain(Row::active);
    pods.sort_by(|a, b| order(a, b, crowd, now));
    pods.truncate(count);
    pods
}

fn order(a: &Row, b: &Row, crowd: &Crowd, now: Time) -> Ordering {
    let on_node = |pod: &Row| crowd.get(pod.node()).copied().unwrap_or(0);
    (!a.node().is_empty())
        .cmp(&!b.node().is_empty())
        .then_with(|| phase(a).cmp(&phase(b)))
        .then_with(|| a.ready().cmp(&b.ready()))
        .then_with(|| a.deletion_cost().cmp(&b.deletion_cost()))
        .then_with(|| on_node(b).cmp(&on_node(a)))
        .then_with(|| magnitude(ready_since(a), now).cmp(&magnitude(ready_since(b), now)))
        .then_with(|| b.restarts().cmp(&a.restarts()))
        .then_with(|| magnitude(a.created(), now).cmp(&magnitude(b.created(), now)))
        .then_with(|| a.uid().cmp(b.uid()))
}

fn phase(pod: &Row) -> u8 {
    match pod.phase() {
        "Pending" | "" => 0,
        "Unknown" => 1,
        _ => 2,
    }
}

/// Only of pods that are ready: the time says nothing about others.
fn ready_since(pod: &Row) -> Option<Time> {
    pod.ready_since().filter(|_| pod.ready())
}

/// Ages are compared by their order of magnitude, so that not always the very youngest goes. Within one, uids decide in
/// the end, which is as good as chance and the same in every pass.
fn magnitude(since: Option<Time>, now: Time) -> i64 {
    let Some(since) = since else { return -1 };
    now.since(since).as_secs().checked_ilog2().map_or(0, |power| i64::from(power) + 1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const NOW_MS: u64 = 1_000_000_000;

    fn now() -> Time {
        Time::from_millis(NOW_MS)
    }

    fn ago(ms: u64) -> Option<Time> {
        Some(Time::from_millis(NOW_MS - ms))
    }

    /// A settled pod, which the closure makes worse or better.
    fn pod(name: &str, change: impl FnOnce(&mut Row)) -> Row {
        let mut row = Row { 0: name.into(), 1: name.into(), 5: "Running".into(), 6: "True".into(), ..Row::default() };
        row.7 = ago(64_000);
        row.8 = ago(64_000);
        row.10 = "n1".into();
        change(&mut row);
        row
    }

    fn before(first: &Row, second: &Row) {
        let crowd = Crowd::from([("n1".to_owned(), 1), ("n2".to_owned(), 2)]);
        for pods in [vec![first.clone(), second.clone()], vec![second.clone(), first.clone()]] {
            let gone = victims(pods, &crowd, 1, now());
            assert_eq!(gone.first().map(Row::name), Some(first.name()), "{} before {}", first.name(), second.name());
        }
    }

    #[test]
    fn each_rule_yields_to_the_one_before() {
        let ladder = [
            pod("unassigned", |p| p.10.clear()),
            pod("pending", |p| p.5 = "Pending".into()),
            pod("unknown", |p| p.5 = "Unknown".into()),
            pod("unready", |p| p.6 = "False".into()),
            pod("cheap", |p| p.9 = "-1".into()),
            pod("doubled-up", |p| p.10 = "n2".into()),
            pod("young", |p| p.7 = ago(5_000)),
            pod("restarted", |p| p.11 = vec![super::super::pod::Container { restart_count: 3 }]),
            pod("newer", |p| p.8 = ago(10_000)),
            pod("settled", |_| {}),
            pod("dear", |p| p.9 = "5".into()),
        ];
        for (i, worse) in ladder.iter().enumerate() {
            for better in ladder.iter().skip(i + 1) {
                before(worse, better);
            }
        }
    }

    #[test]
    fn ages_of_one_magnitude_are_alike() {
        before(&pod("a", |p| p.7 = ago(120_000)), &pod("b", |p| p.7 = ago(70_000)));
        before(&pod("a", |p| p.7 = ago(70_000)), &pod("b", |p| p.7 = ago(120_000)));
        before(&pod("b", |p| p.7 = ago(3_000)), &pod("a", |p| p.7 = ago(70_000)));
    }

    #[test]
    fn finished_and_going_pods_are_no_victims() {
        let pods = vec![pod("done", |p| p.5 = "Failed".into()), pod("going", |p| p.4 = ago(0))];
        assert!(victims(pods, &Crowd::new(), 2, now()).is_empty());
    }

    proptest! {
        #[test]
        fn the_order_is_total(seeds in proptest::collection::vec((0u8..3, 0u8..3, 0u64..200, 0u64..200, 0u8..3), 0..30)) {
            let pods: Vec<Row> = seeds.iter().enumerate().map(|(i, (node, state, ready, age, restarts))| {
                pod(&format!("p{i:02}"), |p| {
                    p.10 = if *node == 0 { String::new() } else { format!("n{node}") };
                    p.5 = ["Pending", "Running", "Unknown"][usize::from(*state)].into();
                    p.6 = if ready % 3 == 0 { "False".into() } else { "True".into() };
                    p.7 = if ready % 7 == 0 { None } else { ago(ready * 1000) };
                    p.8 = ago(age * 1000);
                    p.11 = vec![super::super::pod::Container { restart_count: i64::from(*restarts) }];
                })
            }).collect();
            let crowd = crowd(&pods);
            let names = |rows: Vec<Row>| rows.into_iter().map(|r| r.0).collect::<Vec<_>>();
            let mut reversed = pods.clone();
            reversed.reverse();
            let count = pods.len();
            prop_assert_eq!(names(victims(pods, &crowd, count, now())), names(victims(reversed, &crowd, count, now())));
        }
    }
}
