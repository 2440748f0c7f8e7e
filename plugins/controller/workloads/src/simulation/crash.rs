//! A write fails, or its answer is lost, at any point of a rollout; the plugin starts anew. It ends as if nothing had
//! been.

use gantry_sdk::json;
use gantry_sdk::testing::{Fault, Verb};

use super::Cluster;

/// Rolls out a second image and scales meanwhile, with a fault after `skip` calls of a kind.
fn survives(strategy: &str, verb: Verb, skip: u32, made: bool) {
    let mut cluster = Cluster::new(json!({"replicas": 2, "strategy": {"type": strategy}}));
    let fault = Fault::on(verb).skip(skip);
    cluster.host.fail(if made { fault.but_made() } else { fault });
    cluster.settle();
    // Failed passes are repeated after a second.
    cluster.advance(1);
    cluster.set_image("v2");
    for _ in 0..3 {
        cluster.round();
        cluster.restart();
        cluster.kubelet(1);
    }
    cluster.patch(json!({"replicas": 3}));
    cluster.settle();
    cluster.advance(1);
    cluster.assert_done();
    let what = format!("{verb:?} {skip}, made: {made}, {strategy}");
    assert_eq!(cluster.sets().len(), 2, "{what}");
    assert_eq!(cluster.revision(), "2", "{what}");
}

/// As many calls of each kind as such a rollout makes, and a few more.
fn writes() -> impl Iterator<Item = (Verb, u32)> {
    [(Verb::Create, 8), (Verb::Patch, 22), (Verb::Delete, 3)].into_iter().flat_map(|(v, n)| (0..n).map(move |i| (v, i)))
}

#[test]
fn a_write_of_a_rolling_update_fails() {
    writes().for_each(|(verb, skip)| survives("RollingUpdate", verb, skip, false));
}

#[test]
fn the_answer_to_a_write_of_a_rolling_update_is_lost() {
    writes().for_each(|(verb, skip)| survives("RollingUpdate", verb, skip, true));
}

#[test]
fn a_write_of_a_recreation_fails() {
    writes().for_each(|(verb, skip)| survives("Recreate", verb, skip, false));
}

#[test]
fn the_answer_to_a_write_of_a_recreation_is_lost() {
    writes().for_each(|(verb, skip)| survives("Recreate", verb, skip, true));
}

#[test]
fn reads_that_fail_only_delay() {
    for verb in [Verb::Get, Verb::List] {
        for skip in 0..10 {
            survives("RollingUpdate", verb, skip, false);
        }
    }
}
