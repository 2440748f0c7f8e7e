//! What instances are called: by Cloud Map's rules, by Consul's, and who has no name.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a failure here is a panic")]

use discovery_cloudmap::Names;
use discovery_common::testing::{World, endpoint, node, service, slice};
use gantry_sdk::discovery::Discovery;
use gantry_sdk::{Config, Value, json};

fn corp() -> Value {
    json!({"namespaces": [{"name": "Corp.Local"}]})
}

fn consul() -> Value {
    json!({"consul": {"all": true}})
}

/// A Service of two instances that are ready and one that is not.
fn world(config: Value, annotations: Value) -> World<Names> {
    let mut world = World::new(config);
    let mut web = service("web", json!({"clusterIP": "10.3.0.1", "ports": [{"name": "http", "port": 80}]}));
    web["metadata"]["annotations"] = annotations;
    world.set(&web);
    let mut named = endpoint("10.64.0.1", true, "");
    named["targetRef"] = json!({"kind": "Pod", "name": "web-x1"});
    world.set(&slice(
        "web-1",
        "web",
        json!([named, endpoint("10.64.0.2", true, ""), endpoint("10.64.0.3", false, "")]),
    ));
    world
}

#[test]
fn a_namespace_has_who_asks_for_it() {
    let world = world(corp(), json!({"servicediscovery.gantry.dev/namespace": "corp.local"}));
    assert_eq!(world.has("web.corp.local"), "10.64.0.1, 10.64.0.2");
    assert_eq!(world.table.len(), 1, "{:?}", world.table);
    for other in ["other.local", "", "no name"] {
        let world = self::world(corp(), json!({"servicediscovery.gantry.dev/namespace": other}));
        assert_eq!(world.table.len(), 0, "{other}: {:?}", world.table);
    }
}

#[test]
fn a_service_may_be_called_otherwise_and_have_ports() {
    let asked = |name: &str, port: &str| {
        json!({
            "servicediscovery.gantry.dev/namespace": "corp.local", "servicediscovery.gantry.dev/service": name,
            "servicediscovery.gantry.dev/records": "SRV", "servicediscovery.gantry.dev/port": port,
        })
    };
    let srv = "SRV 1 1 8080 10-64-0-2.shop.corp.local, SRV 1 1 8080 web-x1.shop.corp.local";
    for port in ["", "http", "8080"] {
        let world = world(corp(), asked("shop", port));
        assert_eq!(world.has("shop.corp.local"), srv);
        assert_eq!(world.has("web-x1.shop.corp.local"), "10.64.0.1");
        assert_eq!(world.table.len(), 3);
    }
    assert_eq!(world(corp(), asked("shop", "none")).table.len(), 0, "a port that no instance has");
    assert!(world(corp(), asked("_shop._tcp", "")).has("_shop._tcp.corp.local").starts_with("SRV 1 1 8080 "));
    assert_eq!(world(corp(), asked("no name", "")).table.len(), 0);
}

#[test]
fn a_namespace_may_have_all_and_only_some() {
    let all = json!({"namespaces": [{"name": "corp.local", "all": true, "from": ["shop"]}, {"name": "a.local", "all": true, "from": ["a"]}]});
    assert_eq!(world(all.clone(), json!({})).has("web.corp.local"), "10.64.0.1, 10.64.0.2");
    for asked in ["a.local", "no name"] {
        let asked = json!({ "servicediscovery.gantry.dev/namespace": asked });
        assert_eq!(world(all.clone(), asked).table.len(), 0, "it asks for one that is not for it");
    }
}

#[test]
fn instances_come_and_go() {
    let mut world = world(corp(), json!({"servicediscovery.gantry.dev/namespace": "corp.local"}));
    let more = slice("web-2", "web", json!([endpoint("10.64.0.9", true, "")]));
    assert_eq!(world.set(&more), 1);
    assert_eq!(world.has("web.corp.local"), "10.64.0.1, 10.64.0.2, 10.64.0.9");
    world.gone(&more);
    world.gone(&slice("web-1", "web", json!([])));
    assert_eq!(world.table.len(), 0);
}

