//! Classic load balancers.

use gantry_contract::Stage;
use gantry_sdk::{Value, json};

use crate::moto::{Moto, certificate, component};
use crate::world::{World, target};

#[test]
fn a_service_is_a_classic_load_balancer_from_first_to_last() {
    let moto = Moto::start();
    let _stage = Stage::set(component(&moto)).unwrap();
    let mut world = World::new(&moto);
    let made = moto.aws(&["ec2", "run-instances", "--image-id", "ami-12c6146b", "--count", "2"]);
    let ids: Vec<&str> =
        made["Instances"].as_array().unwrap().iter().map(|one| one["InstanceId"].as_str().unwrap()).collect();
    let node = |name: &str, id: &str| {
        json!({
            "apiVersion": "v1", "kind": "Node", "metadata": {"name": name}, "spec": {"providerID": format!("aws:///eu-west-1a/{id}")},
            "status": {"conditions": [{"type": "Ready", "status": "True"}]},
        })
    };
    world.host.add_json(node("n1", ids[0]));
    let service = |to: u16| json!({"type": "LoadBalancer", "loadBalancerClass": "gantry.dev/elb", "ports": [{"name": "http", "port": 80, "nodePort": to}]});
    world.put("Service", "web", service(30_080));
    let certificate = certificate(&moto, "a.example");
    world.annotate("Service", "web", json!({"elb.gantry.dev/type": "classic"}));
    world.settle();
    let classic =
        || moto.aws(&["elb", "describe-load-balancers"])["LoadBalancerDescriptions"].as_array().cloned().unwrap();
    let all = classic();
    assert_eq!((all.len(), &all[0]["Scheme"]), (1, &json!("internal")));
    assert!(moto.list("describe-load-balancers", "LoadBalancers", &[]).is_empty());
    let name = all[0]["LoadBalancerName"].as_str().unwrap();
    let listener = |all: &[Value]| all[0]["ListenerDescriptions"][0]["Listener"].clone();
    assert_eq!((&listener(&all)["LoadBalancerPort"], &listener(&all)["InstancePort"]), (&json!(80), &json!(30_080)));
    assert_eq!(
        all[0]["HealthCheck"],
        json!({"Target": "TCP:30080", "Interval": 10, "Timeout": 5, "UnhealthyThreshold": 6, "HealthyThreshold": 2})
    );
    assert_eq!(all[0]["Instances"], json!([{"InstanceId": ids[0]}]));
    let tags = moto.aws(&["elb", "describe-tags", "--load-balancer-names", name]);
    assert!(tags.to_string().contains("default/elb-web"), "{tags}");
    let status = world.host.get_json(&target("Service", "web")).unwrap()["status"].clone();
    assert_eq!(status["loadBalancer"]["ingress"][0]["hostname"], all[0]["DNSName"]);
    let healthy = world.host.get_json(&target("Frontend", "elb-web")).unwrap()["status"]["conditions"].to_string();
    assert!(healthy.contains("1 of 1 targets"), "{healthy}");
    let changes = moto.changes(|| {
        world.restart();
        world.settle();
    });
    assert_eq!(changes, Vec::<String>::new());

    world.host.add_json(node("n2", ids[1]));
    assert_eq!(moto.changes(|| world.settle()), ["RegisterInstancesWithLoadBalancer"]);
    world.put("Service", "web", service(30_081));
    let changes = moto.changes(|| world.settle());
    assert_eq!(changes, ["DeleteLoadBalancerListeners", "CreateLoadBalancerListeners", "ConfigureHealthCheck"]);
    let tls = json!({"elb.gantry.dev/type": "classic", "elb.gantry.dev/certificates": certificate});
    world.annotate("Service", "web", tls);
    world.settle();
    let all = classic();
    assert_eq!(
        (&listener(&all)["Protocol"], &listener(&all)["SSLCertificateId"]),
        (&json!("SSL"), &json!(certificate))
    );
    assert_eq!(moto.changes(|| world.settle()), Vec::<String>::new());

    // Another kind takes its place.
    world.annotate("Service", "web", json!({"elb.gantry.dev/target-type": "instance"}));
    world.settle();
    assert_eq!((classic().len(), moto.list("describe-load-balancers", "LoadBalancers", &[]).len()), (0, 1));
    world.annotate("Service", "web", json!({"elb.gantry.dev/type": "classic"}));
    world.settle();
    world.put("Service", "web", json!({"type": "ClusterIP", "ports": []}));
    world.settle();
    assert_eq!((classic().len(), moto.list("describe-load-balancers", "LoadBalancers", &[]).len()), (0, 0));
}
