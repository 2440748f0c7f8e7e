//! What Services are called: the examples of Kubernetes' schema 1.1.0, section by section, and what is in none.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a failure here is a panic")]

use discovery_common::testing::{World, endpoint, node, service, slice};
use discovery_kubernetes::Names;
use gantry_sdk::discovery::Discovery;
use gantry_sdk::{Config, json};

#[test]
fn the_schema_has_a_version() {
    let world = World::<Names>::new(json!({}));
    assert_eq!(world.has("dns-version.cluster.local"), "TXT 1.1.0");
    assert_eq!(world.table.len(), 1);
}

#[test]
fn a_service_has_its_address() {
    let mut world = World::<Names>::new(json!({}));
    let ports = json!([{"name": "https", "port": 443, "protocol": "TCP"}, {"name": "dns", "port": 53, "protocol": "UDP"}, {"port": 80}]);
    let web = service("web", json!({"type": "ClusterIP", "clusterIP": "10.3.0.100", "ports": ports}));
    world.set(&web);
    assert_eq!(world.has("web.shop.svc.cluster.local"), "10.3.0.100");
    assert_eq!(world.has("_https._tcp.web.shop.svc.cluster.local"), "SRV 0 100 443 web.shop.svc.cluster.local");
    assert_eq!(world.has("_dns._udp.web.shop.svc.cluster.local"), "SRV 0 100 53 web.shop.svc.cluster.local");
    assert_eq!(world.has("100.0.3.10.in-addr.arpa"), "PTR web.shop.svc.cluster.local");
    assert_eq!(world.table.len(), 5, "a port without a name has no SRV: {:?}", world.table);
    // Its endpoints have no names.
    world.set(&slice("web-1", "web", json!([endpoint("10.64.0.1", true, "")])));
    assert_eq!(world.table.len(), 5);
    world.gone(&web);
    assert_eq!(world.table.len(), 1);
}

#[test]
fn both_families_have_an_address() {
    let mut world = World::<Names>::new(json!({}));
    world.set(&service("web", json!({"clusterIP": "10.3.0.100", "clusterIPs": ["10.3.0.100", "2001:db8::1"]})));
    assert_eq!(world.has("web.shop.svc.cluster.local"), "10.3.0.100, 2001:db8::1");
    assert_eq!(world.has(&format!("1.{}8.b.d.0.1.0.0.2.ip6.arpa", "0.".repeat(23))), "PTR web.shop.svc.cluster.local");
}

#[test]
fn a_headless_service_is_its_endpoints() {
    let mut world = World::<Names>::new(json!({}));
    let spec = json!({"clusterIP": "None", "ports": [{"name": "http", "port": 80}]});
    world.set(&service("peers", spec.clone()));
    assert_eq!(world.has("peers.shop.svc.cluster.local"), "");
    let endpoints = json!([
        endpoint("10.64.0.1", true, "p-0"),
        endpoint("10.64.0.2", true, ""),
        endpoint("10.64.0.3", false, "p-2")
    ]);
    world.set(&slice("peers-1", "peers", endpoints));
    let name = "peers.shop.svc.cluster.local";
    assert_eq!(world.has(name), "10.64.0.1, 10.64.0.2");
    assert_eq!(world.has(&format!("p-0.{name}")), "10.64.0.1");
    assert_eq!(world.has(&format!("10-64-0-2.{name}")), "10.64.0.2");
    assert_eq!(world.has(&format!("p-2.{name}")), "", "not ready");
    // The port is the endpoints' own.
    let srv = format!("SRV 0 100 8080 10-64-0-2.{name}, SRV 0 100 8080 p-0.{name}");
    assert_eq!(world.has(&format!("_http._tcp.{name}")), srv);
    assert_eq!(world.has("1.0.64.10.in-addr.arpa"), format!("PTR p-0.{name}"));
    // Of several slices, the other one stays.
    world.set(&slice("peers-2", "peers", json!([endpoint("10.64.0.9", true, "")])));
    let more = slice("peers-1", "peers", json!([endpoint("10.64.0.1", false, "p-0")]));
    world.set(&more);
    assert_eq!(world.has(name), "10.64.0.9");
    let mut open = spec;
    open["publishNotReadyAddresses"] = json!(true);
    world.set(&service("peers", open));
    assert_eq!(world.has(name), "10.64.0.1, 10.64.0.9");
}

