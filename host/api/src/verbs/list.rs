//! Listing objects.

use std::sync::Arc;

use gantry_model::status::{Cause, Reason};
use gantry_model::{Kind, Status};
use gantry_objects::{List, ListOptions};
use http::HeaderMap;
use serde_json::json;

use super::render::{self, Item, Pieces};
use super::{Call, read, table};
use crate::wire::negotiate::{self, Form};
use crate::wire::query::{Query, invalid_option};
use crate::wire::reply::Response;

impl Call<'_> {
    pub(crate) fn list(&self, kind: &Arc<Kind>, headers: &HeaderMap) -> Result<Response, Status> {
        let form = read::accepted(headers)?;
        let options = self.list_options(kind)?;
        let list = self.app.objects.list(kind, &options)?;
        fresh_enough(self.query, list.revision, options.continue_token.is_some())?;
        let pieces = match form {
            Form::Object => objects(kind, list),
            Form::Metadata => metadata(list),
            Form::Table => {
                let include = table::Include::of(self.query)?;
                let revision = list.revision.to_string();
                table::pieces(kind, list.items, include, &revision, list.continue_token.as_deref(), list.remaining)
            }
        };
        Ok(render::send(pieces, negotiate::takes_gzip(headers), self.pretty()))
    }

    pub(crate) fn list_options(&self, kind: &Kind) -> Result<ListOptions, Status> {
        let namespace = self.namespace(kind);
        Ok(ListOptions {
            namespace: (!namespace.is_empty()).then(|| namespace.to_owned()),
            label_selector: self.query.text("labelSelector"),
            field_selector: self.field_selector(),
            limit: self.query.number("limit")?.unwrap_or(0),
            continue_token: self.query.get("continue").map(str::to_owned),
        })
    }

    /// The field selector, narrowed to the object that the path names, if it names one (old-style watches do).
    pub(crate) fn field_selector(&self) -> String {
        let selector = self.query.text("fieldSelector");
        match (self.target.name.is_empty(), selector.is_empty()) {
            (true, _) => selector,
            (false, true) => format!("metadata.name={}", self.target.name),
            (false, false) => format!("metadata.name={},{selector}", self.target.name),
        }
    }
}

/// The revision that a request names; `None` for none and for `0`, which means any.
pub(crate) fn revision(query: &Query<'_>) -> Result<Option<u64>, Status> {
    let Some(text) = query.get("resourceVersion") else { return Ok(None) };
    let revision: u64 = text.parse().map_err(|_| {
        invalid_option(Cause::invalid("resourceVersion", &json!(text), "must be a revision that this server gave"))
    })?;
    Ok((revision > 0).then_some(revision))
}

/// Whether a list of this revision is what the request wants. Only the newest state can be listed.
fn fresh_enough(query: &Query<'_>, current: u64, continues: bool) -> Result<(), Status> {
    let matching = query.get("resourceVersionMatch");
    if continues {
        return Ok(());
    }
    let asked = revision(query)?;
    match (matching, asked) {
        (None | Some("NotOlderThan" | "Exact"), Some(asked)) if asked > current => Err(too_new(asked, current)),
        (Some("Exact"), Some(asked)) if asked < current => Err(Status::new(
            Reason::Expired,
            format!("revision {asked} is no longer listed: list without resourceVersion"),
        )),
        (Some("Exact"), None) => Err(invalid_option(Cause::forbidden(
            "resourceVersionMatch",
            "\"Exact\" needs a resourceVersion other than 0",
        ))),
        (Some("NotOlderThan"), None) if !query.has("resourceVersion") => Err(invalid_option(Cause::forbidden(
            "resourceVersionMatch",
            "resourceVersionMatch is forbidden unless resourceVersion is provided",
        ))),
        (None | Some("Exact" | "NotOlderThan"), _) => Ok(()),
        (Some(other), _) => {
            Err(invalid_option(Cause::not_supported("resourceVersionMatch", &json!(other), &["Exact", "NotOlderThan"])))
        }
    }
}

/// 504 that tells clients to wait or to begin anew.
pub(crate) fn too_new(asked: u64, current: u64) -> Status {
    let cause = Cause {
        reason: "ResourceVersionTooLarge".into(),
        message: "Too large resource version".into(),
        field: String::new(),
    };
    let message = format!("Too large resource version: {asked}, current: {current}");
    Status { causes: vec![cause], retry_after_seconds: Some(1), ..Status::new(Reason::Timeout, message) }
}

fn objects(kind: &Kind, list: List) -> Pieces {
    let mut head =
        format!("{{\"kind\":\"{}\",\"apiVersion\":\"{}\",", kind.list_kind(), kind.api_version()).into_bytes();
    append_metadata(&mut head, &list.revision.to_string(), list.continue_token.as_deref(), list.remaining);
    head.extend_from_slice(b",\"items\":[");
    let begin = render::head(kind);
    let item: Item = Box::new(move |record, out| render::append_served(&begin, record, out));
    Pieces::new(head, list.items, item, b"]}\n")
}

fn metadata(list: List) -> Pieces {
    let mut head = b"{\"kind\":\"PartialObjectMetadataList\",\"apiVersion\":\"meta.k8s.io/v1\",".to_vec();
    append_metadata(&mut head, &list.revision.to_string(), list.continue_token.as_deref(), list.remaining);
    head.extend_from_slice(b",\"items\":[");
    let item: Item = Box::new(|record, out| out.extend_from_slice(table::metadata_of(record).to_string().as_bytes()));
    Pieces::new(head, list.items, item, b"]}\n")
}

/// Appends a list's `"metadata":{…}`.
pub(crate) fn append_metadata(out: &mut Vec<u8>, revision: &str, token: Option<&str>, remaining: Option<u64>) {
    let mut metadata = json!({ "resourceVersion": revision });
    if let (Some(map), Some(token)) = (metadata.as_object_mut(), token) {
        map.insert("continue".to_owned(), json!(token));
        if let Some(remaining) = remaining {
            map.insert("remainingItemCount".to_owned(), json!(remaining));
        }
    }
    out.extend_from_slice(format!("\"metadata\":{metadata}").as_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn revisions_asked_for() {
        let check = |raw: &'static str| fresh_enough(&Query::parse(Some(raw)), 10, false).map_err(|s| s.reason);
        for (raw, want) in [
            ("", Ok(())),
            ("resourceVersion=0", Ok(())),
            ("resourceVersion=10", Ok(())),
            ("resourceVersion=11", Err(Reason::Timeout)),
            ("resourceVersion=x", Err(Reason::Invalid)),
            ("resourceVersion=9&resourceVersionMatch=NotOlderThan", Ok(())),
            ("resourceVersion=0&resourceVersionMatch=NotOlderThan", Ok(())),
            ("resourceVersion=9&resourceVersionMatch=Exact", Err(Reason::Expired)),
            ("resourceVersion=10&resourceVersionMatch=Exact", Ok(())),
            ("resourceVersionMatch=Exact", Err(Reason::Invalid)),
            ("resourceVersionMatch=NotOlderThan", Err(Reason::Invalid)),
            ("resourceVersion=9&resourceVersionMatch=Roughly", Err(Reason::Invalid)),
        ] {
            assert_eq!(check(raw), want, "{raw}");
        }
    }
}
