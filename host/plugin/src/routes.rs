//! Which requests are a dialect's.

use std::fmt;

use http::request::Parts;
use serde::Deserialize;

/// A rule that requests match or not. All that it says must hold.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "Written")]
pub struct Route {
    path: PathRule,
    /// A header's name in lower case, and with what a value of it begins.
    header: Option<(String, String)>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum PathRule {
    Exact(String),
    /// Without the slash at the end: itself, and everything below it. Empty: every path.
    Below(String),
}

/// As it stands in manifests and bundles.
#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct Written {
    path: Option<String>,
    path_prefix: Option<String>,
    header: Option<String>,
    #[serde(default)]
    prefix: String,
}

impl TryFrom<Written> for Route {
    type Error = String;

    fn try_from(written: Written) -> Result<Self, String> {
        let absolute = |path: String| match path.starts_with('/') {
            true => Ok(path),
            false => Err(format!("path {path:?} does not begin with a slash")),
        };
        let path = match (written.path, written.path_prefix) {
            (Some(path), None) => PathRule::Exact(absolute(path)?),
            (None, Some(prefix)) => PathRule::Below(absolute(prefix)?.trim_end_matches('/').to_owned()),
            _ => return Err("a route has either a path or a path-prefix".to_owned()),
        };
        let header = match written.header {
            Some(name) if http::HeaderName::from_bytes(name.as_bytes()).is_err() => {
                return Err(format!("{name:?} is no name of a header"));
            }
            Some(name) => Some((name.to_ascii_lowercase(), written.prefix)),
            None if !written.prefix.is_empty() => return Err("a prefix needs the header that it is of".to_owned()),
            None => None,
        };
        Ok(Self { path, header })
    }
}

impl Route {
    /// Every request of these paths: `prefix` itself and everything below it.
    pub fn below(prefix: &str) -> Self {
        Self { path: PathRule::Below(prefix.trim_end_matches('/').to_owned()), header: None }
    }

    /// Every request of just this path.
    pub fn exact(path: &str) -> Self {
        Self { path: PathRule::Exact(path.to_owned()), header: None }
    }

    /// Whether a request is meant. Of a header that is there several times the first counts, so that rules of different
    /// prefixes never mean the same request.
    pub fn matches(&self, head: &Parts) -> bool {
        let begins = |(name, prefix): &(String, String)| {
            head.headers.get(name).is_some_and(|value| value.as_bytes().starts_with(prefix.as_bytes()))
        };
        self.path.has(head.uri.path()) && self.header.as_ref().is_none_or(begins)
    }

    /// Whether there can be a request that both mean. Of different headers a request can have both.
    pub fn overlaps(&self, other: &Self) -> bool {
        let headers = match (&self.header, &other.header) {
            (Some((name, one)), Some((same, two))) if name == same => one.starts_with(two) || two.starts_with(one),
            _ => true,
        };
        headers && self.path.overlaps(&other.path)
    }

    /// Whether it means every request that the other one means.
    pub fn covers(&self, other: &Self) -> bool {
        let headers = match (&self.header, &other.header) {
            (None, _) => true,
            (Some((name, wide)), Some((same, narrow))) => name == same && narrow.starts_with(wide),
            (Some(_), None) => false,
        };
        headers && self.path.covers(&other.path)
    }

    /// Whether it says anything about a header.
    pub fn has_header(&self) -> bool {
        self.header.is_some()
    }
}

impl PathRule {
    fn has(&self, path: &str) -> bool {
        match self {
            Self::Exact(own) => path == own,
            Self::Below(prefix) => {
                path.strip_prefix(prefix.as_str()).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
            }
        }
    }

    fn covers(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Exact(one), Self::Exact(two)) => one == two,
            (Self::Exact(_), Self::Below(_)) => false,
            (Self::Below(_), Self::Exact(path)) => self.has(path),
            (Self::Below(_), Self::Below(prefix)) => self.has(prefix),
        }
    }

    fn overlaps(&self, other: &Self) -> bool {
        self.covers(other) || other.covers(self)
    }
}