#[test]
fn an_address_of_two_services_has_two_names() {
    let mut world = World::<Names>::new(json!({}));
    for name in ["a", "b"] {
        world.set(&service(name, json!({"clusterIP": "None"})));
        world.set(&slice(&format!("{name}-1"), name, json!([endpoint("10.64.0.1", true, "p")])));
    }
    let both = "PTR p.a.shop.svc.cluster.local, PTR p.b.shop.svc.cluster.local";
    assert_eq!(world.has("1.0.64.10.in-addr.arpa"), both);
    world.gone(&service("a", json!({})));
    assert_eq!(world.has("1.0.64.10.in-addr.arpa"), "PTR p.b.shop.svc.cluster.local");
}

#[test]
fn an_external_name_is_an_alias() {
    let mut world = World::<Names>::new(json!({}));
    let mut out = service("out", json!({"type": "ExternalName", "externalName": "DB.example.com."}));
    world.set(&out);
    assert_eq!(world.has("out.shop.svc.cluster.local"), "CNAME db.example.com");
    out["spec"]["externalName"] = json!("no name");
    world.set(&out);
    assert_eq!(world.has("out.shop.svc.cluster.local"), "");
    world.set(&service("out", json!({"type": "ClusterIP", "clusterIP": "10.3.0.1"})));
    assert_eq!(world.has("out.shop.svc.cluster.local"), "10.3.0.1");
}

#[test]
fn what_is_not_ready_to_have_names_has_none() {
    let mut world = World::<Names>::new(json!({}));
    world.set(&service("new", json!({"type": "ClusterIP", "ports": [{"name": "http", "port": 80}]})));
    world.set(&slice("stray", "nobody", json!([endpoint("10.64.0.1", true, "")])));
    world.set(&json!({"kind": "Service", "metadata": {"name": "odd", "namespace": "shop"}, "spec": {"ports": "none"}}));
    world.set(&json!({"kind": "EndpointSlice", "metadata": {"name": "odd", "namespace": "shop"}}));
    world.set(&service("null", json!(null)));
    assert_eq!(world.table.len(), 1, "{:?}", world.table);
}

#[test]
fn a_change_concerns_its_own_names() {
    let mut world = World::<Names>::new(json!({}));
    for n in 0..50 {
        world.set(&service(&format!("s-{n}"), json!({"clusterIP": format!("10.3.0.{n}")})));
    }
    assert_eq!(world.set(&service("s-7", json!({"clusterIP": "10.3.0.7"}))), 0, "the same again");
    assert_eq!(
        world.set(&service("s-7", json!({"clusterIP": "10.3.1.7"}))),
        3,
        "its name, its old address, its new one"
    );
}

#[test]
fn the_zone_may_be_another() {
    let mut world = World::<Names>::new(json!({"zone": "Example.Org.", "ttl": 30}));
    world.set(&service("web", json!({"clusterIP": "10.3.0.1"})));
    assert_eq!(world.has("web.shop.svc.example.org"), "10.3.0.1");
    assert_eq!(world.has("1.0.3.10.in-addr.arpa"), "PTR web.shop.svc.example.org");
    for (config, want) in [
        (json!({"zone": "a b"}), "zone \"a b\" is no domain name"),
        (json!({"zone": ""}), "zone \"\" is no domain name"),
        (json!({"ttl": 86_401}), "ttl of 86401 s"),
        (json!({"tll": 1}), "unknown field `tll`"),
    ] {
        let error = Names::default().configure(Config::from(config), node()).unwrap_err();
        assert!(error.message.contains(want), "{error:?} does not say {want:?}");
    }
}

#[test]
fn it_says_what_it_needs_and_has() {
    let description = Names::default().configure(Config::from(json!({})), node()).unwrap();
    let zones: Vec<_> = description.zones.iter().map(|zone| (zone.name.as_str(), zone.fallthrough)).collect();
    assert_eq!(
        zones,
        [("cluster.local", false), ("64.10.in-addr.arpa", false), ("in-addr.arpa", true), ("ip6.arpa", true)]
    );
    assert_eq!(description.search, ["{namespace}.svc.cluster.local", "svc.cluster.local", "cluster.local"]);
    let plurals: Vec<_> = description.sources.iter().map(|source| source.plural.as_str()).collect();
    assert_eq!(plurals, ["services", "endpointslices"]);
}
