//! Listeners: TLS and its certificates, TCP and UDP at one port, clients that stay and clients that are let through.

use gantry_sdk::{Value, json, merge};

use crate::{World, http, ports};

fn certificates(world: &World) -> (String, Vec<String>) {
    let listener = world.aws.all("Listener").remove(0);
    let mut others = listener.certificates.clone();
    others.sort();
    (listener.fields["Certificates.member.1.CertificateArn"].clone(), others)
}

fn annotate(world: &World, name: &str, value: &str) {
    let mut object = world.get("Frontend", "web");
    object["metadata"]["annotations"][format!("elb.gantry.dev/{name}")] = json!(value);
    world.host.add_json(object);
}

/// Those after the first were added once, and never looked at again.
#[test]
fn certificates_follow() {
    let mut secure = http(json!([]));
    secure["http"]["listeners"][0]["protocol"] = json!("HTTPS");
    for (spec, protocol) in [(secure, "HTTPS"), (ports(&[(443, "http")]), "TLS")] {
        let mut world = World::new(json!({}));
        world.annotated("web", spec, json!({"elb.gantry.dev/certificates": "a, b, c, d"}));
        world.settle();
        assert_eq!(world.aws.all("Listener")[0].fields["Protocol"], protocol);
        let is = |others: &[&str]| others.iter().map(|one| (*one).to_owned()).collect::<Vec<_>>();
        assert_eq!(certificates(&world), ("a".into(), is(&["b", "c", "d"])));
        assert!(world.settle().is_empty(), "{protocol}");
        annotate(&world, "certificates", "a, c, e");
        assert_eq!(
            world.settle(),
            ["AddListenerCertificates", "RemoveListenerCertificates", "RemoveListenerCertificates"],
            "{protocol}"
        );
        assert_eq!(certificates(&world), ("a".into(), is(&["c", "e"])));
        // Another one by default, which was there by name; and what somebody else put there, or took.
        annotate(&world, "certificates", "e, a");
        world.settle();
        let (default, others) = certificates(&world);
        assert_eq!(
            (default.as_str(), others.contains(&"a".to_owned()), others.contains(&"c".to_owned())),
            ("e", true, false)
        );
        world.aws.edit("Listener", |one| one.certificates = vec!["x".into(), "y".into(), "z".into()]);
        world.settle();
        assert_eq!(certificates(&world), ("e".into(), is(&["a"])));
        assert!(world.settle().is_empty(), "{protocol}");
    }
}

#[test]
fn tls_is_spoken_where_that_is_asked_for() {
    let spoken = |named: Option<&str>| {
        let mut world = World::new(json!({}));
        let mut spec = ports(&[(80, "http"), (443, "https"), (8443, "admin")]);
        spec["ports"].as_array_mut().unwrap().push(json!({"name": "udp", "port": 53, "protocol": "UDP"}));
        let mut annotations = json!({"elb.gantry.dev/certificates": "arn:a"});
        merge::apply(&mut annotations, &json!({"elb.gantry.dev/tls-ports": named}));
        world.annotated("web", spec, annotations);
        world.settle();
        let all = world.aws.all("Listener");
        let groups = world.aws.all("TargetGroup");
        assert!(groups.iter().all(|group| group.has("Protocol", "TCP") || group.has("Protocol", "UDP")), "{groups:?}");
        let tls = all.iter().filter(|one| one.has("Protocol", "TLS"));
        let mut ports: Vec<u16> = tls.map(|one| one.fields["Port"].parse().unwrap()).collect();
        ports.sort_unstable();
        (all.len(), ports)
    };
    assert_eq!(spoken(None), (4, vec![80, 443, 8443]));
    assert_eq!(spoken(Some("https, 8443")), (4, vec![443, 8443]));
}

/// A listener whose TLS comes and goes is changed, and no other is made.
#[test]
fn a_listener_becomes_one_of_tls_and_back() {
    let mut world = World::new(json!({}));
    world.frontend("web", ports(&[(443, "http")]));
    world.settle();
    annotate(&world, "certificates", "a, b");
    assert_eq!(world.settle(), ["ModifyListener", "AddListenerCertificates"]);
    assert!(world.settle().is_empty());
    let mut object = world.get("Frontend", "web");
    object["metadata"]["annotations"] = json!({});
    world.host.add_json(object);
    assert_eq!(world.settle(), ["ModifyListener"]);
    assert_eq!(world.aws.all("Listener")[0].fields["Protocol"], "TCP");
    assert!(world.settle().is_empty());
}

fn dns(tcp: Value, udp: Value) -> Value {
    let mut spec = ports(&[]);
    spec["ports"] = json!([
        {"name": "tcp", "port": 53, "protocol": "TCP", "nodePort": tcp},
        {"name": "udp", "port": 53, "protocol": "UDP", "nodePort": udp},
    ]);
    spec
}

