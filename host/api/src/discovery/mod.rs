//! Which groups, versions and kinds there are, in the forms that clients ask for.

mod aggregated;
mod entries;
mod plain;

use std::sync::{Arc, PoisonError, RwLock};

use bytes::Bytes;
use gantry_model::{Kinds, Status};
use http::header::{ETAG, IF_NONE_MATCH, VARY};
use http::{HeaderMap, HeaderValue, StatusCode};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::route::Route;
use crate::verbs::no_such_path;
use crate::wire::negotiate;
use crate::wire::reply::{self, Response};
use entries::Entry;

/// The version of Kubernetes whose API this is.
const KUBERNETES: (&str, &str, &str) = ("1", "33", "v1.33.0");

/// Answers discovery requests.
pub(crate) struct Discovery {
    kinds: Kinds,
    cached: RwLock<Option<Arc<Documents>>>,
}

/// Everything derived from one generation of the kinds.
struct Documents {
    generation: u64,
    entries: Vec<Entry>,
    /// The big ones, made once: `/api` and `/apis`, in both versions of the aggregated form.
    core: [Document; 2],
    groups: [Document; 2],
}

struct Document {
    body: Bytes,
    etag: HeaderValue,
}

impl Document {
    fn new(value: &Value) -> Self {
        let body = Bytes::from(value.to_string());
        let etag = format!("\"{}\"", hash(&body));
        Self { body, etag: HeaderValue::from_str(&etag).unwrap_or(HeaderValue::from_static("\"\"")) }
    }
}

/// A short name for a document's content.
pub(crate) fn hash(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|b| format!("{b:02X}")).collect()
}

impl Discovery {
    pub(crate) fn new(kinds: Kinds) -> Self {
        Self { kinds, cached: RwLock::new(None) }
    }

    pub(crate) fn answer(&self, route: &Route<'_>, headers: &HeaderMap) -> Result<Response, Status> {
        let documents = self.documents();
        let version = negotiate::aggregated(headers);
        match (route, version) {
            (Route::Core, Some(version)) => Ok(send(headers, &documents.core, version)),
            (Route::Groups, Some(version)) => Ok(send(headers, &documents.groups, version)),
            (Route::Core, None) => found(Some(plain::core(&documents.entries))),
            (Route::Groups, None) => found(Some(plain::groups(&documents.entries))),
            (Route::Group(group), _) => found(plain::group(&documents.entries, group)),
            (Route::Resources(group, version), _) => found(plain::resources(&documents.entries, group, version)),
            _ => Err(no_such_path()),
        }
    }

    /// `/version`
    pub(crate) fn version(&self) -> Response {
        let (major, minor, git) = KUBERNETES;
        let version = json!({
            "major": major,
            "minor": minor,
            "gitVersion": format!("{git}+gantry-{}", env!("CARGO_PKG_VERSION")),
            "gitCommit": "",
            "gitTreeState": "",
            "buildDate": "1970-01-01T00:00:00Z",
            "goVersion": "",
            "compiler": "rustc",
            "platform": format!("{}/{}", std::env::consts::OS, std::env::consts::ARCH),
        });
        reply::value(StatusCode::OK, &version)
    }

    /// `/`
    pub(crate) fn index(&self) -> Response {
        let mut paths: Vec<String> = [
            "/api",
            "/api/v1",
            "/apis",
            "/healthz",
            "/livez",
            "/metrics",
            "/openapi/v2",
            "/openapi/v3",
            "/readyz",
            "/version",
        ]
        .map(str::to_owned)
        .into();
        paths.extend(entries::versions(&self.documents().entries).into_iter().filter(|(g, _)| !g.is_empty()).flat_map(
            |(group, versions)| {
                let below = versions.into_iter().map(|v| format!("/apis/{group}/{v}")).collect::<Vec<_>>();
                std::iter::once(format!("/apis/{group}")).chain(below)
            },
        ));
        paths.sort();
        reply::value(StatusCode::OK, &json!({ "paths": paths }))
    }

    fn documents(&self) -> Arc<Documents> {
        let generation = self.kinds.generation();
        if let Some(documents) = &*self.cached.read().unwrap_or_else(PoisonError::into_inner)
            && documents.generation == generation
        {
            return documents.clone();
        }
        let entries = entries::of(&self.kinds);
        let documents = Arc::new(Documents {
            generation,
            core: ["v2", "v2beta1"].map(|version| Document::new(&aggregated::core(&entries, version))),
            groups: ["v2", "v2beta1"].map(|version| Document::new(&aggregated::groups(&entries, version))),
            entries,
        });
        *self.cached.write().unwrap_or_else(PoisonError::into_inner) = Some(documents.clone());
        documents
    }
}

fn found(document: Option<Value>) -> Result<Response, Status> {
    let mut response = reply::value(StatusCode::OK, &document.ok_or_else(no_such_path)?);
    response.headers_mut().insert(VARY, HeaderValue::from_static("Accept"));
    Ok(response)
}

fn send(headers: &HeaderMap, [v2, v2beta1]: &[Document; 2], version: &str) -> Response {
    let (document, content_type) = match version {
        "v2" => (v2, HeaderValue::from_static("application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList")),
        _ => (
            v2beta1,
            HeaderValue::from_static("application/json;g=apidiscovery.k8s.io;v=v2beta1;as=APIGroupDiscoveryList"),
        ),
    };
    let known = headers.get(IF_NONE_MATCH).is_some_and(|etag| etag == document.etag);
    let mut response = match known {
        true => reply::bytes(StatusCode::NOT_MODIFIED, content_type, Bytes::new()),
        false => reply::bytes(StatusCode::OK, content_type, document.body.clone()),
    };
    response.headers_mut().insert(ETAG, document.etag.clone());
    response.headers_mut().insert(VARY, HeaderValue::from_static("Accept"));
    response
}
