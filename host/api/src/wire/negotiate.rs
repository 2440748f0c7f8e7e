//! What form of answer a client accepts.

use http::HeaderMap;
use http::header::{ACCEPT, ACCEPT_ENCODING};

/// The form of an answer about objects.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    /// As they are.
    Object,
    /// `meta.k8s.io/v1` Table.
    Table,
    /// `meta.k8s.io/v1` PartialObjectMetadata (or its list).
    Metadata,
}

/// Picks the first form of the `Accept` header that can be given. `None`: nothing can.
pub(crate) fn form(headers: &HeaderMap) -> Option<Form> {
    let Some(accept) = headers.get(ACCEPT).and_then(|v| v.to_str().ok()) else { return Some(Form::Object) };
    if matches!(accept, "application/json" | "*/*" | "") {
        return Some(Form::Object);
    }
    accept.split(',').find_map(|range| {
        let range = Range::parse(range);
        if !range.is_json() {
            return None;
        }
        match (range.param("as"), range.param("g"), range.param("v")) {
            (None, _, _) => Some(Form::Object),
            (Some("Table"), Some("meta.k8s.io"), Some("v1" | "v1beta1")) => Some(Form::Table),
            (
                Some("PartialObjectMetadata" | "PartialObjectMetadataList"),
                Some("meta.k8s.io"),
                Some("v1" | "v1beta1"),
            ) => Some(Form::Metadata),
            _ => None,
        }
    })
}

/// Picks the version of aggregated discovery, if the client takes it before plain lists.
pub(crate) fn aggregated(headers: &HeaderMap) -> Option<&'static str> {
    let accept = headers.get(ACCEPT)?.to_str().ok()?;
    let first = accept.split(',').map(Range::parse).filter(Range::is_json).find_map(|range| {
        match (range.param("as"), range.param("g"), range.param("v")) {
            (None, _, _) => Some(None),
            (Some("APIGroupDiscoveryList"), Some("apidiscovery.k8s.io"), Some("v2")) => Some(Some("v2")),
            (Some("APIGroupDiscoveryList"), Some("apidiscovery.k8s.io"), Some("v2beta1")) => Some(Some("v2beta1")),
            _ => None,
        }
    });
    first.flatten()
}

/// Whether JSON is acceptable at all.
pub(crate) fn takes_json(headers: &HeaderMap) -> bool {
    let accept = headers.get(ACCEPT).and_then(|v| v.to_str().ok()).unwrap_or_default();
    accept.is_empty() || accept.split(',').any(|range| Range::parse(range).is_json())
}

/// Whether this very media type is acceptable.
pub(crate) fn accepts(headers: &HeaderMap, name: &str) -> bool {
    let accept = headers.get(ACCEPT).and_then(|v| v.to_str().ok()).unwrap_or_default();
    accept.split(',').any(|range| Range::parse(range).name == name)
}

/// Whether a gzipped body is acceptable.
pub(crate) fn takes_gzip(headers: &HeaderMap) -> bool {
    let Some(accept) = headers.get(ACCEPT_ENCODING).and_then(|v| v.to_str().ok()) else { return false };
    accept.split(',').map(Range::parse).any(|r| matches!(r.name, "gzip" | "*") && r.param("q") != Some("0"))
}

/// One media range with its parameters.
struct Range<'a> {
    name: &'a str,
    params: &'a str,
}

impl<'a> Range<'a> {
    fn parse(text: &'a str) -> Self {
        let (name, params) = text.split_once(';').unwrap_or((text, ""));
        Self { name: name.trim(), params }
    }

    fn is_json(&self) -> bool {
        matches!(self.name, "application/json" | "application/*" | "*/*")
    }

    fn param(&self, name: &str) -> Option<&'a str> {
        self.params.split(';').filter_map(|p| p.trim().split_once('=')).find(|(n, _)| *n == name).map(|(_, v)| v)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::{HeaderName, HeaderValue};

    fn with(name: HeaderName, value: &str) -> HeaderMap {
        HeaderMap::from_iter([(name, HeaderValue::from_str(value).unwrap())])
    }

    #[test]
    fn forms_follow_the_clients_order() {
        for (accept, want) in [
            ("application/json", Some(Form::Object)),
            ("application/vnd.kubernetes.protobuf,application/json", Some(Form::Object)),
            ("application/vnd.kubernetes.protobuf", None),
            ("text/html", None),
            ("*/*", Some(Form::Object)),
            ("application/json;as=Table;v=v1;g=meta.k8s.io,application/json", Some(Form::Table)),
            ("application/json;as=Table;v=v2;g=meta.k8s.io,application/json", Some(Form::Object)),
            ("application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1", Some(Form::Metadata)),
        ] {
            assert_eq!(form(&with(ACCEPT, accept)), want, "{accept}");
        }
        assert_eq!(form(&HeaderMap::new()), Some(Form::Object));
    }

    #[test]
    fn discovery_versions() {
        let v2 = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList,application/json";
        let beta = "application/json;g=apidiscovery.k8s.io;v=v2beta1;as=APIGroupDiscoveryList,application/json";
        assert_eq!(aggregated(&with(ACCEPT, v2)), Some("v2"));
        assert_eq!(aggregated(&with(ACCEPT, beta)), Some("v2beta1"));
        assert_eq!(aggregated(&with(ACCEPT, "application/json")), None);
        assert_eq!(aggregated(&HeaderMap::new()), None);
    }

    #[test]
    fn gzip() {
        for (accept, want) in [("gzip", true), ("deflate, gzip;q=0.5", true), ("gzip;q=0", false), ("br", false)] {
            assert_eq!(takes_gzip(&with(ACCEPT_ENCODING, accept)), want, "{accept}");
        }
    }
}
