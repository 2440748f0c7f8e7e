use gantry_plugin::family::proxy::{HostMatch, PathMatch, Weighted};
use proptest::prelude::*;

use super::*;

fn blank() -> Condition {
    Condition {
        hosts: Vec::new(),
        paths: Vec::new(),
        methods: Vec::new(),
        headers: Vec::new(),
        queries: Vec::new(),
        sources: Vec::new(),
    }
}

fn host(text: &str) -> HostMatch {
    let kind = match text {
        text if text.starts_with("*.") => HostKind::Wildcard,
        text if text.contains(['*', '?']) => HostKind::Glob,
        _ => HostKind::Exact,
    };
    HostMatch { kind, value: text.to_owned() }
}

fn path(text: &str) -> PathMatch {
    let (kind, value) = match text.strip_prefix('=') {
        Some(exact) => (PathKind::Exact, exact),
        None if text.contains(['*', '?']) => (PathKind::Glob, text),
        None => (PathKind::Prefix, text),
    };
    PathMatch { kind, value: value.to_owned() }
}

fn rule(condition: Condition, status: u16) -> Rule {
    let action = Planned::Respond(Response { status, content_type: String::new(), body: String::new() });
    Rule { condition, action }
}

/// Rules that answer with 200, 201 and so on.
fn table(conditions: Vec<Condition>) -> Table {
    let rules: Vec<Rule> =
        conditions.into_iter().zip(200..).map(|(condition, status)| rule(condition, status)).collect();
    Table::new(&rules, Pool::empty)
}

fn found(table: &Table, asked: &Asked<'_>) -> Option<u16> {
    match table.find(asked)? {
        Action::Respond(fixed) => Some(fixed.status.as_u16() - 200),
        _ => panic!("no answer"),
    }
}

fn get<'a>(host: &'a str, path: &'a str, headers: &'a HeaderMap) -> Asked<'a> {
    let (path, query) = path.split_once('?').unwrap_or((path, ""));
    Asked { host, path, query, method: &Method::GET, headers, source: "192.0.2.7".parse().unwrap() }
}

#[test]
fn hosts_and_paths() {
    let of = |hosts: &[&str], paths: &[&str]| Condition {
        hosts: hosts.iter().map(|text| host(text)).collect(),
        paths: paths.iter().map(|text| path(text)).collect(),
        ..blank()
    };
    let table = table(vec![
        of(&["a.example"], &["=/x"]),
        of(&["a.example", "b.example"], &["/x/", "/y"]),
        of(&["*.example"], &[]),
        of(&["c*.test"], &["/img/*.png"]),
        of(&["*.deep.test", "deep.test"], &["/"]),
        of(&[], &["/any"]),
    ]);
    let none = HeaderMap::new();
    for (host, path, want) in [
        ("a.example", "/x", Some(0)),
        ("a.example", "/x/", Some(1)),
        ("a.example", "/x/y?q", Some(1)),
        ("b.example", "/x", Some(1)),
        ("a.example", "/xy", Some(2)),
        ("other.example", "/", Some(2)),
        ("two.labels.example", "/any", Some(5)),
        ("two.labels.example", "/", None),
        ("example", "/", None),
        (".example", "/", None),
        ("cats.test", "/img/a/b.png", Some(3)),
        ("cats.test", "/img/a/b.jpg", None),
        ("x.deep.test", "/", Some(4)),
        ("deep.test", "/anything", Some(4)),
        ("", "/any/thing", Some(5)),
    ] {
        assert_eq!(found(&table, &get(host, path, &none)), want, "{host}{path}");
    }
}

