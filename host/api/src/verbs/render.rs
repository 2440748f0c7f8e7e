//! How records look in answers. Their JSON is passed on as it is stored, without being parsed.

use std::sync::Arc;

use axum::body::Body;
use bytes::Bytes;
use futures::stream;
use gantry_model::{Kind, Record};
use http::StatusCode;
use serde_json::Value;

use crate::wire::compress::{self, Gzip};
use crate::wire::reply::{self, Response};

/// Lists are made in pieces of about this size; one that fits into a piece is sent whole.
const PIECE: usize = compress::THRESHOLD;

/// The JSON of a record in the version of a kind. The store keeps one version; kinds that are served in several say
/// the same in each, so that only the first field differs.
pub(crate) fn served(kind: &Kind, record: &Record) -> Bytes {
    let expected = head(kind);
    if record.json.starts_with(expected.as_bytes()) {
        return record.json.clone();
    }
    let mut json = Vec::with_capacity(record.json.len() + expected.len());
    append_served(&expected, record, &mut json);
    json.into()
}

/// How every object of a kind begins.
pub(crate) fn head(kind: &Kind) -> String {
    format!("{{\"apiVersion\":\"{}\",", kind.api_version())
}

/// Appends a record's JSON, beginning with `head`.
pub(crate) fn append_served(head: &str, record: &Record, out: &mut Vec<u8>) {
    const VERSION: &[u8] = b"{\"apiVersion\":\"";
    let json = &record.json;
    let rest = json.strip_prefix(VERSION).filter(|_| !json.starts_with(head.as_bytes()));
    // Versions hold no escapes: the text ends at the next quote, and a comma follows.
    let rest = rest.and_then(|rest| rest.iter().position(|b| *b == b'"').and_then(|end| rest.get(end + 2..)));
    match rest {
        Some(rest) => {
            out.extend_from_slice(head.as_bytes());
            out.extend_from_slice(rest);
        }
        None => out.extend_from_slice(json),
    }
}

/// Writes one record of a list.
pub(crate) type Item = Box<dyn FnMut(&Record, &mut Vec<u8>) + Send>;

/// A list's JSON, made piece by piece.
pub(crate) struct Pieces {
    head: Vec<u8>,
    items: std::vec::IntoIter<Arc<Record>>,
    item: Item,
    tail: &'static [u8],
    separate: bool,
    done: bool,
}

impl Pieces {
    /// `head`, the items separated by commas, `tail`.
    pub(crate) fn new(head: Vec<u8>, items: Vec<Arc<Record>>, item: Item, tail: &'static [u8]) -> Self {
        Self { head, items: items.into_iter(), item, tail, separate: false, done: false }
    }
}

impl Iterator for Pieces {
    type Item = Bytes;

    fn next(&mut self) -> Option<Bytes> {
        if self.done {
            return None;
        }
        let mut out = std::mem::take(&mut self.head);
        while out.len() < PIECE {
            let Some(record) = self.items.next() else {
                out.extend_from_slice(self.tail);
                self.done = true;
                break;
            };
            if self.separate {
                out.push(b',');
            }
            self.separate = true;
            (self.item)(&record, &mut out);
        }
        Some(out.into())
    }
}

/// Answers with a list: whole when it is small, else in pieces, compressed if the client takes that.
pub(crate) fn send(mut pieces: Pieces, gzip: bool, pretty: bool) -> Response {
    let first = pieces.next().unwrap_or_default();
    if pretty {
        let all = pieces.fold(first.to_vec(), |mut all, piece| {
            all.extend_from_slice(&piece);
            all
        });
        return one(StatusCode::OK, all.into(), true);
    }
    if pieces.done {
        return reply::json(StatusCode::OK, first);
    }
    let pieces = std::iter::once(first).chain(pieces);
    if !gzip {
        return reply::stream(reply::JSON, Body::from_stream(stream::iter(pieces.map(Ok::<_, std::io::Error>))));
    }
    let packed = pieces.map(Some).chain(std::iter::once(None)).scan(Some(Gzip::new()), |gzip, piece| match piece {
        Some(piece) => gzip.as_mut().map(|g| g.push(&piece)),
        None => gzip.take().map(Gzip::finish),
    });
    let mut response = reply::stream(reply::JSON, Body::from_stream(stream::iter(packed)));
    compress::mark(&mut response);
    response
}

/// Answers with one object.
pub(crate) fn one(code: StatusCode, json: Bytes, pretty: bool) -> Response {
    if !pretty {
        return reply::json(code, json);
    }
    let text = serde_json::from_slice::<Value>(&json).ok().and_then(|v| serde_json::to_string_pretty(&v).ok());
    reply::json(code, text.map_or(json, |text| Bytes::from(text + "\n")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use gantry_model::key::Resource;
    use gantry_model::{Draft, Key};
    use serde_json::json;

    fn record(object: Value) -> Arc<Record> {
        Arc::new(Draft::new(Key::new(Resource::new("g", "things"), "", "a"), object, &[]).commit(7))
    }

    #[test]
    fn another_version_is_spliced_in() {
        let record = record(json!({"apiVersion": "g/v1alpha1", "kind": "Thing", "metadata": {"name": "a"}}));
        let mut out = Vec::new();
        append_served("{\"apiVersion\":\"g/v1\",", &record, &mut out);
        let value: Value = serde_json::from_slice(&out).unwrap();
        assert_eq!((&value["apiVersion"], &value["kind"]), (&json!("g/v1"), &json!("Thing")));
        out.clear();
        append_served("{\"apiVersion\":\"g/v1alpha1\",", &record, &mut out);
        assert_eq!(out, record.json);
    }

    #[test]
    fn pieces_join_to_the_same_list_whatever_its_size() {
        for count in [0, 1, 3, 3000] {
            let items = (0..count).map(|n| record(json!({"kind": "Thing", "n": n, "pad": "x".repeat(100)}))).collect();
            let item: Item = Box::new(|record, out| out.extend_from_slice(&record.json));
            let pieces = Pieces::new(b"{\"items\":[".to_vec(), items, item, b"]}");
            let all: Vec<u8> = pieces.flat_map(|piece| piece.to_vec()).collect();
            let value: Value = serde_json::from_slice(&all).unwrap();
            assert_eq!(value["items"].as_array().unwrap().len(), count);
        }
    }
}
