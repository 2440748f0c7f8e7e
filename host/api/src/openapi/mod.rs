//! OpenAPI documents of everything that is served, made from the kinds' schemas when they are first asked for.

mod paths;
mod schemas;
mod v2;

use std::collections::BTreeMap;
use std::io::Write;
use std::sync::{Arc, PoisonError, RwLock};

use bytes::Bytes;
use flate2::Compression;
use flate2::write::{GzDecoder, GzEncoder};
use gantry_model::status::Reason;
use gantry_model::{Kind, Kinds, Status};
use http::header::{CACHE_CONTROL, CONTENT_ENCODING, CONTENT_TYPE, ETAG, IF_NONE_MATCH, VARY};
use http::{HeaderMap, HeaderValue, StatusCode};
use serde_json::{Value, json};

use crate::discovery::hash;
use crate::verbs::no_such_path;
use crate::wire::negotiate;
use crate::wire::query::Query;
use crate::wire::reply::{self, Response};

/// Answers OpenAPI requests.
pub(crate) struct OpenApi {
    kinds: Kinds,
    cached: RwLock<Option<Arc<Documents>>>,
}

struct Documents {
    generation: u64,
    index: Packed,
    /// By path below `/openapi/v3/`: `api/v1`, `apis/apps/v1`.
    groups: BTreeMap<String, Packed>,
    v2: Packed,
    v2_protobuf: Packed,
}

/// A document, kept compressed: these are large, and nearly all clients take them so.
struct Packed {
    gzip: Bytes,
    hash: String,
}

impl Packed {
    fn new(value: &Value) -> Self {
        Self::of_bytes(value.to_string().as_bytes())
    }

    fn of_bytes(bytes: &[u8]) -> Self {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
        let gzip = encoder.write_all(bytes).and_then(|()| encoder.finish());
        // Writing to memory does not fail.
        Self { gzip: gzip.unwrap_or_default().into(), hash: hash(bytes) }
    }

    fn plain(&self) -> Bytes {
        let mut decoder = GzDecoder::new(Vec::new());
        decoder.write_all(&self.gzip).and_then(|()| decoder.finish()).unwrap_or_default().into()
    }
}

impl OpenApi {
    pub(crate) fn new(kinds: Kinds) -> Self {
        Self { kinds, cached: RwLock::new(None) }
    }

    pub(crate) fn answer(&self, path: &str, headers: &HeaderMap, query: &Query<'_>) -> Result<Response, Status> {
        let json = negotiate::takes_json(headers);
        let documents = self.documents();
        match path.strip_prefix("/openapi/") {
            Some("v2")
                if !json && (negotiate::accepts(headers, v2::ASKED) || negotiate::accepts(headers, v2::GIVEN)) =>
            {
                let mut response = send(&documents.v2_protobuf, headers, query);
                response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(v2::GIVEN));
                Ok(response)
            }
            _ if !json => {
                let message = "this document is served as application/json: accept it";
                Err(Status::new(Reason::NotAcceptable, message))
            }
            Some("v2") => Ok(send(&documents.v2, headers, query)),
            Some("v3" | "v3/") => Ok(send(&documents.index, headers, query)),
            Some(below) => {
                let name = below.strip_prefix("v3/").ok_or_else(no_such_path)?;
                documents.groups.get(name).map(|document| send(document, headers, query)).ok_or_else(no_such_path)
            }
            None => Err(no_such_path()),
        }
    }

    fn documents(&self) -> Arc<Documents> {
        let generation = self.kinds.generation();
        if let Some(documents) = &*self.cached.read().unwrap_or_else(PoisonError::into_inner)
            && documents.generation == generation
        {
            return documents.clone();
        }
        let documents = Arc::new(make(&self.kinds, generation));
        *self.cached.write().unwrap_or_else(PoisonError::into_inner) = Some(documents.clone());
        documents
    }
}

fn make(kinds: &Kinds, generation: u64) -> Documents {
    let definitions = kinds.definitions();
    let mut by_group: BTreeMap<String, Vec<Arc<Kind>>> = BTreeMap::new();
    for kind in kinds.all() {
        let root = if kind.group.is_empty() { "api" } else { "apis" };
        by_group.entry(format!("{root}/{}", kind.api_version())).or_default().push(kind);
    }
    let groups: BTreeMap<String, Packed> = by_group
        .iter()
        .map(|(name, kinds)| {
            let document = json!({
                "openapi": "3.0.0",
                "info": { "title": "Gantry", "version": env!("CARGO_PKG_VERSION") },
                "paths": paths::of(kinds),
                "components": { "schemas": schemas::of(kinds, &definitions, schemas::V3) },
            });
            (name.clone(), Packed::new(&document))
        })
        .collect();
    let index: BTreeMap<&str, Value> = groups
        .iter()
        .map(|(name, document)| {
            let url = format!("/openapi/v3/{name}?hash={}", document.hash);
            (name.as_str(), json!({ "serverRelativeURL": url }))
        })
        .collect();
    let v2 = v2::document(&kinds.all(), &definitions);
    Documents {
        generation,
        index: Packed::new(&json!({ "paths": index })),
        groups,
        v2: Packed::new(&v2),
        v2_protobuf: Packed::of_bytes(&v2::protobuf(&v2)),
    }
}

/// A document under the URL that names its hash never changes; under any other it has to be asked for again.
fn send(document: &Packed, headers: &HeaderMap, query: &Query<'_>) -> Response {
    let etag = HeaderValue::from_str(&format!("\"{}\"", document.hash)).unwrap_or(HeaderValue::from_static("\"\""));
    let known = headers.get(IF_NONE_MATCH).is_some_and(|given| given == etag);
    let gzip = negotiate::takes_gzip(headers);
    let mut response = match (known, gzip) {
        (true, _) => reply::json(StatusCode::NOT_MODIFIED, Bytes::new()),
        (false, true) => reply::json(StatusCode::OK, document.gzip.clone()),
        (false, false) => reply::json(StatusCode::OK, document.plain()),
    };
    let headers = response.headers_mut();
    if gzip && !known {
        headers.insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
    }
    headers.insert(VARY, HeaderValue::from_static("Accept-Encoding, Accept"));
    headers.insert(ETAG, etag);
    if query.get("hash") == Some(&document.hash) {
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("public, immutable, max-age=31536000"));
    }
    response
}
