//! Whatever happens, in whatever order and pieces: the table is the one of what is there in the end.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a failure here is a panic")]

use std::collections::BTreeMap;

use discovery_common::testing::{World, endpoint, gone, service, set, slice};
use discovery_kubernetes::Names;
use gantry_sdk::discovery::Delta;
use gantry_sdk::{Value, json};
use proptest::prelude::*;

fn services() -> impl Strategy<Value = Value> {
    let spec = prop_oneof![
        (0_u8..3).prop_map(|n| json!({"clusterIP": format!("10.3.0.{n}"), "ports": [{"name": "http", "port": 80}]})),
        any::<bool>().prop_map(|publish| json!({"clusterIP": "None", "publishNotReadyAddresses": publish})),
        (0_u8..2).prop_map(|n| json!({"type": "ExternalName", "externalName": format!("e{n}.example.com")})),
        Just(json!({"clusterIP": ""})),
    ];
    (0_u8..3, spec).prop_map(|(n, spec)| service(&format!("s{n}"), spec))
}

fn slices() -> impl Strategy<Value = Value> {
    let endpoints = prop::collection::vec((0_u8..4, any::<bool>(), 0_u8..3), 0..4);
    (0_u8..4, 0_u8..3, endpoints).prop_map(|(n, of, endpoints)| {
        let endpoints = endpoints.into_iter().map(|(address, ready, host)| {
            endpoint(
                &format!("10.64.0.{address}"),
                ready,
                if host == 0 { "" } else { ["", "p", "q"][usize::from(host)] },
            )
        });
        slice(&format!("slice-{n}"), &format!("s{of}"), endpoints.collect())
    })
}

/// An object, and whether it is set or goes.
fn steps() -> impl Strategy<Value = Vec<(Value, bool)>> {
    prop::collection::vec((prop_oneof![services(), slices()], prop::bool::weighted(0.75)), 0..40)
}

proptest! {
    #[test]
    fn any_history_ends_in_the_same_table(steps in steps(), batch in 1_usize..7, again in 0_usize..5) {
        let mut world = World::<Names>::new(json!({}));
        let mut there: BTreeMap<String, Value> = BTreeMap::new();
        for (number, batch) in steps.chunks(batch).enumerate() {
            for (object, is) in batch {
                let key = format!("{}/{}", object["kind"], object["metadata"]["name"]);
                if *is { there.insert(key, object.clone()); } else { there.remove(&key); }
            }
            let deltas: Vec<Delta> = batch.iter().map(|(o, is)| if *is { set(o) } else { gone(o) }).collect();
            world.sync(false, deltas);
            // Now and then everything is told anew.
            if number % 5 == again {
                world.sync(true, there.values().map(set).collect());
            }
        }
        let mut fresh = World::<Names>::new(json!({}));
        fresh.sync(true, there.values().map(set).collect());
        prop_assert_eq!(&world.table, &fresh.table);
        prop_assert_eq!(world.sync(false, there.values().map(set).collect()), 0, "the same again is no change");
        world.sync(false, there.values().map(gone).collect());
        prop_assert_eq!(world.table.len(), 1, "what goes leaves nothing: {:?}", world.table);
    }
}
