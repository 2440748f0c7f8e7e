//! No address and no port has two owners, wherever the plugin dies, and whoever else allocates at the same time.

use std::collections::BTreeMap;

use gantry_sdk::api::{Condition, Resource};
use gantry_sdk::testing::{Fault, Verb};
use gantry_sdk::{Value, json};
use proptest::prelude::*;

use super::Cluster;
use crate::object::{Claim, Frontend, Service};

/// What must be so at every moment: a Frontend names only what its Service has claimed.
fn assert_nothing_is_doubled(cluster: &Cluster) {
    let mut leads: BTreeMap<String, String> = BTreeMap::new();
    let (addresses, node_ports) = (cluster.addresses(), cluster.node_ports());
    for frontend in cluster.host.all::<Frontend>() {
        let owner = frontend.metadata.controller().expect("a Service").uid.clone();
        let mut name = |what: String| {
            let other = leads.insert(what.clone(), owner.clone());
            assert!(other.is_none_or(|other| other == owner), "{what} leads to two Services");
        };
        for address in frontend.spec["addresses"].as_array().expect("addresses") {
            let address = address.as_str().expect("an address");
            assert_eq!(addresses.get(address).map(Claim::service_uid), Some(owner.as_str()), "{address}");
            name(address.to_owned());
        }
        for port in frontend.spec["ports"].as_array().expect("ports").iter().filter(|p| p["nodePort"] != 0) {
            let number = port["nodePort"].to_string();
            assert_eq!(node_ports.get(&number).map(Claim::service_uid), Some(owner.as_str()), "node port {number}");
            name(format!("{number}/{}", port["protocol"]));
        }
        if let Some(number) = frontend.spec.get("healthNodePort") {
            let number = number.to_string();
            assert_eq!(node_ports.get(&number).map(Claim::service_uid), Some(owner.as_str()), "health port {number}");
            name(format!("{number}/\"TCP\""));
        }
    }
}

/// What must be so at rest: everyone has what they want or is told why not, and nothing is held in vain.
fn assert_all_is_settled(cluster: &Cluster) {
    let (mut addresses, mut ports) = (cluster.addresses(), cluster.node_ports());
    for service in cluster.host.all::<Service>() {
        let refused = Condition::find(&service.status.conditions, "gantry.dev/Allocated").is_some_and(|c| !c.holds());
        let Some(frontend) = cluster.frontend(service.name()) else {
            assert!(refused || service.is_name() || service.is_headless(), "{service:?}");
            // One without an address may hold ports all the same.
            ports.retain(|_, claim| claim.service_uid() != service.uid());
            continue;
        };
        assert_eq!(frontend.spec["addresses"], json!([service.spec.cluster_ip]));
        assert!(addresses.remove(&service.spec.cluster_ip).is_some_and(|c| c.service_uid() == service.uid()));
        for (port, led) in service.spec.ports.iter().zip(frontend.spec["ports"].as_array().expect("ports")) {
            let wants = service.wants_node_ports();
            assert!(refused || (led["nodePort"] != 0) == (wants || port.node_port != 0), "{service:?} {led}");
            assert!(refused || led["nodePort"] == json!(port.node_port), "{service:?} {led}");
        }
        let (health, wants) = (service.spec.health_check_node_port, service.spec.wants_health_port());
        assert!(refused || (health != 0) == wants, "{service:?}");
        assert!(refused || frontend.spec.get("healthNodePort").is_some() == wants, "{service:?} {frontend:?}");
        // No more than it names.
        let named: Vec<u16> = service.spec.ports.iter().map(|port| port.node_port).chain([health]).collect();
        let own = |name: &String, uid: &str| {
            uid == service.uid() && (refused || named.iter().any(|number| number.to_string() == *name))
        };
        ports.retain(|name, claim| !own(name, claim.service_uid()));
    }
    assert!(addresses.is_empty(), "held in vain: {addresses:?}");
    assert!(ports.is_empty(), "held in vain: {ports:?}");
}

#[derive(Clone, Debug)]
enum Step {
    Add(u8, Value),
    Change(u8, Value),
    Remove(u8),
    Round(u8),
    Crash(u8),
    Fault(Verb, u32, bool),
}

