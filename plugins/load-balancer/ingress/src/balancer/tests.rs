use gantry_sdk::json;
use gantry_sdk::load_balancer::{Certificate, Http, Listener as Wanted, Policy, Route};
use gantry_sdk::proxy::{
    Action, Balance, Condition, HostKind, HostMatch, HttpVersion, Manner, PathKind, PathMatch, Rule, Weighted,
};
use gantry_sdk::testing::suite;
use proptest::prelude::*;

use super::*;

fn node() -> NodeInfo {
    NodeInfo {
        name: "n1".into(),
        addresses: vec!["192.0.2.1".into()],
        cluster_ranges: vec!["10.64.0.0/16".into()],
        zone: String::new(),
    }
}

fn balancer() -> Balancer {
    let mut balancer = Balancer::default();
    let description = balancer.configure(Config::from_text("{}"), node()).unwrap();
    assert_eq!(description.classes, [CLASS]);
    balancer
}

#[test]
fn is_a_load_balancer() {
    suite::load_balancer::<Balancer>(&Config::from_text("{}"), &node());
    for wrong in [json!({"http-port": 0}), json!({"https-port": 80}), json!({"port": 80}), json!({"class": ""})] {
        assert!(Balancer::default().configure(Config::from(wrong.clone()), node()).is_err(), "{wrong}");
    }
}

fn rule(host: &str, path: &str, backend: &str) -> Rule {
    let hosts = vec![HostMatch { kind: HostKind::Exact, value: host.into() }];
    let paths = vec![PathMatch { kind: PathKind::Prefix, value: path.into() }];
    let (methods, headers, queries, sources) = Default::default();
    Rule {
        condition: Condition { hosts, paths, methods, headers, queries, sources },
        action: Action::Forward(vec![Weighted { backend: backend.into(), weight: 1 }]),
    }
}

fn frontend(name: &str, created: u64, host: &str, backends: &[&str], secret: Option<&str>) -> Frontend {
    let manner =
        Manner { version: HttpVersion::Http1, balance: Balance::RoundRobin, health_check: None, timeout_ms: 0 };
    let mut listeners = vec![Wanted { name: "http".into(), port: 80, tls: false, certificates: vec![] }];
    listeners.extend(secret.map(|secret| Wanted {
        name: "https".into(),
        port: 443,
        tls: true,
        certificates: vec![Certificate { hosts: vec![host.into()], secret: secret.into() }],
    }));
    let route = |b: &&str| Route { listeners: vec![], priority: 0, rule: rule(host, &format!("/{b}"), b) };
    Frontend {
        id: format!("ns/{name}"),
        class: CLASS.into(),
        created,
        addresses: vec![],
        external_addresses: vec![],
        balanced_addresses: vec![],
        source_ranges: vec![],
        health_port: 0,
        ports: vec![],
        affinity_seconds: 0,
        internal: Policy::Cluster,
        external: Policy::Cluster,
        http: Some(Http {
            listeners,
            routes: backends.iter().map(route).collect(),
            backends: backends.iter().map(|b| Backend { name: (*b).into(), manner: manner.clone() }).collect(),
        }),
    }
}

fn served(frontend: &str, backend: &str, last: &[(u8, char)]) -> Delta {
    let endpoint = |(last, state): &(u8, char)| Endpoint {
        addresses: vec![format!("10.64.0.{last}")],
        port: 8080,
        ready: *state == 'r',
        serving: *state != 'd',
        terminating: *state == 't',
        local: false,
        zones: Vec::new(),
    };
    let endpoints = last.iter().map(endpoint).collect();
    Delta::BackendsSet(Backends { frontend: format!("ns/{frontend}"), port: backend.into(), endpoints })
}

/// A plan in short.
fn short(plan: Vec<Operation>) -> Vec<String> {
    let host = |rule: &Rule| rule.condition.hosts.first().map(|host| host.value.clone()).unwrap_or_default();
    plan.into_iter()
        .map(|operation| match operation {
            Operation::EnsurePool(p) => format!("pool {} {}", p.name, p.endpoints.join(" ")),
            Operation::DeletePool(name) => format!("no pool {name}"),
            Operation::EnsureListener(l) => {
                let secrets: Vec<String> =
                    l.certificates.iter().map(|c| format!(" {}/{}", c.namespace, c.secret)).collect();
                format!("{}: {}{}", l.name, l.rules.iter().map(host).collect::<Vec<_>>().join(" "), secrets.concat())
            }
            Operation::DeleteListener(name) => format!("no {name}"),
            Operation::KeepProxies(kept) => format!("keep {} and {}", kept.listeners.join(" "), kept.pools.join(" ")),
            other => panic!("{other:?}"),
        })
        .collect()
}

