//! What of a message is between neighbours only, and what a proxy adds.

use std::net::IpAddr;

use http::Version;
use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use http::uri::{Authority, Uri};

const FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
const HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
const PORT: HeaderName = HeaderName::from_static("x-forwarded-port");

/// Between neighbours, whether `Connection` names them or not (RFC 9110, 7.6.1).
const HOPS: [HeaderName; 8] = [
    header::CONNECTION,
    HeaderName::from_static("keep-alive"),
    HeaderName::from_static("proxy-connection"),
    header::PROXY_AUTHENTICATE,
    header::PROXY_AUTHORIZATION,
    header::TRANSFER_ENCODING,
    header::TRAILER,
    header::UPGRADE,
];

/// The protocol that a message wants to change to.
pub fn upgrade(headers: &HeaderMap) -> Option<HeaderValue> {
    let wanted = headers.get(header::UPGRADE)?;
    tokens(headers).any(|token| token.eq_ignore_ascii_case("upgrade")).then(|| wanted.clone())
}

fn tokens(headers: &HeaderMap) -> impl Iterator<Item = &str> {
    let values = headers.get_all(header::CONNECTION).into_iter().filter_map(|value| value.to_str().ok());
    values.flat_map(|value| value.split(',')).map(str::trim)
}

/// Removes what is between neighbours.
pub fn strip(headers: &mut HeaderMap) {
    let named: Vec<HeaderName> = tokens(headers).filter_map(|token| token.parse().ok()).collect();
    for name in named.iter().chain(&HOPS) {
        headers.remove(name);
    }
    // Says that trailers are understood; nothing else of it may be passed on.
    let trailers = headers.get(header::TE).is_some_and(|value| value == "trailers");
    if !trailers {
        headers.remove(header::TE);
    }
}

/// Says to an endpoint who asks and how. The client's own words on the latter do not count.
pub fn forwarded(headers: &mut HeaderMap, client: IpAddr, tls: bool, host: &HeaderValue, port: u16) {
    let chain: Vec<&str> = headers.get_all(&FOR).iter().filter_map(|value| value.to_str().ok()).collect();
    let client = client.to_string();
    let chain = [chain.as_slice(), &[client.as_str()]].concat().join(", ");
    if let Ok(value) = HeaderValue::from_str(&chain) {
        headers.insert(FOR, value);
    }
    headers.insert(PROTO, HeaderValue::from_static(if tls { "https" } else { "http" }));
    headers.insert(HOST, host.clone());
    headers.insert(PORT, HeaderValue::from(port));
}

/// The host that a request is for, as it was said and as rules know it; `None`: it is said wrongly, or in two ways. HTTP/1.0
/// need not say it; in HTTP/1.1 the target's counts, whatever the header says.
pub fn host(uri: &Uri, headers: &HeaderMap, version: Version) -> Option<(HeaderValue, String)> {
    let mut said = headers.get_all(header::HOST).iter();
    let value = said.next();
    if said.next().is_some() {
        return None;
    }
    let value = match (uri.authority(), value) {
        (Some(authority), Some(value)) if version == Version::HTTP_2 && !same(authority, value) => return None,
        (Some(authority), _) => HeaderValue::from_str(authority.as_str()).ok()?,
        (None, Some(value)) => value.clone(),
        (None, None) if version != Version::HTTP_10 => return None,
        (None, None) => return Some((HeaderValue::from_static(""), String::new())),
    };
    let authority: Authority = value.to_str().ok()?.parse().ok()?;
    let name = authority.host().trim_end_matches('.').to_ascii_lowercase();
    let fine = |c: char| c.is_ascii_alphanumeric() || "-._:[]".contains(c);
    let port = authority.as_str().rsplit_once(':').map(|(_, port)| port).filter(|port| !port.ends_with(']'));
    let port_fits = port.is_none_or(|_| authority.port_u16().is_some());
    (!name.is_empty() && name.chars().all(fine) && !authority.as_str().contains('@') && port_fits)
        .then_some((value, name))
}

fn same(authority: &Authority, value: &HeaderValue) -> bool {
    authority.as_str().as_bytes().eq_ignore_ascii_case(value.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn map(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        let pair = |(name, value): &(&'static str, &'static str)| {
            (HeaderName::from_static(name), HeaderValue::from_static(value))
        };
        pairs.iter().map(pair).collect()
    }

    #[test]
    fn what_is_between_neighbours_goes() {
        let mut headers = map(&[
            ("connection", "keep-alive, X-Private"),
            ("keep-alive", "timeout=5"),
            ("x-private", "1"),
            ("transfer-encoding", "chunked"),
            ("te", "gzip"),
            ("upgrade", "h2c"),
            ("accept", "*/*"),
        ]);
        assert_eq!(upgrade(&headers), None);
        strip(&mut headers);
        assert_eq!(headers, map(&[("accept", "*/*")]));
        let mut headers = map(&[("te", "trailers"), ("connection", "te, Upgrade"), ("upgrade", "websocket")]);
        assert_eq!(upgrade(&headers).unwrap(), "websocket");
        strip(&mut headers);
        assert!(headers.is_empty());
    }

    #[test]
    fn the_chain_of_clients_grows_and_the_rest_is_ours() {
        let mut headers =
            map(&[("x-forwarded-for", "192.0.2.1"), ("x-forwarded-proto", "https"), ("x-forwarded-host", "evil")]);
        let client = "198.51.100.7".parse().unwrap();
        forwarded(&mut headers, client, false, &HeaderValue::from_static("a.example"), 80);
        let want = map(&[
            ("x-forwarded-for", "192.0.2.1, 198.51.100.7"),
            ("x-forwarded-proto", "http"),
            ("x-forwarded-host", "a.example"),
            ("x-forwarded-port", "80"),
        ]);
        assert_eq!(headers, want);
    }

    #[test]
    fn hosts() {
        let table = [
            ("/", vec![("host", "A.Example:8080")], Some("a.example")),
            ("/", vec![("host", "a.example.")], Some("a.example")),
            ("/", vec![("host", "[2001:db8::1]:80")], Some("[2001:db8::1]")),
            ("http://b.example/x", vec![("host", "a.example")], Some("b.example")),
            ("http://b.example/x", vec![], Some("b.example")),
            ("/", vec![], None),
            ("/", vec![("host", "")], None),
            ("/", vec![("host", "a.example"), ("host", "b.example")], None),
            ("/", vec![("host", "user@a.example")], None),
            ("/", vec![("host", "a.example:http")], None),
            ("/", vec![("host", "a.example:99999")], None),
            ("/", vec![("host", "a_b!c")], None),
            ("/", vec![("host", "a/b")], None),
        ];
        for (uri, pairs, want) in table {
            let mut headers = HeaderMap::new();
            for (name, value) in &pairs {
                headers.append(*name, HeaderValue::from_static(value));
            }
            let found = host(&uri.parse().unwrap(), &headers, Version::HTTP_11).map(|(_, name)| name);
            assert_eq!(found.as_deref(), want, "{uri} {pairs:?}");
        }
        assert_eq!(host(&"/".parse().unwrap(), &HeaderMap::new(), Version::HTTP_10).unwrap().1, "");
        let uri: Uri = "https://a.example/".parse().unwrap();
        let said = |text| host(&uri, &map(&[("host", text)]), Version::HTTP_2);
        assert!(said("A.example").is_some() && said("b.example").is_none());
    }
}
