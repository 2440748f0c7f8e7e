//! Policies as people write them, most of them after the examples of the Kubernetes documentation.
#![allow(clippy::unwrap_used, clippy::panic)]

mod support;

use gantry_sdk::network_policy::{Delta, NetworkPolicy, Operation};
use gantry_sdk::{Config, Value, json};
use network_policy::Policies;
use support::{Packet, Ruleset, World, namespace, plugin, pod, policy, text};

/// A namespace `shop` with a web server and a database, and a namespace `lab` with a probe.
fn cluster() -> Vec<Delta> {
    vec![
        namespace("shop", "project=shop"),
        namespace("lab", "project=lab"),
        Delta::PodSet(pod("shop", "web", 1, "app=web,role=frontend")),
        Delta::PodSet(pod("shop", "db", 2, "app=db,role=db")),
        Delta::PodSet(pod("lab", "probe", 3, "app=probe,role=frontend")),
        Delta::PodSet(pod("lab", "other", 4, "app=other")),
    ]
}

const OUTSIDE: &str = "203.0.113.9";

fn address(who: &str) -> String {
    let last = match who {
        "web" => 1,
        "db" => 2,
        "probe" => 3,
        "other" => 4,
        address => return address.to_owned(),
    };
    format!("10.64.0.{last}")
}

/// `web>db tcp 5432`
fn packet(line: &str) -> Packet {
    let mut words = line.split_whitespace();
    let (from, to) = words.next().unwrap().split_once('>').unwrap();
    let protocol = match words.next().unwrap() {
        "tcp" => "tcp",
        "udp" => "udp",
        "sctp" => "sctp",
        _ => "icmp",
    };
    let port = words.next().unwrap().parse().unwrap();
    Packet { from: address(from).parse().unwrap(), to: address(to).parse().unwrap(), protocol, port, reply: false }
}

/// What passes and what does not under these policies of the namespace `shop`.
fn judge(policies: &[Value], allowed: &[&str], denied: &[&str]) {
    let mut deltas = cluster();
    deltas.extend(policies.iter().enumerate().map(|(n, spec)| policy("shop", &format!("p{n}"), spec)));
    let mut world = World::default();
    deltas.iter().for_each(|delta| world.take(delta));
    let mut rules = Ruleset::default();
    rules.apply(&text(plugin().sync(true, deltas).unwrap()).unwrap());
    for (lines, wanted) in [(allowed, true), (denied, false)] {
        for line in lines {
            let packet = packet(line);
            assert_eq!(rules.passes(&packet), wanted, "{line} under {policies:#?}");
            assert_eq!(world.allows(&packet), wanted, "the plain reading of {line} under {policies:#?}");
            let back = Packet { from: packet.to, to: packet.from, reply: true, ..packet };
            assert!(rules.passes(&back), "an answer to {line}");
        }
    }
}

#[test]
fn without_policies_everybody_talks() {
    judge(&[], &["web>db tcp 1", "probe>web udp 2", &format!("{OUTSIDE}>db tcp 3"), "db>other icmp 0"], &[]);
}

#[test]
fn default_deny_ingress() {
    let deny = json!({"podSelector": {}, "policyTypes": ["Ingress"]});
    let denied = ["probe>web tcp 80", "db>web tcp 80", &format!("{OUTSIDE}>web tcp 80"), "probe>db icmp 0"];
    judge(
        std::slice::from_ref(&deny),
        &["web>other tcp 80", "web>web tcp 80", &format!("db>{OUTSIDE} udp 53")],
        &denied,
    );
    // One that allows everything is stronger.
    judge(&[deny, json!({"podSelector": {}, "ingress": [{}]})], &denied, &[]);
}

#[test]
fn default_deny_egress_and_everything() {
    let deny = json!({"podSelector": {}, "policyTypes": ["Egress"]});
    let denied = ["web>probe tcp 80", "web>db tcp 80", &format!("web>{OUTSIDE} udp 53")];
    judge(std::slice::from_ref(&deny), &["probe>web tcp 80", "web>web tcp 1"], &denied);
    judge(&[deny, json!({"podSelector": {}, "egress": [{}], "policyTypes": ["Egress"]})], &denied, &[]);
    let all = json!({"podSelector": {}, "policyTypes": ["Ingress", "Egress"]});
    judge(&[all], &["probe>other tcp 80"], &["probe>web tcp 80", "web>probe tcp 80", "web>db tcp 80"]);
}

