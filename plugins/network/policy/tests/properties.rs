//! Random clusters and changes: whatever the way, each packet is judged as the plainest reading of the policies judges it,
//! and the rules at the end are those that a full sync makes.
#![allow(clippy::unwrap_used)]

mod support;

use std::net::IpAddr;

use gantry_sdk::network_policy::{Delta, NetworkPolicy};
use proptest::prelude::*;
use support::random::{PODS, delta};
use support::{Packet, Ruleset, World, plugin, text};

fn packets() -> Vec<Packet> {
    let v4 = (1..=PODS).map(|n| IpAddr::from([10, 64, 0, n])).chain([IpAddr::from([203, 0, 113, 9])]);
    let v6 = (1..=PODS).map(|n| IpAddr::from([0xfd00, 0x64, 0, 0, 0, 0, 0, u16::from(n)]));
    let (v4, v6): (Vec<_>, Vec<_>) = (v4.collect(), v6.collect());
    let pairs = |all: &[IpAddr]| -> Vec<(IpAddr, IpAddr)> {
        all.iter().flat_map(|from| all.iter().map(move |to| (*from, *to))).collect()
    };
    let kinds = [("tcp", 80), ("tcp", 82), ("tcp", 443), ("udp", 81), ("sctp", 90), ("icmp", 0)];
    let packet = |(from, to)| kinds.map(|(protocol, port)| Packet { from, to, protocol, port, reply: false });
    pairs(&v4).into_iter().chain(pairs(&v6)).flat_map(packet).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]
    #[test]
    fn each_packet_is_judged_as_the_policies_say(batches in prop::collection::vec(prop::collection::vec(delta(), 0..8), 1..6)) {
        let (mut step_by_step, mut world, mut rules) = (plugin(), World::default(), Ruleset::default());
        let packets = packets();
        rules.apply(&text(step_by_step.sync(true, Vec::new()).unwrap()).unwrap());
        let empty = rules.clone();
        for batch in batches {
            batch.iter().for_each(|delta| world.take(delta));
            if let Some(plan) = text(step_by_step.sync(false, batch).unwrap()) {
                rules.apply(&plan);
            }
            for packet in &packets {
                prop_assert_eq!(rules.passes(packet), world.allows(packet), "{:?} with {:#?}", packet, world.policies);
            }
        }
        let mut at_once = Ruleset::default();
        at_once.apply(&text(plugin().sync(true, world.deltas()).unwrap()).unwrap());
        prop_assert_eq!(&at_once, &rules);
        // On top of what is there, as after a restart.
        let again = text(step_by_step.sync(true, world.deltas()).unwrap()).unwrap();
        rules.apply(&again);
        prop_assert_eq!(&at_once, &rules);
        prop_assert_eq!(text(step_by_step.sync(false, world.deltas()).unwrap()), None, "the same again is nothing");
        let gone = world.pods.keys().cloned().map(Delta::PodGone).collect();
        if let Some(plan) = text(step_by_step.sync(false, gone).unwrap()) {
            rules.apply(&plan);
        }
        prop_assert_eq!(empty, rules, "without pods there are no rules");
    }
}
