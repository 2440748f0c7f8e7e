//! What a Frontend says about HTTP, and the same in the words of the contract.

use std::collections::BTreeMap;

use gantry_plugin::family::load_balancer as told;
use gantry_plugin::family::proxy::{
    Action, Balance, Condition, FieldMatch, HealthCheck, HostKind, HostMatch, HttpVersion, Manner, PathKind, PathMatch,
    Redirect, Response, Rule, Weighted,
};
use serde::Deserialize;

use super::document::{Backends, or_default};

/// `spec.http`
#[derive(Deserialize)]
pub(super) struct Http {
    listeners: Vec<Listener>,
    #[serde(default, deserialize_with = "or_default")]
    rules: Vec<Route>,
    #[serde(default, deserialize_with = "or_default")]
    backends: Vec<Backend>,
}

#[derive(Deserialize)]
struct Listener {
    name: String,
    port: u16,
    #[serde(default, deserialize_with = "or_default")]
    protocol: String,
    #[serde(default, deserialize_with = "or_default")]
    certificates: Vec<Certificate>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Certificate {
    #[serde(default, deserialize_with = "or_default")]
    hosts: Vec<String>,
    secret_name: String,
}

#[derive(Deserialize)]
struct Route {
    #[serde(default, deserialize_with = "or_default")]
    listeners: Vec<String>,
    #[serde(default, deserialize_with = "or_default")]
    priority: u32,
    #[serde(default, rename = "match", deserialize_with = "or_default")]
    condition: Match,
    action: Act,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Match {
    #[serde(deserialize_with = "or_default")]
    hosts: Vec<Typed>,
    #[serde(deserialize_with = "or_default")]
    paths: Vec<Typed>,
    #[serde(deserialize_with = "or_default")]
    methods: Vec<String>,
    #[serde(deserialize_with = "or_default")]
    headers: Vec<Field>,
    #[serde(deserialize_with = "or_default")]
    queries: Vec<Field>,
    #[serde(deserialize_with = "or_default")]
    sources: Vec<String>,
}

#[derive(Deserialize)]
struct Typed {
    #[serde(rename = "type", default, deserialize_with = "or_default")]
    kind: String,
    value: String,
}

#[derive(Deserialize)]
struct Field {
    name: String,
    #[serde(default, deserialize_with = "or_default")]
    values: Vec<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
enum Act {
    Forward(Vec<Target>),
    Response(Fixed),
    Redirect(Elsewhere),
}

#[derive(Deserialize)]
struct Target {
    backend: String,
    weight: Option<u32>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Fixed {
    status: u16,
    #[serde(default, deserialize_with = "or_default")]
    content_type: String,
    #[serde(default, deserialize_with = "or_default")]
    body: String,
}

#[derive(Deserialize)]
struct Elsewhere {
    status: u16,
    #[serde(flatten)]
    parts: BTreeMap<String, String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Backend {
    name: String,
    #[serde(flatten)]
    selected: Backends,
    #[serde(default, deserialize_with = "or_default")]
    port: String,
    #[serde(default, deserialize_with = "or_default")]
    protocol: String,
    #[serde(default, deserialize_with = "or_default")]
    balance: String,
    #[serde(default, deserialize_with = "or_default")]
    timeout_milliseconds: u32,
    health_check: Option<Check>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Check {
    path: String,
    #[serde(default, deserialize_with = "or_default")]
    port: u16,
    interval_milliseconds: Option<u32>,
    timeout_milliseconds: Option<u32>,
    healthy_threshold: Option<u16>,
    unhealthy_threshold: Option<u16>,
    #[serde(default, deserialize_with = "or_default")]
    codes: Vec<String>,
}

impl Http {
    /// By the backends' names: which slices list them, and which of the slices' ports it is.
    pub(super) fn targets(&self) -> impl Iterator<Item = (&str, &Backends, &str)> {
        self.backends.iter().map(|backend| (backend.name.as_str(), &backend.selected, backend.port.as_str()))
    }

    pub(super) fn told(self) -> told::Http {
        told::Http {
            listeners: self.listeners.into_iter().map(listener).collect(),
            routes: self.rules.into_iter().map(route).collect(),
            backends: self.backends.into_iter().map(backend).collect(),
        }
    }
}

fn listener(listener: Listener) -> told::Listener {
    let certificate = |c: Certificate| told::Certificate { hosts: c.hosts, secret: c.secret_name };
    told::Listener {
        name: listener.name,
        port: listener.port,
        tls: listener.protocol == "HTTPS",
        certificates: listener.certificates.into_iter().map(certificate).collect(),
    }
}

fn route(route: Route) -> told::Route {
    let rule = Rule { condition: condition(route.condition), action: action(route.action) };
    told::Route { listeners: route.listeners, priority: route.priority, rule }
}

fn condition(given: Match) -> Condition {
    let host = |typed: Typed| HostMatch {
        kind: match typed.kind.as_str() {
            "Wildcard" => HostKind::Wildcard,
            "Glob" => HostKind::Glob,
            _ => HostKind::Exact,
        },
        value: typed.value,
    };
    let path = |typed: Typed| PathMatch {
        kind: match typed.kind.as_str() {
            "Exact" => PathKind::Exact,
            "Glob" => PathKind::Glob,
            _ => PathKind::Prefix,
        },
        value: typed.value,
    };
    let field = |field: Field| FieldMatch { name: field.name, values: field.values };
    Condition {
        hosts: given.hosts.into_iter().map(host).collect(),
        paths: given.paths.into_iter().map(path).collect(),
        methods: given.methods,
        headers: given.headers.into_iter().map(field).collect(),
        queries: given.queries.into_iter().map(field).collect(),
        sources: given.sources,
    }
}

fn action(given: Act) -> Action {
    match given {
        Act::Forward(targets) => {
            let target = |t: Target| Weighted { backend: t.backend, weight: t.weight.unwrap_or(1) };
            Action::Forward(targets.into_iter().map(target).collect())
        }
        Act::Response(fixed) => {
            Action::Respond(Response { status: fixed.status, content_type: fixed.content_type, body: fixed.body })
        }
        Act::Redirect(Elsewhere { status, mut parts }) => {
            let mut part = |name: &str| parts.remove(name).unwrap_or_default();
            Action::Redirect(Redirect {
                status,
                protocol: part("protocol"),
                host: part("host"),
                port: part("port"),
                path: part("path"),
                query: part("query"),
            })
        }
    }
}

fn backend(given: Backend) -> told::Backend {
    let version = if given.protocol == "H2C" { HttpVersion::Http2 } else { HttpVersion::Http1 };
    let balance = if given.balance == "LeastRequest" { Balance::LeastRequest } else { Balance::RoundRobin };
    let (health_check, timeout_ms) = (given.health_check.map(check), given.timeout_milliseconds);
    told::Backend { name: given.name, manner: Manner { version, balance, health_check, timeout_ms } }
}

/// With the defaults that the schema describes.
fn check(given: Check) -> HealthCheck {
    let code = |text: &String| {
        let (first, last) = text.split_once('-').unwrap_or((text, text));
        Some((first.trim().parse().ok()?, last.trim().parse().ok()?))
    };
    HealthCheck {
        path: given.path,
        port: given.port,
        interval_ms: given.interval_milliseconds.unwrap_or(10_000),
        timeout_ms: given.timeout_milliseconds.unwrap_or(5_000),
        healthy_after: given.healthy_threshold.unwrap_or(2),
        unhealthy_after: given.unhealthy_threshold.unwrap_or(3),
        good: given.codes.iter().filter_map(code).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn all_that_can_be_said_is_told() {
        let http: Http = serde_json::from_value(json!({
            "listeners": [{"name": "s", "port": 443, "protocol": "HTTPS", "certificates": [{"hosts": ["a"], "secretName": "c"}]}],
            "rules": [
                {"listeners": ["s"], "priority": 7, "action": {"forward": [{"backend": "b", "weight": 0}, {"backend": "c"}]}, "match": {
                    "hosts": [{"value": "a"}, {"type": "Wildcard", "value": "*.a"}, {"type": "Glob", "value": "a*"}],
                    "paths": [{"value": "/p"}, {"type": "Exact", "value": "/e"}, {"type": "Glob", "value": "/*"}],
                    "methods": ["GET"], "headers": [{"name": "h"}], "queries": [{"name": "q", "values": ["v"]}], "sources": ["::/0"],
                }},
                {"action": {"response": {"status": 404, "contentType": "text/plain", "body": "x"}}},
                {"action": {"redirect": {"status": 301, "protocol": "https", "path": "/#{path}"}}},
            ],
            "backends": [{
                "name": "b", "selector": {"matchLabels": {"k": "v"}}, "port": "http", "protocol": "H2C", "balance": "LeastRequest",
                "timeoutMilliseconds": 500, "healthCheck": {"path": "/ready", "codes": ["200", "300-399", "x"]},
            }],
        }))
        .unwrap();
        let targets: Vec<_> =
            http.targets().map(|(name, b, port)| (name, b.selector.match_labels.len(), port)).collect();
        assert_eq!(targets, [("b", 1, "http")]);
        let told = http.told();
        assert!(told.listeners[0].tls && told.listeners[0].certificates[0].secret == "c");
        let condition = &told.routes[0].rule.condition;
        assert_eq!(
            condition.hosts.iter().map(|h| h.kind).collect::<Vec<_>>(),
            [HostKind::Exact, HostKind::Wildcard, HostKind::Glob]
        );
        assert_eq!(
            condition.paths.iter().map(|p| p.kind).collect::<Vec<_>>(),
            [PathKind::Prefix, PathKind::Exact, PathKind::Glob]
        );
        assert_eq!((condition.methods.len(), condition.headers.len(), condition.queries[0].values.len()), (1, 1, 1));
        let Action::Forward(targets) = &told.routes[0].rule.action else { panic!() };
        assert_eq!(targets.iter().map(|t| t.weight).collect::<Vec<_>>(), [0, 1]);
        assert!(matches!(&told.routes[1].rule.action, Action::Respond(r) if r.status == 404 && r.body == "x"));
        assert!(
            matches!(&told.routes[2].rule.action, Action::Redirect(r) if r.path == "/#{path}" && r.host.is_empty())
        );
        let manner = &told.backends[0].manner;
        assert!(
            manner.version == HttpVersion::Http2 && manner.balance == Balance::LeastRequest && manner.timeout_ms == 500
        );
        let check = manner.health_check.as_ref().unwrap();
        assert_eq!(
            (check.interval_ms, check.unhealthy_after, check.good.as_slice()),
            (10_000, 3, &[(200, 200), (300, 399)][..])
        );
    }
}
