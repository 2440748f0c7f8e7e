//! Plans in a real kernel, in a network namespace of their own: each applies, and whatever the way, the rules at its end
//! are those that a full sync makes. Needs root and nft.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)]

use std::io::Write;
use std::process::{Command, Stdio};

use gantry_sdk::load_balancer::{
    Backends, Delta, Endpoint, Frontend, LoadBalancer, NodeInfo, Operation, Policy, Port, Protocol,
};
use gantry_sdk::{Config, Value, serde_json};
use load_balancer_nftables::Nftables;
use proptest::prelude::*;

fn balancer() -> Nftables {
    let mut balancer = Nftables::default();
    let node = NodeInfo {
        name: "n1".into(),
        addresses: vec!["192.0.2.1".into()],
        cluster_ranges: vec!["10.64.0.0/16".into()],
        zone: "z1".into(),
    };
    balancer.configure(Config::from_text("{}"), node).unwrap();
    balancer
}

fn text(plan: Vec<Operation>) -> Option<String> {
    let mut rules = None;
    for operation in plan {
        match operation {
            Operation::Nftables(text) => assert!(rules.replace(text).is_none(), "more than one transaction"),
            Operation::KeepFlows(_) | Operation::KeepProxies(_) => {}
            other => panic!("no rules, and no flows: {other:?}"),
        }
    }
    rules
}