#[test]
fn plans_say_what_changed() {
    let mut balancer = balancer();
    let web = frontend("web", 2, "b.x", &["s"], None);
    let start = vec![Delta::FrontendSet(web.clone()), served("web", "s", &[(1, 'r'), (2, 'd'), (3, 't')])];
    assert_eq!(
        short(balancer.sync(true, start).unwrap()),
        ["pool ns/web/s 10.64.0.1:8080", "http:80: b.x", "keep http:80 and ns/web/s"]
    );
    // Who goes still answers where nobody else does.
    let change = vec![served("web", "s", &[(2, 'd'), (3, 't')])];
    assert_eq!(short(balancer.sync(false, change).unwrap()), ["pool ns/web/s 10.64.0.3:8080"]);
    assert_eq!(short(balancer.sync(false, vec![Delta::FrontendSet(web)]).unwrap()), [""; 0]);
    // An older one of the same host comes first.
    let old = frontend("old", 1, "b.x", &["s"], Some("cert"));
    assert_eq!(
        short(balancer.sync(false, vec![Delta::FrontendSet(old), served("old", "s", &[])]).unwrap()),
        ["pool ns/old/s ", "http:80: b.x b.x", "https:443: b.x ns/cert"]
    );
    // Another backend is there before the rule that leads to it, and the old one goes after.
    let other = frontend("web", 2, "b.x", &["t"], None);
    assert_eq!(
        short(balancer.sync(false, vec![Delta::FrontendSet(other), served("web", "t", &[(9, 'r')])]).unwrap()),
        ["pool ns/web/t 10.64.0.9:8080", "http:80: b.x b.x", "no pool ns/web/s"]
    );
    assert_eq!(
        short(balancer.sync(false, vec![Delta::FrontendGone("ns/old".into())]).unwrap()),
        ["no https:443", "http:80: b.x", "no pool ns/old/s"]
    );
    assert_eq!(
        short(balancer.sync(false, vec![Delta::FrontendGone("ns/web".into())]).unwrap()),
        ["no http:80", "no pool ns/web/t"]
    );
}

#[test]
fn frontends_whose_names_begin_alike_keep_their_pools() {
    let mut balancer = balancer();
    let all = ["a", "a-b"].map(|name| Delta::FrontendSet(frontend(name, 1, "x.x", &["s"], None)));
    balancer.sync(true, all.to_vec()).unwrap();
    let plan = short(balancer.sync(false, vec![Delta::FrontendGone("ns/a".into())]).unwrap());
    assert_eq!(plan, ["http:80: x.x", "no pool ns/a/s"]);
}

/// What a proxy holds after some plans.
#[derive(Debug, Default, PartialEq)]
struct Held {
    listeners: BTreeMap<String, Listener>,
    pools: BTreeMap<String, Pool>,
}

impl Held {
    fn apply(&mut self, plan: Vec<Operation>) {
        for operation in plan {
            match operation {
                Operation::EnsureListener(l) => drop(self.listeners.insert(l.name.clone(), l)),
                Operation::DeleteListener(name) => drop(self.listeners.remove(&name)),
                Operation::EnsurePool(p) => drop(self.pools.insert(p.name.clone(), p)),
                Operation::DeletePool(name) => drop(self.pools.remove(&name)),
                Operation::KeepProxies(kept) => {
                    self.listeners.retain(|name, _| kept.listeners.contains(name));
                    self.pools.retain(|name, _| kept.pools.contains(name));
                }
                other => panic!("{other:?}"),
            }
            // No rule ever leads to a pool that is not there.
            for rule in self.listeners.values().flat_map(|listener| &listener.rules) {
                let Action::Forward(targets) = &rule.action else { continue };
                assert!(targets.iter().all(|target| self.pools.contains_key(&target.backend)), "{rule:?}");
            }
        }
    }
}

fn delta() -> impl Strategy<Value = Delta> {
    let set = (0_u8..3, 0_u64..3, prop_oneof![Just("a.x"), Just("b.x")], 0_usize..3, any::<bool>());
    prop_oneof![
        3 => set.prop_map(|(n, created, host, count, tls)| {
            let backends = ["s", "t"].get(..count.min(2)).unwrap_or_default();
            Delta::FrontendSet(frontend(&format!("f{n}"), created, host, backends, tls.then_some("cert")))
        }),
        1 => (0_u8..3).prop_map(|n| Delta::FrontendGone(format!("ns/f{n}"))),
        3 => (0_u8..3, prop_oneof![Just("s"), Just("t")], prop::collection::vec((1_u8..4, prop_oneof![Just('r'), Just('t'), Just('d')]), 0..3))
            .prop_map(|(n, backend, last)| served(&format!("f{n}"), backend, &last)),
    ]
}

proptest! {
    #[test]
    fn every_way_leads_to_the_same_tables(batches in prop::collection::vec(prop::collection::vec(delta(), 0..5), 1..6)) {
        let (mut balancer, mut held) = (balancer(), Held::default());
        held.apply(balancer.sync(true, vec![]).unwrap());
        for batch in batches {
            held.apply(balancer.sync(false, batch).unwrap());
            prop_assert_eq!(balancer.sync(false, vec![]).unwrap(), vec![]);
        }
        // All that there is now, told to another one at once, over what is there.
        let everything: Vec<Delta> = balancer.frontends.values().flat_map(|known| {
            let set = Delta::FrontendSet(known.frontend.clone());
            let of = |(port, endpoints): (&String, &Vec<Endpoint>)| Delta::BackendsSet(Backends {
                frontend: known.frontend.id.clone(), port: port.clone(), endpoints: endpoints.clone(),
            });
            std::iter::once(set).chain(known.endpoints.iter().map(of)).collect::<Vec<_>>()
        }).collect();
        let at_once = self::balancer().sync(true, everything).unwrap();
        let mut fresh = Held::default();
        fresh.apply(at_once.clone());
        prop_assert_eq!(&fresh, &held);
        let mut over = Held { listeners: held.listeners, pools: held.pools };
        over.apply(at_once);
        prop_assert_eq!(over, fresh);
    }
}
