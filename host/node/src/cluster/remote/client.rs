//! Requests to one API server.

use std::error::Error as _;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use gantry_model::Status;
use gantry_model::status::Reason;
use http::Method;
use percent_encoding::{AsciiSet, CONTROLS, utf8_percent_encode};
use reqwest::Response;
use reqwest::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderValue};
use serde_json::Value;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::Options;
use super::lines::Lines;

/// For a connection with its handshake.
const CONNECT: Duration = Duration::from_secs(10);
/// For a request from its beginning to the end of its answer, and for the head of a watch's answer.
const PATIENCE: Duration = Duration::from_secs(30);
/// A connection that answers no ping for as long is dead: what waits on it fails and is tried on a new one.
const PING: Duration = Duration::from_secs(10);
/// The largest answer read: a page of a list of the largest objects.
const ANSWER: usize = 256 << 20;
/// Watches on the connection that everything shares. The server allows 250 streams on one, and a request that finds none
/// free would wait for a watch to end. What is beyond gets connections of its own.
const SHARED: usize = 200;
/// What must not stand in a part of a path.
const PART: &AsciiSet = &CONTROLS.add(b' ').add(b'"').add(b'#').add(b'%').add(b'<').add(b'>').add(b'?').add(b'`');

/// A client can't be made.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Where the server is.
    #[error("the server's address {0:?} is not of the form https://HOST:PORT")]
    Address(String),
    /// Not what could stand in a header.
    #[error("the token holds characters that no token has")]
    Token,
    /// The library refused.
    #[error("can't make an HTTPS client: {0}")]
    Setup(#[source] reqwest::Error),
}

/// Where in the API something is. Built from names that may come from anybody's objects, so each is checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place(pub(super) String);

impl Place {
    /// Objects of a kind: `group` is empty for core, `namespace` for cluster-scoped kinds and for all namespaces.
    pub fn list(group: &str, version: &str, namespace: &str, plural: &str) -> Result<Self, Status> {
        let mut path = match group {
            "" => format!("/api/{}", part(version)?),
            group => format!("/apis/{}/{}", part(group)?, part(version)?),
        };
        if !namespace.is_empty() {
            path.push_str("/namespaces/");
            path.push_str(&part(namespace)?);
        }
        path.push('/');
        path.push_str(&part(plural)?);
        Ok(Self(path))
    }

    /// One of them, or a subresource of it.
    pub fn object(self, name: &str) -> Result<Self, Status> {
        Ok(Self(format!("{}/{}", self.0, part(name)?)))
    }
}

/// A name as a part of a path. URL libraries act on dots, so they could lead to another object.
fn part(name: &str) -> Result<String, Status> {
    if name.is_empty() || name == "." || name == ".." || name.contains(['/', '\\', '%']) {
        return Err(Status::bad_request(format!("{name:?} can't be the name of an object")));
    }
    Ok(utf8_percent_encode(name, PART).to_string())
}

/// A body and its media type.
pub enum Body {
    /// Nothing.
    None,
    /// An object.
    Object(Value),
    /// A merge patch.
    Merge(Value),
}

/// Requests to one API server, all over one HTTP/2 connection that is made when needed. Cheap to clone.
#[derive(Clone)]
pub struct Client {
    inner: Arc<Inner>,
}

struct Inner {
    server: String,
    shared: reqwest::Client,
    /// HTTP/1.1, a connection a watch.
    single: reqwest::Client,
    places: Arc<Semaphore>,
}

impl Client {
    /// Nothing is asked yet.
    pub fn new(options: Options) -> Result<Self, Error> {
        let server = options.server.trim_end_matches('/').to_owned();
        if !server.starts_with("https://") || reqwest::Url::parse(&server).is_err() {
            return Err(Error::Address(options.server));
        }
        let mut headers = HeaderMap::new();
        headers.insert(ACCEPT, HeaderValue::from_static("application/json"));
        if let Some(bearer) = &options.bearer {
            let mut value = HeaderValue::from_str(&format!("Bearer {bearer}")).map_err(|_| Error::Token)?;
            value.set_sensitive(true);
            headers.insert(AUTHORIZATION, value);
        }
        let mut tls = options.tls;
        tls.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        let shared = builder(&headers)
            .http2_keep_alive_interval(PING)
            .http2_keep_alive_timeout(PING)
            .http2_keep_alive_while_idle(true)
            .tls_backend_preconfigured(tls.clone());
        tls.alpn_protocols = vec![b"http/1.1".to_vec()];
        let single = builder(&headers).http1_only().tls_backend_preconfigured(tls);
        Ok(Self {
            inner: Arc::new(Inner {
                server,
                shared: shared.build().map_err(Error::Setup)?,
                single: single.build().map_err(Error::Setup)?,
                places: Arc::new(Semaphore::new(SHARED)),
            }),
        })
    }

