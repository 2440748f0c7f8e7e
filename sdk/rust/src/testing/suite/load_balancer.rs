//! What every load balancer keeps to.

use crate::load_balancer::{
    Backend, Backends, Delta as Change, Endpoint, Frontend, Http, Listener, NodeInfo, Policy, Port, Protocol, Route,
};
use crate::network::Operation;
use crate::proxy::{Action, Balance, Condition, HostKind, HostMatch, HttpVersion, Manner, Rule, Weighted};
use crate::{Config, LoadBalancer};

/// Load balancers: what is the same again is no plan; the cost of one change does not grow with what else there is; the
/// way by which the tables came to be does not matter.
pub fn load_balancer<L: LoadBalancer>(config: &Config, node: &NodeInfo) {
    let start = || {
        let mut plugin = L::default();
        let description = plugin.configure(config.clone(), node.clone()).expect("takes its configuration");
        let class = description.classes.first().cloned().expect("a load balancer serves a class");
        (plugin, class)
    };
    let (mut plugin, class) = start();
    plugin.node().expect("says what the node needs");
    let everything = |count: u8| -> Vec<Change> { (0..count).flat_map(|n| balanced(&class, n, 3)).collect() };
    assert!(!plugin.sync(true, everything(9)).expect("takes everything").is_empty(), "frontends make a plan");
    assert_eq!(plugin.sync(false, Vec::new()).expect("takes nothing"), [], "nothing new is no plan");
    assert_eq!(plugin.sync(false, everything(9)).expect("takes it again"), [], "the same again is no plan");
    let unknown = vec![Change::FrontendGone("default/unknown".into())];
    assert_eq!(plugin.sync(false, unknown).expect("takes an unknown one"), [], "one that is unknown may go");
    let one = |plugin: &mut L| cost(&plugin.sync(false, balanced(&class, 1, 2)).expect("takes a change"));
    let among_nine = one(&mut plugin);
    let (mut large, _) = start();
    large.sync(true, everything(200)).expect("takes everything");
    assert!(among_nine > 0, "a backend less is a plan");
    assert_eq!(one(&mut large), among_nine, "a change costs the same among 200 frontends as among 9");
    // The same end by another way: what a full sync makes of it must be the same text.
    let (mut direct, _) = start();
    let mut end = everything(9);
    end.splice(2..4, balanced(&class, 1, 2));
    let at_once = direct.sync(true, end.clone()).expect("takes everything");
    assert_eq!(plugin.sync(true, end).expect("takes everything again"), at_once, "a full sync forgets what was before");
    let gone = (0..9).map(|n| Change::FrontendGone(format!("default/f{n}"))).collect();
    assert!(!plugin.sync(false, gone).expect("takes them away").is_empty(), "what goes is a plan");
    assert_eq!(plugin.sync(false, Vec::new()).expect("takes nothing"), []);
}

fn cost(plan: &[Operation]) -> usize {
    plan.iter().map(|operation| format!("{operation:?}").len()).sum()
}

/// A frontend with two digits in every number, so that texts about it have the same length, and its backends. They serve a
/// port of it and its HTTP: load balancers do one or the other.
fn balanced(class: &str, number: u8, backends: u8) -> Vec<Change> {
    let id = format!("default/f{number}");
    let port = Port { name: "http".into(), protocol: Protocol::Tcp, port: 80, node_port: 30_000 + u16::from(number) };
    let frontend = Frontend {
        id: id.clone(),
        class: class.into(),
        created: 1_767_225_600,
        addresses: vec![format!("10.96.1.{number}")],
        external_addresses: Vec::new(),
        balanced_addresses: Vec::new(),
        source_ranges: Vec::new(),
        health_port: 0,
        ports: vec![port],
        affinity_seconds: 0,
        internal: Policy::Cluster,
        external: Policy::Cluster,
        http: Some(http(number)),
    };
    let endpoints = (0..backends).map(|n| Endpoint {
        addresses: vec![format!("10.64.{number}.{n}")],
        port: 8080,
        ready: true,
        serving: true,
        terminating: false,
        local: true,
        zones: Vec::new(),
    });
    let backends = Backends { frontend: id, port: "http".into(), endpoints: endpoints.collect() };
    vec![Change::FrontendSet(frontend), Change::BackendsSet(backends)]
}

fn http(number: u8) -> Http {
    let manner =
        Manner { version: HttpVersion::Http1, balance: Balance::RoundRobin, health_check: None, timeout_ms: 0 };
    let host = HostMatch { kind: HostKind::Exact, value: format!("f{number}.example.com") };
    let condition = Condition {
        hosts: vec![host],
        paths: Vec::new(),
        methods: Vec::new(),
        headers: Vec::new(),
        queries: Vec::new(),
        sources: Vec::new(),
    };
    let action = Action::Forward(vec![Weighted { backend: "http".into(), weight: 1 }]);
    Http {
        listeners: vec![Listener { name: "http".into(), port: 80, tls: false, certificates: Vec::new() }],
        routes: vec![Route { listeners: Vec::new(), priority: 0, rule: Rule { condition, action } }],
        backends: vec![Backend { name: "http".into(), manner }],
    }
}
