//! `meta.k8s.io/v1` Table: what `kubectl get` prints, made by the server.

use std::sync::Arc;

use gantry_model::status::Cause;
use gantry_model::{Kind, Record, Status, table};
use serde_json::{Value, json};

use super::list::append_metadata;
use super::render::{self, Item, Pieces};
use crate::wire::query::{Query, invalid_option};

/// Which part of each object goes into its row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Include {
    Metadata,
    None,
    Object,
}

impl Include {
    pub(crate) fn of(query: &Query<'_>) -> Result<Self, Status> {
        match query.get("includeObject") {
            None | Some("Metadata") => Ok(Include::Metadata),
            Some("None") => Ok(Include::None),
            Some("Object") => Ok(Include::Object),
            Some(other) => {
                let allowed = ["Metadata", "None", "Object"];
                Err(invalid_option(Cause::not_supported("includeObject", &json!(other), &allowed)))
            }
        }
    }
}

/// A table of many objects.
pub(crate) fn pieces(
    kind: &Kind,
    items: Vec<Arc<Record>>,
    include: Include,
    revision: &str,
    token: Option<&str>,
    remaining: Option<u64>,
) -> Pieces {
    let mut head = b"{\"kind\":\"Table\",\"apiVersion\":\"meta.k8s.io/v1\",".to_vec();
    append_metadata(&mut head, revision, token, remaining);
    head.extend_from_slice(format!(",\"columnDefinitions\":{},\"rows\":[", columns(kind)).as_bytes());
    let kind = kind.clone();
    let item: Item = Box::new(move |record, out| append_row(&kind, record, include, out));
    Pieces::new(head, items, item, b"]}\n")
}

/// A table of the one object that a watch event is about.
pub(crate) fn event(kind: &Kind, record: &Record, include: Include, with_columns: bool, out: &mut Vec<u8>) {
    let columns = if with_columns { columns(kind) } else { json!([]) };
    let revision = record.revision;
    let head = format!(
        "{{\"kind\":\"Table\",\"apiVersion\":\"meta.k8s.io/v1\",\"metadata\":{{\"resourceVersion\":\"{revision}\"}},\
         \"columnDefinitions\":{columns},\"rows\":["
    );
    out.extend_from_slice(head.as_bytes());
    append_row(kind, record, include, out);
    out.extend_from_slice(b"]}");
}

/// A table without rows.
pub(crate) fn bookmark(metadata: Value) -> Value {
    json!({ "kind": "Table", "apiVersion": "meta.k8s.io/v1", "metadata": metadata, "columnDefinitions": [], "rows": [] })
}

/// The metadata of an object, for clients that want nothing else.
pub(crate) fn metadata_of(record: &Record) -> Value {
    partial(record.value().get_mut("metadata").map(Value::take).unwrap_or_default())
}

pub(crate) fn partial(metadata: Value) -> Value {
    json!({ "kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1", "metadata": metadata })
}

fn columns(kind: &Kind) -> Value {
    json!(table::columns(kind))
}

fn append_row(kind: &Kind, record: &Record, include: Include, out: &mut Vec<u8>) {
    let object = record.value();
    let cells = json!(table::row(kind, &object, jiff::Timestamp::now()));
    out.extend_from_slice(format!("{{\"cells\":{cells}").as_bytes());
    match include {
        Include::None => {}
        Include::Metadata => {
            let metadata = object.get("metadata").cloned().unwrap_or_default();
            out.extend_from_slice(format!(",\"object\":{}", partial(metadata)).as_bytes());
        }
        Include::Object => {
            out.extend_from_slice(b",\"object\":");
            render::append_served(&render::head(kind), record, out);
        }
    }
    out.push(b'}');
}
