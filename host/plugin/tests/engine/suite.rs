//! The SDK's example of an admission policy, as a component: it keeps the rules of its family. Stock plugins are tried in
//! `gantry-contract`.

use gantry_contract::{Component, Given, run};
use gantry_sdk::json;

use crate::support::plugin;

#[test]
fn the_example_of_the_sdk_keeps_the_rules_of_its_family() {
    let pod = |labels| json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"namespace": "a", "name": "web", "labels": labels}});
    let objects = vec![pod(json!({})), pod(json!({"owner": "ann"}))];
    let component = Component::read(plugin("gantry-sdk", "admission-labels")).unwrap();
    run(component, &Given { config: json!({}), objects }).unwrap();
}
