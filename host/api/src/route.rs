//! What a path names.

use std::borrow::Cow;

use percent_encoding::percent_decode_str;

/// A path of the API.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Route<'a> {
    /// `/api`
    Core,
    /// `/apis`
    Groups,
    /// `/apis/{group}`
    Group(&'a str),
    /// `/api/v1`, `/apis/{group}/{version}`
    Resources(&'a str, &'a str),
    /// Objects, one object, or a part of it.
    Objects(Target<'a>),
    /// None of these.
    Other,
}

/// Which objects.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Target<'a> {
    /// Empty for core.
    pub group: &'a str,
    pub version: &'a str,
    pub plural: &'a str,
    /// Empty: of the cluster, or of all namespaces.
    pub namespace: Cow<'a, str>,
    /// Empty: all.
    pub name: Cow<'a, str>,
    /// Empty: the object itself.
    pub subresource: &'a str,
}

impl<'a> Route<'a> {
    pub(crate) fn of(path: &'a str) -> Self {
        let path = path.strip_suffix('/').unwrap_or(path);
        let mut parts = path.strip_prefix('/').unwrap_or_default().split('/');
        let (group, version) = match parts.next() {
            Some("api") => match parts.next() {
                None => return Route::Core,
                Some(version) => ("", version),
            },
            Some("apis") => match (parts.next(), parts.next()) {
                (None, _) => return Route::Groups,
                (Some(group), None) => return Route::Group(group),
                (Some(group), Some(version)) => (group, version),
            },
            _ => return Route::Other,
        };
        let Some(first) = parts.next() else { return Route::Resources(group, version) };
        let mut rest = [""; 4];
        for slot in &mut rest {
            *slot = parts.next().unwrap_or_default();
        }
        if parts.next().is_some() {
            return Route::Other;
        }
        Self::objects(group, version, first, rest)
    }

    fn objects(group: &'a str, version: &'a str, first: &'a str, rest: [&'a str; 4]) -> Self {
        let target = |plural, namespace, name, subresource| {
            let (namespace, name) = (decoded(namespace), decoded(name));
            Route::Objects(Target { group, version, plural, namespace, name, subresource })
        };
        match (first, rest) {
            // A namespace itself: `/api/v1/namespaces/{name}` and its `status` and `finalize`.
            ("namespaces", [name, sub @ ("" | "status" | "finalize"), "", ""]) if group.is_empty() => {
                let namespace = name;
                target("namespaces", namespace, name, sub)
            }
            ("namespaces", [namespace, plural, name, sub]) if !plural.is_empty() => {
                target(plural, namespace, name, sub)
            }
            (plural, [name, sub, "", ""]) => target(plural, "", name, sub),
            _ => Route::Other,
        }
    }
}

fn decoded(text: &str) -> Cow<'_, str> {
    percent_decode_str(text).decode_utf8_lossy()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn objects(path: &str) -> Option<[String; 6]> {
        match Route::of(path) {
            Route::Objects(t) => {
                Some([t.group, t.version, t.plural, &t.namespace, &t.name, t.subresource].map(str::to_owned))
            }
            _ => None,
        }
    }

    #[test]
    fn objects_of_every_shape() {
        for (path, want) in [
            ("/api/v1/pods", ["", "v1", "pods", "", "", ""]),
            ("/api/v1/namespaces", ["", "v1", "namespaces", "", "", ""]),
            ("/api/v1/namespaces/a", ["", "v1", "namespaces", "a", "a", ""]),
            ("/api/v1/namespaces/a/status", ["", "v1", "namespaces", "a", "a", "status"]),
            ("/api/v1/namespaces/a/pods", ["", "v1", "pods", "a", "", ""]),
            ("/api/v1/namespaces/a/pods/b", ["", "v1", "pods", "a", "b", ""]),
            ("/api/v1/namespaces/a/pods/b/log", ["", "v1", "pods", "a", "b", "log"]),
            ("/apis/apps/v1/namespaces/a/deployments/b/scale", ["apps", "v1", "deployments", "a", "b", "scale"]),
            ("/api/v1/nodes/n%3A1/status", ["", "v1", "nodes", "", "n:1", "status"]),
            ("/api/v1/pods/", ["", "v1", "pods", "", "", ""]),
        ] {
            assert_eq!(objects(path).unwrap(), want.map(str::to_owned), "{path}");
        }
    }

    #[test]
    fn everything_else() {
        for (path, want) in [
            ("/api", Route::Core),
            ("/apis/", Route::Groups),
            ("/apis/apps", Route::Group("apps")),
            ("/apis/apps/v1", Route::Resources("apps", "v1")),
            ("/api/v1/", Route::Resources("", "v1")),
            ("/", Route::Other),
            ("", Route::Other),
            ("/healthz", Route::Other),
            ("/api/v1/namespaces/a/pods/b/log/more", Route::Other),
            ("/api/v1/nodes/a/b/c/d", Route::Other),
        ] {
            assert_eq!(Route::of(path), want, "{path}");
        }
    }
}