impl fmt::Display for Route {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.path {
            PathRule::Exact(path) => write!(f, "the path {path}")?,
            PathRule::Below(prefix) => write!(f, "paths below {prefix}/")?,
        }
        match &self.header {
            Some((name, prefix)) if prefix.is_empty() => write!(f, " and the header {name}"),
            Some((name, prefix)) => write!(f, " and the header {name}: {prefix}…"),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn route(text: &str) -> Result<Route, String> {
        toml::from_str(text).map_err(|e| e.message().to_owned())
    }

    fn head(path: &str, header: Option<(&str, &str)>) -> Parts {
        let mut request = http::Request::builder().uri(path);
        if let Some((name, value)) = header {
            request = request.header(name, value);
        }
        request.body(()).unwrap().into_parts().0
    }

    #[test]
    fn means_requests_by_path_and_header() {
        let target = route("path = \"/\"\nheader = \"X-Amz-Target\"\nprefix = \"One.\"").unwrap();
        let below = route("path-prefix = \"/v1/\"").unwrap();
        for (rule, path, header, want) in [
            (&target, "/", Some(("x-amz-target", "One.List")), true),
            (&target, "/?x=1", Some(("x-amz-target", "One.List")), true),
            (&target, "/", Some(("x-amz-target", "Two.List")), false),
            (&target, "/", None, false),
            (&target, "/x", Some(("x-amz-target", "One.List")), false),
            (&below, "/v1", None, true),
            (&below, "/v1/x", None, true),
            (&below, "/v10", None, false),
        ] {
            assert_eq!(rule.matches(&head(path, header)), want, "{rule} {path} {header:?}");
        }
        let mut twice = head("/", Some(("x-amz-target", "Two.List")));
        twice.headers.append("x-amz-target", http::HeaderValue::from_static("One.List"));
        assert!(!target.matches(&twice), "the second of a header counts");
    }

    #[test]
    fn knows_what_two_rules_share() {
        let one = "path = \"/\"\nheader = \"x-amz-target\"\nprefix = \"One.\"";
        for (a, b, overlap, covers) in [
            (one, one, true, true),
            (one, "path = \"/\"\nheader = \"x-amz-target\"\nprefix = \"Two.\"", false, false),
            ("path-prefix = \"/\"\nheader = \"x-amz-target\"", one, true, true),
            (one, "path = \"/\"\nheader = \"authorization\"", true, false),
            ("path-prefix = \"/v1\"", "path-prefix = \"/v1/x\"", true, true),
            ("path-prefix = \"/v1/x\"", "path-prefix = \"/v1\"", true, false),
            ("path-prefix = \"/v1\"", "path-prefix = \"/v10\"", false, false),
            ("path = \"/v1\"", "path-prefix = \"/v1\"", true, false),
        ] {
            let (a, b) = (route(a).unwrap(), route(b).unwrap());
            assert_eq!((a.overlaps(&b), b.overlaps(&a), a.covers(&b)), (overlap, overlap, covers), "{a}, {b}");
        }
    }

    #[test]
    fn refuses_what_is_no_rule() {
        for (text, want) in [
            ("header = \"x\"", "either a path or a path-prefix"),
            ("path = \"/\"\npath-prefix = \"/\"", "either a path or a path-prefix"),
            ("path = \"x\"", "does not begin with a slash"),
            ("path = \"/\"\nheader = \"a b\"", "is no name of a header"),
            ("path = \"/\"\nprefix = \"x\"", "needs the header"),
            ("path = \"/\"\nhost = \"x\"", "unknown field"),
        ] {
            let error = route(text).unwrap_err();
            assert!(error.contains(want), "{error:?} does not say {want:?}");
        }
    }
}