fn spec() -> impl Strategy<Value = Value> {
    let kind = prop_oneof![
        4 => Just(json!({"type": "ClusterIP"})),
        3 => Just(json!({"type": "NodePort"})),
        1 => Just(json!({"type": "ExternalName", "externalName": "example.com"})),
        1 => Just(json!({"type": "ClusterIP", "clusterIP": "None"})),
        2 => (0_u8..16).prop_map(|n| json!({"type": "ClusterIP", "clusterIP": format!("10.96.0.{n}")})),
        2 => (29_999_u32..30_010).prop_map(|n| {
            json!({"type": "NodePort", "ports": [{"port": 80, "protocol": "TCP", "nodePort": n}]})
        }),
        3 => (prop_oneof![Just("Local"), Just("Cluster")], any::<bool>(), 29_999_u32..30_010).prop_map(
            |(policy, allocates, n)| {
                let mut spec = json!({
                    "type": "LoadBalancer", "externalTrafficPolicy": policy, "allocateLoadBalancerNodePorts": allocates,
                });
                if policy == "Local" && n % 2 == 0 {
                    spec["healthCheckNodePort"] = json!(n);
                }
                spec
            },
        ),
        1 => Just(json!({"type": "NodePort", "ports": [
            {"name": "a", "port": 80, "protocol": "TCP"}, {"name": "b", "port": 53, "protocol": "UDP"},
        ]})),
    ];
    kind.boxed()
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => (0_u8..18, spec()).prop_map(|(n, spec)| Step::Add(n, spec)),
        3 => (0_u8..18, spec()).prop_map(|(n, spec)| Step::Change(n, spec)),
        3 => (0_u8..18).prop_map(Step::Remove),
        8 => (0_u8..2).prop_map(Step::Round),
        2 => (0_u8..2).prop_map(Step::Crash),
        4 => (
            prop_oneof![Just(Verb::Create), Just(Verb::Patch), Just(Verb::Delete), Just(Verb::Get)],
            0_u32..12, any::<bool>(),
        ).prop_map(|(verb, skip, made)| Step::Fault(verb, skip, made)),
    ]
}

