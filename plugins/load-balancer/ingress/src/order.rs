//! Which of several rules that match a request counts: Kubernetes' order for Ingresses, after the numbers that other
//! dialects give. See <https://kubernetes.io/docs/concepts/services-networking/ingress/#multiple-matches>.

use std::cmp::Reverse;

use gantry_sdk::proxy::{Condition, HostKind, PathKind};

/// A rule's place: the smallest is asked first.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// As the Frontend says.
    priority: u32,
    /// A host itself before one among many, and any host last.
    host: u8,
    /// The longest path, whatever its type.
    path: Reverse<usize>,
    /// Of two as long the exact one.
    kind: u8,
    /// Of two that want the same the older one.
    created: u64,
    frontend: String,
    /// Where it stands there.
    index: usize,
}

impl Place {
    /// Of a rule at an index of a frontend.
    pub fn new(condition: &Condition, priority: u32, created: u64, frontend: &str, index: usize) -> Self {
        let host = condition.hosts.iter().map(|host| match host.kind {
            HostKind::Exact => 0,
            HostKind::Wildcard => 1,
            HostKind::Glob => 2,
        });
        let path = condition.paths.iter().map(|path| match path.kind {
            PathKind::Exact => (path.value.len(), 0),
            // A slash at the end says nothing; a root is still more than no path at all.
            PathKind::Prefix => (path.value.trim_end_matches('/').len().max(1), 1),
            PathKind::Glob => (path.value.len(), 2),
        });
        let (length, kind) = path.max_by_key(|(length, kind)| (*length, Reverse(*kind))).unwrap_or((0, 3));
        Self {
            priority,
            host: host.min().unwrap_or(3),
            path: Reverse(length),
            kind,
            created,
            frontend: frontend.to_owned(),
            index,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use gantry_sdk::proxy::{HostMatch, PathMatch};

    fn place(host: &str, path: &str, created: u64) -> Place {
        let kind = if host.starts_with("*.") { HostKind::Wildcard } else { HostKind::Exact };
        let hosts = if host.is_empty() { vec![] } else { vec![HostMatch { kind, value: host.into() }] };
        let (kind, value) = path.strip_prefix('=').map_or((PathKind::Prefix, path), |exact| (PathKind::Exact, exact));
        let paths = if path.is_empty() { vec![] } else { vec![PathMatch { kind, value: value.into() }] };
        let (methods, headers, queries, sources) = Default::default();
        Place::new(&Condition { hosts, paths, methods, headers, queries, sources }, 0, created, "f", 0)
    }

    #[test]
    fn what_is_said_more_exactly_comes_first() {
        let ordered = [
            place("a.x", "=/foo/bar", 1),
            place("a.x", "/foo/bar", 1),
            place("a.x", "=/foo", 1),
            place("a.x", "/foo/", 1),
            place("a.x", "/", 1),
            place("a.x", "/", 2),
            place("a.x", "", 1),
            place("*.x", "=/foo/bar", 1),
            place("*.x", "", 1),
            place("", "/foo/bar", 1),
            place("", "/", 1),
            place("", "", 1),
        ];
        assert!(ordered.windows(2).all(|pair| pair[0] < pair[1]), "{ordered:#?}");
    }
}
