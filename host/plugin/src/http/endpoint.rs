//! Where a plugin may send requests: a scheme, a host and a port, and nothing that could be read in two ways.

use std::fmt;
use std::net::IpAddr;

use reqwest::Url;
use serde::Deserialize;

/// One place: `https://example.com`, `http://127.0.0.1:8080`. Without a port it is that of the scheme.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(try_from = "String")]
pub struct Endpoint {
    scheme: String,
    /// In lower case; an IPv6 address in brackets.
    host: String,
    port: u16,
}

/// What a manifest or a bundle says of endpoints.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub enum Endpoints {
    /// `*`, only in manifests: those that the bundle names, since only the operator knows them.
    Named,
    /// `?`, only in manifests: those too, and the plugin does its other work where the bundle names none.
    Optional,
    /// Just this one.
    One(Endpoint),
}

impl Endpoint {
    /// The endpoint that a request goes to. Read from the URL that is then asked, so that no second reading of the same
    /// text can come to another host.
    pub(crate) fn of(url: &Url) -> Option<Self> {
        let scheme = url.scheme();
        if !matches!(scheme, "http" | "https") || !url.username().is_empty() || url.password().is_some() {
            return None;
        }
        let (host, port) = (url.host_str()?, url.port_or_known_default()?);
        Some(Self { scheme: scheme.to_owned(), host: host.to_ascii_lowercase(), port })
    }

    /// Whether nobody on the way sees what is sent: TLS, or the machine itself.
    pub(super) fn is_private(&self) -> bool {
        let host = self.host.trim_start_matches('[').trim_end_matches(']');
        self.scheme == "https" || host == "localhost" || host.parse().is_ok_and(|address: IpAddr| address.is_loopback())
    }
}

impl TryFrom<String> for Endpoint {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let wrong = || format!("{text:?} is no endpoint such as https://example.com or http://127.0.0.1:8080");
        let url = Url::parse(&text).map_err(|_| wrong())?;
        let bare = matches!(url.path(), "" | "/") && url.query().is_none() && url.fragment().is_none();
        Self::of(&url).filter(|_| bare).ok_or_else(wrong)
    }
}

impl TryFrom<String> for Endpoints {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        match text.as_str() {
            "*" => Ok(Self::Named),
            "?" => Ok(Self::Optional),
            _ => Endpoint::try_from(text).map(Self::One),
        }
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { scheme, host, port } = self;
        match (scheme.as_str(), port) {
            ("http", 80) | ("https", 443) => write!(f, "{scheme}://{host}"),
            _ => write!(f, "{scheme}://{host}:{port}"),
        }
    }
}

impl fmt::Display for Endpoints {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Named => f.write_str("*"),
            Self::Optional => f.write_str("?"),
            Self::One(endpoint) => endpoint.fmt(f),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn says_scheme_host_and_port_and_nothing_else() {
        let table = [
            ("https://Example.com", Some("https://example.com")),
            ("https://example.com:443/", Some("https://example.com")),
            ("http://127.0.0.1:8080", Some("http://127.0.0.1:8080")),
            ("http://[::1]:80", Some("http://[::1]")),
            ("https://example.com/path", None),
            ("https://example.com?x", None),
            ("https://me@example.com", None),
            ("ftp://example.com", None),
            ("example.com", None),
            ("*", None),
        ];
        for (text, want) in table {
            let read = Endpoint::try_from(text.to_owned());
            assert_eq!(read.ok().map(|endpoint| endpoint.to_string()).as_deref(), want, "{text}");
        }
    }

    #[test]
    fn a_url_has_one_reading() {
        let endpoint = Endpoint::try_from("http://127.0.0.1:8080".to_owned()).unwrap();
        for (url, same) in [
            ("http://127.0.0.1:8080/a?b", true),
            ("http://0x7f.1:8080/", true),
            ("http://127.0.0.1:8081/", false),
            ("https://127.0.0.1:8080/", false),
            ("http://127.0.0.1:8080@example.com/", false),
            ("http://example.com/127.0.0.1:8080", false),
        ] {
            let of = Url::parse(url).ok().and_then(|url| Endpoint::of(&url));
            assert_eq!(of.as_ref() == Some(&endpoint), same, "{url}");
        }
    }
}