#[test]
fn an_external_name_is_an_alias() {
    let mut world =
        World::<Names>::new(json!({"namespaces": [{"name": "corp.local", "all": true}], "consul": {"all": true}}));
    world.set(&service("db", json!({"type": "ExternalName", "externalName": "db.example.com"})));
    assert_eq!(world.has("db.corp.local"), "CNAME db.example.com");
    assert_eq!(world.has("db.service.consul"), "CNAME db.example.com");
}

#[test]
fn consul_has_its_own_names() {
    let world = world(consul(), json!({"consul.hashicorp.com/service-tags": "v1, Primary,no tag"}));
    let all = "10.64.0.1, 10.64.0.2, SRV 1 1 8080 0a400001.addr.dc1.consul, SRV 1 1 8080 0a400002.addr.dc1.consul";
    for name in ["web", "_web._tcp", "v1.web", "primary.web", "_web._v1", "_web._primary"] {
        for below in ["service.consul", "service.dc1.consul"] {
            assert_eq!(world.has(&format!("{name}.{below}")), all, "{name}.{below}");
        }
    }
    assert_eq!(world.has("0a400001.addr.dc1.consul"), "10.64.0.1");
    assert_eq!(world.table.len(), 14, "{:?}", world.table.keys());
}

#[test]
fn consul_does_as_it_is_told() {
    let renamed = world(consul(), json!({"consul.hashicorp.com/service-name": "shop"}));
    assert!(
        renamed.has("shop.service.consul").starts_with("10.64.0.1, ") && renamed.has("web.service.consul").is_empty()
    );
    let off = world(consul(), json!({"consul.hashicorp.com/service-sync": "false"}));
    assert_eq!(off.table.len(), 0);
    let config = json!({"consul": {"domain": "Example.org", "datacenter": "eu1"}});
    assert_eq!(world(config.clone(), json!({})).table.len(), 0, "nobody asked");
    let on =
        world(config, json!({"consul.hashicorp.com/service-sync": "true", "consul.hashicorp.com/service-port": "9"}));
    assert_eq!(on.has("web.service.eu1.example.org"), "10.64.0.1, 10.64.0.2", "a port that no instance has");
}

#[test]
fn what_cannot_be_is_refused() {
    let said = |config: &Value| Names::default().configure(Config::from(config.clone()), node()).unwrap_err().message;
    for (config, want) in [
        (json!({}), "nothing to name"),
        (json!({"namespaces": [{"name": "a b"}]}), "namespace \"a b\" is no domain name"),
        (json!({"namespaces": [{"name": "a.b"}, {"name": "A.b."}]}), "namespace \"a.b\" is there twice"),
        (json!({"namespaces": [{"name": "consul"}], "consul": {}}), "consul.domain \"consul\" is a namespace too"),
        (json!({"consul": {"datacenter": "a.b"}}), "consul.datacenter \"a.b\" is no part of a domain name"),
        (json!({"consul": {"data-center": "a"}}), "unknown field `data-center`"),
        (json!({"namespaces": [{"name": "a", "al": true}]}), "unknown field `al`"),
        (json!({"consul": {}, "ttl": 86_401}), "ttl of 86401 s"),
    ] {
        let message = said(&config);
        assert!(message.contains(want), "{message} does not say {want:?}");
    }
}

#[test]
fn it_says_its_zones() {
    let mut config = corp();
    config["consul"] = json!({});
    let description = Names::default().configure(Config::from(config), node()).unwrap();
    let zones: Vec<_> = description.zones.iter().map(|zone| (zone.name.as_str(), zone.fallthrough)).collect();
    assert_eq!(zones, [("corp.local", false), ("consul", false)]);
    assert!(description.search.is_empty() && description.pod_domain.is_empty());
}