/// Applies transactions one after the other in a new namespace; gives the rules at the end, without handles and in an
/// order of their own.
fn applied(transactions: &[String]) -> Vec<String> {
    let script = "while read -r line; do printf '%s' \"$line\" | nft -j -f - >&2 || exit 9; done; nft -j list ruleset";
    let mut child = Command::new("unshare")
        .args(["--net", "sh", "-c", script])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    for transaction in transactions {
        writeln!(stdin, "{transaction}").unwrap();
    }
    drop(stdin);
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{}\nof {transactions:#?}", String::from_utf8_lossy(&output.stderr));
    let listed: Value = serde_json::from_slice(&output.stdout).unwrap();
    let mut objects = listed["nftables"].as_array().unwrap().clone();
    objects.iter_mut().for_each(normal);
    let mut lines: Vec<String> = objects.iter().map(Value::to_string).collect();
    lines.sort();
    lines
}

fn normal(object: &mut Value) {
    for (_, body) in object.as_object_mut().unwrap() {
        let body = body.as_object_mut().unwrap();
        body.remove("handle");
        if let Some(elements) = body.get_mut("elem").and_then(Value::as_array_mut) {
            elements.sort_by_key(ToString::to_string);
        }
    }
}

fn endpoint() -> impl Strategy<Value = Endpoint> {
    let zones = prop::sample::subsequence(vec!["z1".to_owned(), "z2".to_owned()], 0..3);
    let port = prop_oneof![Just(8080_u16), Just(8081)];
    (1_u8..6, 0_u8..4, any::<bool>(), port, zones).prop_map(|(last, state, local, port, zones)| Endpoint {
        addresses: vec![format!("10.64.0.{last}")],
        port,
        ready: state > 1,
        serving: state > 0,
        terminating: state == 1,
        local,
        zones,
    })
}

fn frontend() -> impl Strategy<Value = Frontend> {
    let policy = || prop_oneof![Just(Policy::Cluster), Just(Policy::Local)];
    let protocol = prop_oneof![Just(Protocol::Tcp), Just(Protocol::Udp)];
    // Few addresses, so that several want the same.
    let address = (1_u8..4, any::<bool>())
        .prop_map(|(n, inside)| if inside { format!("10.96.0.{n}") } else { format!("10.97.0.{n}") });
    let external = prop::option::of((1_u8..3).prop_map(|n| format!("198.51.100.{n}")));
    (0_u8..4, address, external, protocol, 0_u16..3, policy(), policy(), prop::bool::weighted(0.3)).prop_map(
        |(n, address, external, protocol, node_port, internal, outside, sticky)| Frontend {
            id: format!("default/f{n}"),
            class: "cluster".into(),
            created: 0,
            addresses: vec![address],
            balanced_addresses: external.iter().map(|address| address.replace("198.51.100", "203.0.113")).collect(),
            source_ranges: if sticky { vec!["192.0.2.0/24".into()] } else { Vec::new() },
            health_port: 0,
            external_addresses: external.into_iter().collect(),
            ports: vec![Port {
                name: "http".into(),
                protocol,
                port: 80,
                node_port: if node_port == 0 { 0 } else { 30_000 + node_port },
            }],
            affinity_seconds: u32::from(sticky) * 60,
            internal,
            external: outside,
            http: None,
        },
    )
}

fn delta() -> impl Strategy<Value = Delta> {
    prop_oneof![
        4 => frontend().prop_map(Delta::FrontendSet),
        1 => (0_u8..4).prop_map(|n| Delta::FrontendGone(format!("default/f{n}"))),
        4 => (0_u8..4, prop::collection::vec(endpoint(), 0..5)).prop_map(|(n, endpoints)| {
            Delta::BackendsSet(Backends { frontend: format!("default/f{n}"), port: "http".into(), endpoints })
        }),
    ]
}

/// What is there after some changes, in the order in which those came that are still there.
#[derive(Default)]
struct Model(Vec<(Frontend, Vec<Endpoint>)>);

impl Model {
    fn take(&mut self, delta: &Delta) {
        match delta {
            Delta::FrontendSet(new) => match self.0.iter_mut().find(|(f, _)| f.id == new.id) {
                Some((known, _)) => *known = new.clone(),
                None => self.0.push((new.clone(), Vec::new())),
            },
            Delta::FrontendGone(id) => self.0.retain(|(f, _)| f.id != *id),
            Delta::BackendsSet(backends) => {
                if let Some((_, known)) = self.0.iter_mut().find(|(f, _)| f.id == backends.frontend) {
                    known.clone_from(&backends.endpoints);
                }
            }
        }
    }

    fn deltas(&self) -> Vec<Delta> {
        let both = |(frontend, endpoints): &(Frontend, Vec<Endpoint>)| {
            let (frontend_id, endpoints) = (frontend.id.clone(), endpoints.clone());
            let backends = Backends { frontend: frontend_id, port: "http".into(), endpoints };
            [Delta::FrontendSet(frontend.clone()), Delta::BackendsSet(backends)]
        };
        self.0.iter().flat_map(both).collect()
    }

    /// Whether two frontends want the same address or port: who has it then depends on who came first.
    fn disputed(&self) -> bool {
        let mut seen = std::collections::HashSet::new();
        self.0.iter().any(|(f, _)| {
            let port = &f.ports[0];
            let key = |what: &str| format!("{what} {:?}", port.protocol);
            let addresses =
                f.addresses.iter().chain(&f.external_addresses).chain(&f.balanced_addresses).map(|a| key(a));
            let node = (port.node_port != 0).then(|| key(&port.node_port.to_string()));
            addresses.chain(node).any(|key| !seen.insert(key))
        })
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]
    #[test]
    fn every_way_leads_to_the_same_rules(batches in prop::collection::vec(prop::collection::vec(delta(), 0..6), 1..7)) {
        let (mut balancer, mut model) = (balancer(), Model::default());
        let mut transactions: Vec<String> = text(balancer.sync(true, Vec::new()).unwrap()).into_iter().collect();
        for batch in batches {
            batch.iter().for_each(|delta| model.take(delta));
            transactions.extend(text(balancer.sync(false, batch).unwrap()));
        }
        let step_by_step = applied(&transactions);
        if !model.disputed() {
            let at_once = text(self::balancer().sync(true, model.deltas()).unwrap()).unwrap();
            // On top of what is there, as after a restart.
            transactions.push(at_once.clone());
            prop_assert_eq!(&applied(&transactions), &step_by_step);
            prop_assert_eq!(&applied(&[at_once]), &step_by_step);
        }
        // When all are gone, so is all that there was because of them.
        let gone = (0..4).map(|n| Delta::FrontendGone(format!("default/f{n}"))).collect();
        transactions.extend(text(balancer.sync(false, gone).unwrap()));
        prop_assert_eq!(applied(&transactions), applied(&transactions[..1]));
    }
}

/// One of many.
fn one_of_many(n: u32) -> Delta {
    let [.., high, low] = n.to_be_bytes();
    Delta::FrontendSet(Frontend {
        id: format!("default/f{n}"),
        class: "cluster".into(),
        created: 0,
        addresses: vec![format!("10.96.{high}.{low}")],
        balanced_addresses: Vec::new(),
        source_ranges: Vec::new(),
        health_port: 0,
        external_addresses: Vec::new(),
        ports: vec![Port { name: "http".into(), protocol: Protocol::Tcp, port: 80, node_port: 0 }],
        affinity_seconds: 0,
        internal: Policy::Cluster,
        external: Policy::Cluster,
        http: None,
    })
}

fn backends(frontend: u32, last: &[u8]) -> Delta {
    let endpoint = |last: &u8| Endpoint {
        addresses: vec![format!("10.64.0.{last}")],
        port: 8080,
        ready: true,
        serving: true,
        terminating: false,
        local: false,
        zones: Vec::new(),
    };
    let endpoints = last.iter().map(endpoint).collect();
    Delta::BackendsSet(Backends { frontend: format!("default/f{frontend}"), port: "http".into(), endpoints })
}

/// What a change costs does not grow with the number of those who are not concerned.
#[test]
fn one_change_of_many_names_nobody_else() {
    let begin = |numbers: std::ops::Range<u32>| {
        let mut balancer = balancer();
        balancer.sync(true, numbers.flat_map(|n| [one_of_many(n), backends(n, &[1, 2])]).collect()).unwrap();
        balancer
    };
    let (mut many, mut alone) = (begin(0..5_000), begin(1_234..1_235));
    for last in [&[1, 2, 3][..], &[3], &[], &[4]] {
        let plan = text(many.sync(false, vec![backends(1_234, last)]).unwrap()).unwrap();
        let commands: Value = serde_json::from_str(&plan).unwrap();
        let commands = commands["nftables"].as_array().unwrap();
        assert!(commands.len() <= 10, "{} commands: {plan}", commands.len());
        // The same as where there is nobody else, so it concerns nobody else.
        assert_eq!(Some(plan), text(alone.sync(false, vec![backends(1_234, last)]).unwrap()));
    }
    // What changes nothing is nothing.
    assert_eq!(text(many.sync(false, vec![backends(1_234, &[4])]).unwrap()), None);
}