fn play(cluster: &mut Cluster, step: &Step) {
    let name = |n: &u8| format!("s{n}");
    match step {
        Step::Add(n, spec) => cluster.add(&name(n), spec.clone()),
        Step::Change(n, spec) => cluster.patch(&name(n), spec.clone()),
        Step::Remove(n) => cluster.remove(&name(n)),
        Step::Round(n) => cluster.round(usize::from(*n)),
        Step::Crash(n) => cluster.restart(usize::from(*n)),
        Step::Fault(verb, skip, made) => {
            let fault = Fault::on(*verb).skip(*skip);
            cluster.host.fail(if *made && *verb != Verb::Get { fault.but_made() } else { fault });
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]
    #[test]
    fn nothing_is_ever_given_twice(steps in prop::collection::vec(step(), 1..60)) {
        let mut cluster = Cluster::small(2);
        for step in &steps {
            play(&mut cluster, step);
            assert_nothing_is_doubled(&cluster);
        }
        cluster.settle();
        // Faults that have not struck yet strike now.
        cluster.settle();
        assert_nothing_is_doubled(&cluster);
        assert_all_is_settled(&cluster);
    }
}

/// Every write of an allocation fails, or its answer is lost, and the plugin starts anew.
#[test]
fn a_crash_at_any_write_heals() {
    for verb in [Verb::Create, Verb::Patch] {
        for skip in 0..8 {
            for made in [false, true] {
                let mut cluster = Cluster::small(1);
                let fault = Fault::on(verb).skip(skip);
                cluster.host.fail(if made { fault.but_made() } else { fault });
                cluster.add("web", json!({"type": "NodePort"}));
                cluster.round(0);
                cluster.restart(0);
                cluster.settle();
                assert_all_is_settled(&cluster);
                assert_eq!((cluster.addresses().len(), cluster.node_ports().len()), (1, 1), "{verb:?} {skip} {made}");
            }
        }
    }
}

#[test]
fn an_address_is_kept_over_restarts_and_freed_at_the_end() {
    let mut cluster = Cluster::new();
    cluster.add("web", json!({"type": "NodePort"}));
    cluster.settle();
    let (address, port) = (cluster.service("web").spec.cluster_ip, cluster.service("web").spec.ports[0].node_port);
    assert!(address.starts_with("10.96.") && (30_000..=32_767).contains(&port), "{address} {port}");
    let spec = cluster.service("web").spec;
    assert_eq!(
        (spec.cluster_ips, spec.ip_families, spec.ip_family_policy),
        (vec![address.clone()], vec!["IPv4".to_owned()], "SingleStack".to_owned())
    );
    cluster.restart(0);
    cluster.settle();
    assert_eq!(cluster.service("web").spec.cluster_ip, address);
    // As `kubectl replace` with a manifest that says nothing of it.
    cluster.patch("web", json!({"clusterIP": null, "clusterIPs": null}));
    cluster.settle();
    assert_eq!(cluster.service("web").spec.cluster_ip, address);
    cluster.patch("web", json!({"type": "ClusterIP"}));
    cluster.settle();
    assert_eq!(cluster.service("web").spec.ports[0].node_port, 0);
    assert!(cluster.node_ports().is_empty());
    cluster.remove("web");
    cluster.settle();
    assert!(cluster.addresses().is_empty() && cluster.frontend("web").is_none());
}

#[test]
fn what_is_taken_or_out_of_range_is_refused_aloud() {
    let mut cluster = Cluster::small(1);
    cluster.add(
        "first",
        json!({"type": "NodePort", "clusterIP": "10.96.0.5", "ports": [{"port": 80, "nodePort": 30001}]}),
    );
    cluster.settle();
    for (name, spec, reason) in [
        ("a", json!({"clusterIP": "10.96.0.5"}), "ClusterIPTaken"),
        ("b", json!({"clusterIP": "10.97.0.5"}), "ClusterIPOutOfRange"),
        ("c", json!({"type": "NodePort", "ports": [{"port": 80, "nodePort": 30001}]}), "NodePortTaken"),
        ("d", json!({"type": "NodePort", "ports": [{"port": 80, "nodePort": 80}]}), "NodePortOutOfRange"),
        ("e", json!({"ports": []}), "NoPorts"),
        ("f", json!({"ipFamilyPolicy": "RequireDualStack"}), "DualStackUnavailable"),
    ] {
        cluster.add(name, spec);
        cluster.settle();
        assert!(cluster.reasons().contains(&reason.to_owned()), "{name}: {:?}", cluster.reasons());
        let service = cluster.service(name);
        let condition = Condition::find(&service.status.conditions, "gantry.dev/Allocated").expect("a condition");
        assert_eq!((condition.reason.as_str(), condition.holds()), (reason, false), "{name}");
        assert_nothing_is_doubled(&cluster);
    }
    // What was refused is given as soon as it is free.
    cluster.remove("first");
    cluster.settle();
    assert_eq!(cluster.frontend("a").expect("a Frontend").spec["addresses"], json!(["10.96.0.5"]));
    let service = cluster.service("a");
    assert!(Condition::find(&service.status.conditions, "gantry.dev/Allocated").is_some_and(Condition::holds));
}

#[test]
fn the_last_address_is_given_and_then_no_more() {
    let mut cluster = Cluster::small(2);
    for n in 0..15 {
        cluster.add(&format!("s{n}"), json!({}));
    }
    cluster.settle();
    assert_eq!(cluster.addresses().len(), 13);
    assert!(cluster.reasons().contains(&"ClusterIPsExhausted".to_owned()));
    assert_nothing_is_doubled(&cluster);
}

/// A Service that is made again under its name at once.
#[test]
fn a_namesake_is_another_service() {
    let mut cluster = Cluster::small(1);
    cluster.add("web", json!({"clusterIP": "10.96.0.5"}));
    cluster.settle();
    cluster.remove("web");
    cluster.add("web", json!({"clusterIP": "10.96.0.5"}));
    cluster.settle();
    assert_all_is_settled(&cluster);
    assert_eq!(cluster.addresses()["10.96.0.5"].service_uid(), cluster.service("web").uid());
}