#[test]
fn the_example_of_the_documentation() {
    let spec = json!({
        "podSelector": {"matchLabels": {"role": "db"}},
        "policyTypes": ["Ingress", "Egress"],
        "ingress": [{
            "from": [
                {"ipBlock": {"cidr": "172.17.0.0/16", "except": ["172.17.1.0/24"]}},
                {"namespaceSelector": {"matchLabels": {"project": "lab"}}},
                {"podSelector": {"matchLabels": {"role": "frontend"}}},
            ],
            "ports": [{"protocol": "TCP", "port": 6379}],
        }],
        "egress": [{"to": [{"ipBlock": {"cidr": "10.0.0.0/24"}}], "ports": [{"protocol": "TCP", "port": 5978}]}],
    });
    judge(
        &[spec],
        &["web>db tcp 6379", "other>db tcp 6379", "172.17.0.5>db tcp 6379", "db>10.0.0.7 tcp 5978", "other>web tcp 1"],
        &[
            "web>db tcp 80",
            "web>db udp 6379",
            "172.17.1.5>db tcp 6379",
            "172.18.0.5>db tcp 6379",
            "db>10.0.0.7 tcp 80",
            "db>10.0.1.7 tcp 5978",
            "db>web tcp 5978",
        ],
    );
}

#[test]
fn namespace_and_pod_together_are_one_peer() {
    let from = |peers: Value| json!({"podSelector": {"matchLabels": {"app": "db"}}, "ingress": [{"from": peers}]});
    let lab = json!({"matchLabels": {"project": "lab"}});
    let frontend = json!({"matchLabels": {"role": "frontend"}});
    let both = from(json!([{"namespaceSelector": lab, "podSelector": frontend}]));
    judge(&[both], &["probe>db tcp 80"], &["other>db tcp 80", "web>db tcp 80"]);
    let either = from(json!([{"namespaceSelector": lab}, {"podSelector": frontend}]));
    judge(&[either], &["probe>db tcp 80", "other>db tcp 80", "web>db tcp 80"], &[&format!("{OUTSIDE}>db tcp 80")]);
    let by_name = from(json!([{"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "lab"}}}]));
    judge(&[by_name], &["other>db tcp 80"], &["web>db tcp 80"]);
    let every = from(json!([{"namespaceSelector": {}}]));
    judge(&[every], &["other>db tcp 80", "web>db tcp 80"], &[&format!("{OUTSIDE}>db tcp 80")]);
}

#[test]
fn ports_are_numbers_names_and_ranges() {
    let ports = |ports: Value| json!({"podSelector": {"matchLabels": {"app": "web"}}, "ingress": [{"ports": ports}]});
    judge(&[ports(json!([{"port": "http"}]))], &["db>web tcp 8080"], &["db>web tcp 80", "db>web udp 8080"]);
    let many =
        json!([{"port": 80}, {"port": 32_000, "endPort": 32_768}, {"port": 32_500, "endPort": 33_000}, {"port": 81}]);
    judge(
        &[ports(many)],
        &["db>web tcp 80", "db>web tcp 81", "db>web tcp 32000", "db>web tcp 33000"],
        &["db>web tcp 79", "db>web tcp 82", "db>web tcp 31999", "db>web tcp 33001", "db>web icmp 0"],
    );
    judge(&[ports(json!([{"protocol": "UDP"}]))], &["db>web udp 9"], &["db>web tcp 9"]);
    judge(&[ports(json!([{"port": 7, "protocol": "SCTP"}]))], &["db>web sctp 7"], &["db>web tcp 7", "db>web sctp 8"]);
    // The name is looked up at the pod that is spoken to.
    let egress = json!({
        "podSelector": {"matchLabels": {"app": "db"}}, "policyTypes": ["Egress"],
        "egress": [{"to": [{"podSelector": {}}], "ports": [{"port": "http"}]}],
    });
    judge(&[egress], &["db>web tcp 8080"], &["db>web tcp 80", "db>probe tcp 8080"]);
}

#[test]
fn policies_add_up() {
    let web = |ingress: Value| json!({"podSelector": {"matchLabels": {"app": "web"}}, "ingress": [ingress]});
    let policies = [
        web(json!({"from": [{"podSelector": {"matchLabels": {"app": "db"}}}], "ports": [{"port": 80}]})),
        web(json!({"from": [{"ipBlock": {"cidr": "203.0.113.0/24"}}], "ports": [{"port": 443}]})),
    ];
    let crossed = ["db>web tcp 443", &format!("{OUTSIDE}>web tcp 80"), "probe>web tcp 80"];
    judge(&policies, &["db>web tcp 80", &format!("{OUTSIDE}>web tcp 443")], &crossed);
}

#[test]
fn egress_and_ingress_must_both_allow() {
    let policies = [
        json!({"podSelector": {"matchLabels": {"app": "web"}}, "policyTypes": ["Egress"],
               "egress": [{"to": [{"podSelector": {"matchLabels": {"app": "db"}}}]}]}),
        json!({"podSelector": {"matchLabels": {"app": "db"}}, "ingress": [{"ports": [{"port": 5432}]}]}),
    ];
    judge(&policies, &["web>db tcp 5432", "other>db tcp 5432"], &["web>db tcp 80", "web>other tcp 5432"]);
}

#[test]
fn pods_of_the_host_network_are_nodes() {
    let mut on_host = pod("shop", "agent", 9, "app=agent");
    on_host.host_network = true;
    on_host.addresses = vec!["192.0.2.1".into()];
    let mut plugin = plugin();
    let deltas = vec![
        namespace("shop", ""),
        Delta::PodSet(on_host),
        Delta::PodSet(pod("shop", "web", 1, "app=web")),
        policy("shop", "deny", &json!({"podSelector": {}, "ingress": [{"from": [{"podSelector": {}}]}]})),
    ];
    let mut rules = Ruleset::default();
    rules.apply(&text(plugin.sync(true, deltas).unwrap()).unwrap());
    assert!(rules.passes(&packet("203.0.113.9>192.0.2.1 tcp 80")), "no policy selects it");
    assert!(!rules.passes(&packet("192.0.2.1>web tcp 80")), "and no selector of peers finds it");
}

#[test]
fn an_unreadable_policy_closes() {
    judge(&[json!({"podSelector": {}, "ingress": [{}]})], &["probe>web tcp 80"], &[]);
    let mut plugin = plugin();
    let mut deltas = cluster();
    deltas.push(policy("shop", "broken", &json!({"podSelector": 7})));
    let mut rules = Ruleset::default();
    rules.apply(&text(plugin.sync(true, deltas).unwrap()).unwrap());
    assert!(!rules.passes(&packet("probe>web tcp 80")) && rules.passes(&packet("probe>other tcp 80")));
}

#[test]
fn a_change_costs_what_it_changes() {
    let count = |pods: u16| {
        let mut plugin = plugin();
        let mut deltas = vec![
            namespace("shop", ""),
            policy("shop", "p", &json!({"podSelector": {}, "ingress": [{"from": [{"podSelector": {}}]}]})),
            policy("shop", "q", &json!({"podSelector": {"matchLabels": {"app": "other"}}, "policyTypes": ["Egress"]})),
        ];
        deltas.extend((0..pods).map(|n| {
            let mut pod = pod("shop", &format!("w{n}"), 0, "app=web");
            pod.addresses = vec![format!("10.64.{}.{}", n / 250 + 1, n % 250)];
            Delta::PodSet(pod)
        }));
        plugin.sync(true, deltas).unwrap();
        let cost = |plan: Vec<Operation>| text(plan).map_or(0, |text| text.len());
        let come = cost(plugin.sync(false, vec![Delta::PodSet(pod("shop", "new", 7, "app=web"))]).unwrap());
        let go = cost(plugin.sync(false, vec![Delta::PodGone("shop-new".into())]).unwrap());
        (come, go)
    };
    let (few, many) = (count(5), count(2_000));
    assert_eq!(few, many, "a pod more or less costs the same among 2,000 as among 5");
    assert!(few.0 < 2_000 && few.0 > 0, "{few:?}");
}

#[test]
fn odd_configuration_is_refused() {
    let node = gantry_sdk::network_policy::NodeInfo {
        name: "n".into(),
        addresses: Vec::new(),
        cluster_ranges: vec!["10.64.0.0".into()],
    };
    let refused = Policies::default().configure(Config::from_text("{}"), node).unwrap_err();
    assert!(refused.message.contains("CIDR"), "{}", refused.message);
}