    /// One request and its answer. `Status` is what the server said, or `ServiceUnavailable` if it could not be reached;
    /// then nobody knows whether a write was done.
    pub async fn ask(
        &self,
        method: Method,
        place: &Place,
        query: &[(&str, &str)],
        body: Body,
    ) -> Result<Value, Status> {
        let mut request = self.inner.shared.request(method, self.url(place, query)).timeout(PATIENCE);
        let (media, value) = match body {
            Body::None => (None, None),
            Body::Object(value) => (Some("application/json"), Some(value)),
            Body::Merge(value) => (Some("application/merge-patch+json"), Some(value)),
        };
        if let (Some(media), Some(value)) = (media, value) {
            request = request.header(CONTENT_TYPE, media).body(value.to_string());
        }
        let response = request.send().await.map_err(|error| self.unreachable(&error))?;
        let code = response.status().as_u16();
        let bytes = self.whole(response).await?;
        if !(200..300).contains(&code) {
            return Err(failure(code, &bytes));
        }
        serde_json::from_slice(&bytes).map_err(|_| Status::internal("the control plane's answer is not JSON"))
    }

    /// Begins a watch.
    pub(super) async fn watch(&self, place: &Place, query: &[(&str, &str)]) -> Result<(Lines, Lane), Status> {
        let (client, lane) = match self.inner.places.clone().try_acquire_owned() {
            Ok(permit) => (&self.inner.shared, Lane(Some(permit))),
            Err(_) => (&self.inner.single, Lane(None)),
        };
        let sent = tokio::time::timeout(PATIENCE, client.get(self.url(place, query)).send()).await;
        let response = sent.map_err(|_| self.silent())?.map_err(|error| self.unreachable(&error))?;
        let code = response.status().as_u16();
        if code != 200 {
            let read = tokio::time::timeout(PATIENCE, self.whole(response)).await;
            return Err(failure(code, &read.map_err(|_| self.silent())??));
        }
        Ok((Lines::new(response), lane))
    }

    fn url(&self, place: &Place, query: &[(&str, &str)]) -> String {
        let mut url = format!("{}{}", self.inner.server, place.0);
        if !query.is_empty() {
            url.push('?');
            let start = url.len();
            url = form_urlencoded::Serializer::for_suffix(url, start).extend_pairs(query).finish();
        }
        url
    }

    async fn whole(&self, mut response: Response) -> Result<Bytes, Status> {
        let mut all = BytesMut::new();
        while let Some(chunk) = response.chunk().await.map_err(|error| self.unreachable(&error))? {
            if all.len() + chunk.len() > ANSWER {
                return Err(Status::internal(format!("an answer of more than {} MiB", ANSWER >> 20)));
            }
            all.extend_from_slice(&chunk);
        }
        Ok(all.freeze())
    }

    fn unreachable(&self, error: &reqwest::Error) -> Status {
        Status::new(Reason::ServiceUnavailable, format!("can't reach {}: {}", self.inner.server, root(error)))
    }

    fn silent(&self) -> Status {
        let message = format!("{} did not answer within {} s", self.inner.server, PATIENCE.as_secs());
        Status::new(Reason::ServiceUnavailable, message)
    }
}

/// A watch's place on the shared connection, if it has one there. It is held, not looked at.
pub(super) struct Lane(#[expect(dead_code, reason = "dropping it gives the place back")] Option<OwnedSemaphorePermit>);

fn builder(headers: &HeaderMap) -> reqwest::ClientBuilder {
    reqwest::Client::builder()
        .user_agent(concat!("gantry-node/", env!("CARGO_PKG_VERSION")))
        .default_headers(headers.clone())
        .connect_timeout(CONNECT)
        .tcp_keepalive(PING)
        .tcp_nodelay(true)
        .no_proxy()
        .redirect(reqwest::redirect::Policy::none())
}

/// What went wrong at the bottom of it: the layers above only repeat the address.
fn root(error: &reqwest::Error) -> String {
    let mut deepest: &dyn std::error::Error = error;
    while let Some(source) = deepest.source() {
        deepest = source;
    }
    if error.is_timeout() && error.source().is_none() { "it took too long".to_owned() } else { deepest.to_string() }
}

/// What a failed request's answer says.
fn failure(code: u16, bytes: &[u8]) -> Status {
    let said = serde_json::from_slice(bytes).ok().filter(|value: &Value| value.get("kind") == Some(&"Status".into()));
    said.map_or_else(|| unknown(code, bytes), |value| Status::from_json(&value))
}

fn unknown(code: u16, bytes: &[u8]) -> Status {
    let text = String::from_utf8_lossy(bytes.get(..200).unwrap_or(bytes)).trim().to_owned();
    Status::new(Reason::of_code(code), format!("the control plane answered {code}: {text}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_from_objects_lead_nowhere_else() {
        let secrets = || Place::list("", "v1", "team", "secrets").unwrap();
        assert_eq!(secrets().0, "/api/v1/namespaces/team/secrets");
        assert_eq!(secrets().object("a b?c#d").unwrap().0, "/api/v1/namespaces/team/secrets/a%20b%3Fc%23d");
        for name in ["", ".", "..", "../../other", "a/b", "%2e%2e", "a\\b"] {
            assert_eq!(secrets().object(name).unwrap_err().reason, Reason::BadRequest, "{name:?}");
        }
        let leases = Place::list("coordination.k8s.io", "v1", "", "leases").unwrap();
        assert_eq!(leases.0, "/apis/coordination.k8s.io/v1/leases");
    }

    #[test]
    fn what_is_no_status_is_told_by_its_code() {
        let sent = Status::conflict("apps", "things", "a", "changed");
        assert_eq!(failure(409, sent.to_json().to_string().as_bytes()), sent);
        assert_eq!(failure(502, b"<html>").reason, Reason::ServiceUnavailable);
        assert!(failure(500, b"oops").message.contains("500: oops"));
    }
}