#[test]
fn tcp_and_udp_at_one_port_are_one_listener() {
    // Where the pods serve TCP and UDP, and who is a target then.
    let table = [(5353, 5353, 2, "True"), (5353, 5354, 0, "False")];
    for (tcp, udp, targets, ready) in table {
        let mut world = World::new(json!({}));
        world.slice(&["10.0.0.1", "10.0.0.2"]);
        let mut slice = world.host.get_json(&crate::slice("web-1")).unwrap();
        slice["ports"] =
            json!([{"name": "tcp", "port": tcp, "protocol": "TCP"}, {"name": "udp", "port": udp, "protocol": "UDP"}]);
        world.host.add_json(slice);
        world.frontend("web", dns(json!(30053), json!(30053)));
        world.settle();
        let groups = world.aws.all("TargetGroup");
        assert_eq!(groups.iter().map(|group| group.targets.len()).sum::<usize>(), targets, "{tcp} {udp}");
        let (status, _, message) = world.condition("web");
        assert_eq!(status, ready, "{message}");
        if targets == 0 {
            assert!(message.contains("the same targetPort"), "{message}");
            continue;
        }
        let listeners = world.aws.all("Listener");
        assert_eq!((listeners.len(), groups.len()), (1, 1));
        assert!(listeners[0].has("Protocol", "TCP_UDP") && groups[0].has("Protocol", "TCP_UDP"));
        assert!(groups[0].has("HealthCheckProtocol", "TCP"));
        assert!(world.settle().is_empty());
        // Without its UDP it is another one: a target group can't change what it speaks.
        world.edit("web", ports(&[(53, "tcp")]));
        world.settle();
        let (listeners, groups) = (world.aws.all("Listener"), world.aws.all("TargetGroup"));
        assert_eq!((listeners.len(), groups.len()), (1, 1));
        assert!(listeners[0].has("Protocol", "TCP") && groups[0].has("Protocol", "TCP"));
    }
}

#[test]
fn clients_stay_with_their_target() {
    let mut world = World::new(json!({}));
    let mut spec = ports(&[(80, "http")]);
    spec["sessionAffinity"] = json!({"type": "ClientIP", "timeoutSeconds": 10800});
    world.frontend("web", spec.clone());
    world.settle();
    let attributes = |world: &World| world.aws.all("TargetGroup")[0].attributes.clone();
    assert_eq!(
        (attributes(&world)["stickiness.enabled"].as_str(), attributes(&world)["stickiness.type"].as_str()),
        ("true", "source_ip")
    );
    assert!(world.settle().is_empty());
    world.aws.edit("TargetGroup", |one| one.attributes.clear());
    assert_eq!(world.settle(), ["ModifyTargetGroupAttributes"]);
    spec["sessionAffinity"] = json!({"type": "None"});
    world.edit("web", spec);
    assert_eq!(world.settle(), ["ModifyTargetGroupAttributes"]);
    assert_eq!(attributes(&world)["stickiness.enabled"], "false");
    assert!(world.settle().is_empty());
}

#[test]
fn an_application_load_balancer_lets_clients_through_by_rules() {
    let mut world = World::new(json!({"type": "alb"}));
    let mut spec = ports(&[(80, "http")]);
    let ranges: Vec<String> = (0..7).map(|n| format!("192.0.{n}.0/24")).collect();
    spec["sourceRanges"] = json!(ranges);
    world.frontend("web", spec.clone());
    world.settle();
    let listener = world.aws.all("Listener").remove(0);
    assert_eq!(listener.fields["DefaultActions.member.1.FixedResponseConfig.StatusCode"], "403");
    let rules = world.aws.all("Rule");
    let values = rules.iter().flat_map(|rule| &rule.fields).filter(|(key, _)| key.contains("SourceIpConfig.Values"));
    let mut let_through: Vec<String> = values.map(|(_, value)| value.clone()).collect();
    let_through.sort();
    assert_eq!((rules.len(), let_through), (2, ranges));
    assert!(world.settle().is_empty());
    spec["sourceRanges"] = json!([]);
    world.edit("web", spec);
    world.settle();
    assert_eq!(world.count("Rule"), 0);
    assert_eq!(world.aws.all("Listener")[0].fields["DefaultActions.member.1.Type"], "forward");
}

/// One made without security groups never gets any, so another one takes its place.
#[test]
fn security_groups_of_a_network_load_balancer_make_another_one() {
    let mut world = World::new(json!({}));
    world.frontend("web", ports(&[(80, "http")]));
    world.settle();
    let name = |world: &World| world.aws.all("LoadBalancer")[0].fields["LoadBalancerName"].clone();
    let open = name(&world);
    annotate(&world, "security-groups", "sg-1");
    world.settle();
    assert_eq!((world.count("LoadBalancer"), world.count("TargetGroup"), world.count("Listener")), (1, 1, 1));
    let closed = name(&world);
    assert_ne!(closed, open);
    annotate(&world, "security-groups", "sg-1, sg-2");
    assert_eq!(world.settle(), ["SetSecurityGroups"]);
    assert_eq!(name(&world), closed);
}
