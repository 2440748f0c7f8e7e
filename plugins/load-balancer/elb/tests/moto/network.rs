//! Network load balancers.

use gantry_contract::Stage;
use gantry_sdk::{Value, json};

use crate::moto::{Moto, certificate, component};
use crate::world::{World, ports, target};

#[test]
fn a_service_is_a_network_load_balancer_from_first_to_last() {
    let moto = Moto::start();
    let _stage = Stage::set(component(&moto)).unwrap();
    let mut world = World::new(&moto);
    world.slice(&["172.31.0.1", "172.31.0.2"]);
    let service = |ports: &[u16]| {
        let ports: Vec<Value> =
            ports.iter().map(|port| json!({"name": "http", "port": port, "nodePort": 30_000 + port})).collect();
        json!({"type": "LoadBalancer", "loadBalancerClass": "gantry.dev/elb", "ports": ports})
    };
    world.put("Service", "web", service(&[80]));
    world.settle();
    let all = moto.list("describe-load-balancers", "LoadBalancers", &[]);
    assert_eq!((all.len(), &all[0]["Type"], &all[0]["Scheme"]), (1, &json!("network"), &json!("internal")));
    let name = all[0]["LoadBalancerName"].as_str().unwrap().to_owned();
    let status = world.host.get_json(&target("Service", "web")).unwrap()["status"].clone();
    assert_eq!(status["loadBalancer"], json!({"ingress": [{"hostname": all[0]["DNSName"]}]}));
    assert_eq!(
        (&status["conditions"][0]["type"], &status["conditions"][0]["status"]),
        (&json!("LoadBalancerReady"), &json!("True"))
    );
    assert_eq!(world.targets(), ["172.31.0.1:8080", "172.31.0.2:8080"]);
    let listeners = world.listeners(&all[0]);
    assert_eq!((listeners.len(), &listeners[0]["Port"], &listeners[0]["Protocol"]), (1, &json!(80), &json!("TCP")));

    // Somebody else's, whose name begins as ours do.
    let similar = format!("{}-o", &name[..name.len() - 2]);
    let subnet = all[0]["AvailabilityZones"][0]["SubnetId"].as_str().unwrap().to_owned();
    moto.aws(&["elbv2", "create-load-balancer", "--name", &similar, "--type", "network", "--subnets", &subnet]);

    // A second run of everything, by a new instance, changes nothing.
    let changes = moto.changes(|| {
        world.restart();
        world.settle();
    });
    assert_eq!(changes, Vec::<String>::new());

    world.slice(&["172.31.0.2", "172.31.0.3", "172.31.0.4"]);
    let changes = moto.changes(|| world.settle());
    assert_eq!(changes, ["RegisterTargets", "DeregisterTargets"]);
    assert_eq!(world.targets(), ["172.31.0.2:8080", "172.31.0.3:8080", "172.31.0.4:8080"]);

    world.put("Service", "web", service(&[81, 82]));
    world.settle();
    let mut open: Vec<i64> = world.listeners(&all[0]).iter().map(|one| one["Port"].as_i64().unwrap()).collect();
    open.sort_unstable();
    assert_eq!(
        (open.as_slice(), moto.list("describe-target-groups", "TargetGroups", &[]).len()),
        ([81, 82].as_slice(), 2)
    );

    // What hangs from the Service goes with it: here its Frontend, which waits until AWS is clean.
    world.put("Service", "web", json!({"type": "ClusterIP", "ports": []}));
    world.settle();
    let left = moto.list("describe-load-balancers", "LoadBalancers", &[]);
    assert_eq!(
        left.iter().map(|one| one["LoadBalancerName"].as_str().unwrap()).collect::<Vec<_>>(),
        [similar.as_str()]
    );
    assert!(moto.list("describe-target-groups", "TargetGroups", &[]).is_empty());
    assert!(world.host.get_json(&target("Frontend", "elb-web")).is_none());
}

#[test]
fn ports_speak_tls_and_udp_and_clients_stay() {
    let moto = Moto::start();
    let _stage = Stage::set(component(&moto)).unwrap();
    let mut world = World::new(&moto);
    world.slice(&["172.31.0.1"]);
    let certificates = ["a", "b", "c"].map(|name| certificate(&moto, &format!("{name}.example")));
    let spec = |more: Value| {
        let mut spec = ports(&[443]);
        let all = spec["ports"].as_array_mut().unwrap();
        all.extend(["TCP", "UDP"].map(|protocol| json!({"name": "http", "port": 53, "protocol": protocol})));
        gantry_sdk::merge::apply(&mut spec, &more);
        spec
    };
    world.put("Frontend", "web", spec(json!({})));
    world.annotate(
        "Frontend",
        "web",
        json!({
            "elb.gantry.dev/certificates": certificates.join(","), "elb.gantry.dev/tls-ports": "443",
        }),
    );
    world.settle();
    let all = moto.list("describe-load-balancers", "LoadBalancers", &[]);
    let mut listeners = world.listeners(&all[0]);
    listeners.sort_by_key(|one| one["Port"].as_i64());
    let spoken: Vec<_> = listeners.iter().map(|one| (one["Port"].clone(), one["Protocol"].clone())).collect();
    assert_eq!(spoken, [(json!(53), json!("TCP_UDP")), (json!(443), json!("TLS"))]);
    let named = |moto: &Moto| {
        let arn = listeners[1]["ListenerArn"].as_str().unwrap();
        let all = moto.list("describe-listener-certificates", "Certificates", &["--listener-arn", arn]);
        all.iter().map(|one| one["CertificateArn"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(named(&moto), certificates);
    let changes = moto.changes(|| world.settle());
    assert_eq!(changes, Vec::<String>::new());
    let fewer = [&certificates[0], &certificates[2]].map(String::as_str);
    world.annotate(
        "Frontend",
        "web",
        json!({
            "elb.gantry.dev/certificates": fewer.join(","), "elb.gantry.dev/tls-ports": "443",
        }),
    );
    assert_eq!(moto.changes(|| world.settle()), ["RemoveListenerCertificates"]);
    assert_eq!(named(&moto), fewer);
    // Without TLS clients may stay with their target.
    world.annotate("Frontend", "web", json!({}));
    world.put("Frontend", "web", spec(json!({"sessionAffinity": {"type": "ClientIP"}})));
    world.settle();
    for group in moto.list("describe-target-groups", "TargetGroups", &[]) {
        let arn = group["TargetGroupArn"].as_str().unwrap();
        let all = moto.list("describe-target-group-attributes", "Attributes", &["--target-group-arn", arn]);
        let has = |key: &str, value: &str| all.contains(&json!({"Key": key, "Value": value}));
        assert!(has("stickiness.enabled", "true") && has("stickiness.type", "source_ip"), "{all:?}");
    }
    assert_eq!(moto.changes(|| world.settle()), Vec::<String>::new());
}
