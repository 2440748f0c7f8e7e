//! The words of routing, which are the same on both sides and of different types.

use gantry_plugin::family::proxy as host;
use gantry_sdk::proxy as sdk;

/// Functions that turn the types of one side into those of the other.
macro_rules! translate {
    ($module:ident: $from:ident -> $to:ident) => {
        pub(crate) mod $module {
            use super::{$from as from, $to as to};

            pub fn rule(given: from::Rule) -> to::Rule {
                to::Rule { condition: condition(given.condition), action: action(given.action) }
            }

            fn condition(given: from::Condition) -> to::Condition {
                let field = |f: from::FieldMatch| to::FieldMatch { name: f.name, values: f.values };
                to::Condition {
                    hosts: given.hosts.into_iter().map(host_match).collect(),
                    paths: given.paths.into_iter().map(path_match).collect(),
                    methods: given.methods,
                    headers: given.headers.into_iter().map(field).collect(),
                    queries: given.queries.into_iter().map(field).collect(),
                    sources: given.sources,
                }
            }

            fn host_match(given: from::HostMatch) -> to::HostMatch {
                let kind = match given.kind {
                    from::HostKind::Exact => to::HostKind::Exact,
                    from::HostKind::Wildcard => to::HostKind::Wildcard,
                    from::HostKind::Glob => to::HostKind::Glob,
                };
                to::HostMatch { kind, value: given.value }
            }

            fn path_match(given: from::PathMatch) -> to::PathMatch {
                let kind = match given.kind {
                    from::PathKind::Exact => to::PathKind::Exact,
                    from::PathKind::Prefix => to::PathKind::Prefix,
                    from::PathKind::Glob => to::PathKind::Glob,
                };
                to::PathMatch { kind, value: given.value }
            }

            fn action(given: from::Action) -> to::Action {
                let weighted = |w: from::Weighted| to::Weighted { backend: w.backend, weight: w.weight };
                match given {
                    from::Action::Forward(all) => to::Action::Forward(all.into_iter().map(weighted).collect()),
                    from::Action::Respond(r) => to::Action::Respond(to::Response {
                        status: r.status,
                        content_type: r.content_type,
                        body: r.body,
                    }),
                    from::Action::Redirect(r) => to::Action::Redirect(to::Redirect {
                        status: r.status,
                        protocol: r.protocol,
                        host: r.host,
                        port: r.port,
                        path: r.path,
                        query: r.query,
                    }),
                }
            }

            pub fn manner(given: from::Manner) -> to::Manner {
                let health_check = given.health_check.map(|h| to::HealthCheck {
                    path: h.path,
                    port: h.port,
                    interval_ms: h.interval_ms,
                    timeout_ms: h.timeout_ms,
                    healthy_after: h.healthy_after,
                    unhealthy_after: h.unhealthy_after,
                    good: h.good,
                });
                to::Manner {
                    version: match given.version {
                        from::HttpVersion::Http1 => to::HttpVersion::Http1,
                        from::HttpVersion::Http2 => to::HttpVersion::Http2,
                    },
                    balance: match given.balance {
                        from::Balance::RoundRobin => to::Balance::RoundRobin,
                        from::Balance::LeastRequest => to::Balance::LeastRequest,
                    },
                    health_check,
                    timeout_ms: given.timeout_ms,
                }
            }
        }
    };
}

translate!(to_host: sdk -> host);
translate!(to_sdk: host -> sdk);

/// A listener of a plan.
pub(crate) fn listener(given: host::Listener) -> sdk::Listener {
    let certificate = |c: host::Certificate| sdk::Certificate {
        hosts: c.hosts,
        namespace: c.namespace,
        secret: c.secret,
        frontend: c.frontend,
    };
    sdk::Listener {
        name: given.name,
        port: given.port,
        tls: given.tls,
        certificates: given.certificates.into_iter().map(certificate).collect(),
        rules: given.rules.into_iter().map(to_sdk::rule).collect(),
        frontends: given.frontends,
        access_log: given.access_log,
    }
}

/// A pool of a plan.
pub(crate) fn pool(given: host::Pool) -> sdk::Pool {
    sdk::Pool { name: given.name, manner: to_sdk::manner(given.manner), endpoints: given.endpoints }
}