#[test]
fn all_conditions_hold_together() {
    let texts = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>();
    let field = |name: &str, values: &[&str]| FieldMatch { name: name.to_owned(), values: texts(values) };
    let table = table(vec![
        Condition { methods: texts(&["POST", "PUT"]), ..blank() },
        Condition { headers: vec![field("X-Kind", &["Blue*", "red"]), field("x-there", &[])], ..blank() },
        Condition { queries: vec![field("a", &["1"]), field("b", &["*z"])], ..blank() },
        Condition { sources: texts(&["192.0.2.0/28", "198.51.100.1"]), paths: vec![path("/near")], ..blank() },
        Condition { sources: texts(&["203.0.113.0/24"]), ..blank() },
    ]);
    let headers: HeaderMap = [("x-kind", "green"), ("x-kind", "BLUEISH"), ("x-there", "")]
        .map(|(n, v)| (n.parse().unwrap(), v.parse().unwrap()))
        .into_iter()
        .collect();
    // Collecting keeps the last of a name.
    assert_eq!(found(&table, &get("h", "/", &headers)), Some(1));
    let some: HeaderMap = [("x-kind".parse().unwrap(), "red".parse().unwrap())].into_iter().collect();
    assert_eq!(found(&table, &get("h", "/", &some)), None);
    let none = HeaderMap::new();
    assert_eq!(found(&table, &get("h", "/?b=xyz&a=1", &none)), Some(2));
    assert_eq!(found(&table, &get("h", "/?b=xy&a=1", &none)), None);
    assert_eq!(found(&table, &get("h", "/near", &none)), Some(3));
    let post = Asked { method: &Method::POST, ..get("h", "/near", &none) };
    assert_eq!(found(&table, &post), Some(0));
}

#[test]
fn a_rule_that_says_nothing_sensible_is_left_out() {
    let wrong = Condition { sources: vec!["everywhere".to_owned()], ..blank() };
    let table = table(vec![wrong, blank()]);
    assert_eq!(found(&table, &get("h", "/", &HeaderMap::new())), Some(1));
    let rules = [rule(blank(), 99), rule(blank(), 204)];
    assert_eq!(found(&Table::new(&rules, Pool::empty), &get("h", "/", &HeaderMap::new())), Some(4));
}

#[test]
fn rules_lead_to_pools_by_name() {
    let action = Planned::Forward(vec![Weighted { backend: "p".into(), weight: 3 }]);
    let pool = Pool::empty("p");
    let table = Table::new(&[Rule { condition: blank(), action }], |name| {
        assert_eq!(name, "p");
        pool.clone()
    });
    let none = HeaderMap::new();
    let Some(Action::Forward(targets)) = table.find(&get("h", "/", &none)) else { panic!() };
    assert!(targets.len() == 1 && Arc::ptr_eq(&targets[0].0, &pool) && targets[0].1 == 3);
}

fn any_host() -> impl Strategy<Value = String> {
    prop_oneof![Just("a.x"), Just("b.x"), Just("*.x"), Just("a*"), Just("?.x"), Just("x")].prop_map(str::to_owned)
}

proptest! {
    /// The index changes nothing: the first of all rules that fit, in their order.
    #[test]
    fn the_first_that_fits(
        rules in prop::collection::vec((prop::collection::vec(any_host(), 0..3), prop::option::of(prop_oneof![Just("/a"), Just("=/a"), Just("/a/b")])), 0..8),
        asked in prop_oneof![Just("a.x"), Just("b.x"), Just("x"), Just("c.x"), Just("a.b.x"), Just("")],
        at in prop_oneof![Just("/"), Just("/a"), Just("/a/b")],
    ) {
        let conditions: Vec<Condition> = rules.iter().map(|(hosts, paths)| Condition {
            hosts: hosts.iter().map(|text| host(text)).collect(),
            paths: paths.iter().map(|text| path(text)).collect(),
            ..blank()
        }).collect();
        let fits = |condition: &Condition| {
            let host = condition.hosts.is_empty() || condition.hosts.iter().any(|h| match h.kind {
                HostKind::Exact => h.value == asked,
                HostKind::Wildcard => asked.split_once('.').is_some_and(|(first, rest)| !first.is_empty() && format!("*.{rest}") == h.value),
                HostKind::Glob => Glob::new(&h.value, true).matches(asked),
            });
            let path = condition.paths.is_empty() || condition.paths.iter().any(|p| match p.kind {
                PathKind::Exact => p.value == at,
                _ => begins(at, p.value.trim_end_matches('/')),
            });
            host && path
        };
        let want = conditions.iter().position(fits).map(|n| n as u16);
        let none = HeaderMap::new();
        prop_assert_eq!(found(&table(conditions.clone()), &get(asked, at, &none)), want);
    }
}
