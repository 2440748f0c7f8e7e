//! Plans in a real kernel, in a network namespace of their own: each applies, and whatever the way, the rules at its end
//! are those that a full sync makes. Needs root and nft.
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

mod support;

use std::io::Write;
use std::process::{Command, Stdio};

use gantry_sdk::network_policy::{Delta, NetworkPolicy};
use gantry_sdk::{Value, serde_json};
use proptest::prelude::*;
use support::random::delta;
use support::{World, plugin, text};

/// Applies transactions one after the other in a new namespace; gives the rules at the end, without handles and in an
/// order of their own.
fn applied(transactions: &[String]) -> Vec<String> {
    let script = "while read -r line; do printf '%s' \"$line\" | nft -j -f - >&2 || exit 9; done; nft -j list ruleset";
    let mut child = Command::new("unshare")
        .args(["--net", "sh", "-c", script])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    for transaction in transactions {
        writeln!(stdin, "{transaction}").unwrap();
    }
    drop(stdin);
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{}\nof {transactions:#?}", String::from_utf8_lossy(&output.stderr));
    let listed: Value = serde_json::from_slice(&output.stdout).unwrap();
    let mut objects = listed["nftables"].as_array().unwrap().clone();
    objects.iter_mut().for_each(normal);
    // Rules keep their order within a chain; among chains it does not matter.
    objects.sort_by_key(|object| {
        let place = |kind: &str, field: &str| object[kind][field].as_str().unwrap_or_default().to_owned();
        (
            place("table", "name"),
            place("set", "name"),
            place("map", "name"),
            place("chain", "name"),
            place("rule", "chain"),
        )
    });
    objects.iter().map(Value::to_string).collect()
}

fn normal(object: &mut Value) {
    for (_, body) in object.as_object_mut().unwrap() {
        let body = body.as_object_mut().unwrap();
        body.remove("handle");
        if let Some(elements) = body.get_mut("elem").and_then(Value::as_array_mut) {
            elements.sort_by_key(ToString::to_string);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]
    #[test]
    fn every_way_leads_to_the_same_rules(batches in prop::collection::vec(prop::collection::vec(delta(), 0..10), 1..6)) {
        let (mut step_by_step, mut world) = (plugin(), World::default());
        let mut transactions: Vec<String> = text(step_by_step.sync(true, Vec::new()).unwrap()).into_iter().collect();
        for batch in batches {
            batch.iter().for_each(|delta| world.take(delta));
            transactions.extend(text(step_by_step.sync(false, batch).unwrap()));
        }
        let rules = applied(&transactions);
        let at_once = text(plugin().sync(true, world.deltas()).unwrap()).unwrap();
        // On top of what is there, as after a restart.
        transactions.push(at_once.clone());
        prop_assert_eq!(&applied(&transactions), &rules);
        prop_assert_eq!(&applied(&[at_once]), &rules);
        // When all pods are gone, so is all that there was because of them.
        let gone = world.pods.keys().cloned().map(Delta::PodGone).collect();
        transactions.extend(text(step_by_step.sync(false, gone).unwrap()));
        prop_assert_eq!(applied(&transactions), applied(&transactions[..1]));
    }
}
