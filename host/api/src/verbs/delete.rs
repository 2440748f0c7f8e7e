//! Deleting one object or many.

use std::sync::Arc;

use gantry_model::status::{Cause, Reason};
use gantry_model::{Kind, Status};
use gantry_objects::{DeleteOptions, Preconditions, Propagation, Written};
use http::StatusCode;
use http::request::Parts;
use hyper::body::Incoming;
use serde::Deserialize;
use serde_json::{Value, json};

use super::render::{self, Item, Pieces};
use super::{Call, list, read};
use crate::wire::body::{self, Media};
use crate::wire::query::{dry_run, invalid_option};
use crate::wire::reply::{self, Response};

/// `meta/v1` DeleteOptions.
#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Body {
    grace_period_seconds: Option<i64>,
    propagation_policy: Option<String>,
    orphan_dependents: Option<bool>,
    preconditions: Option<BodyPreconditions>,
    dry_run: Option<Vec<String>>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct BodyPreconditions {
    uid: Option<String>,
    resource_version: Option<String>,
}

impl Call<'_> {
    pub(crate) async fn delete(&self, kind: &Arc<Kind>, head: &Parts, body: Incoming) -> Result<Response, Status> {
        read::accepted(&head.headers)?;
        let options = self.delete_options(head, body).await?;
        let deleted = self.app.objects.delete(kind, self.namespace(kind), &self.target.name, &options).await?;
        Ok(reply::warn(self.deleted(kind, &deleted), &deleted.warnings))
    }

    fn deleted(&self, kind: &Kind, deleted: &Written) -> Response {
        // Clients wait for Pods by what the answer says of them, and for the rest by uid.
        if !deleted.removed || (kind.group.is_empty() && kind.plural == "pods") {
            return render::one(StatusCode::OK, render::served(kind, &deleted.record), self.pretty());
        }
        let mut details =
            json!({ "name": deleted.record.meta.name, "kind": kind.plural, "uid": deleted.record.meta.uid });
        if let (false, Some(map)) = (kind.group.is_empty(), details.as_object_mut()) {
            map.insert("group".to_owned(), json!(kind.group));
        }
        reply::value(StatusCode::OK, &success(details))
    }

    /// Deletes what the selectors match, one by one, and answers with what was deleted.
    pub(crate) async fn delete_collection(
        &self,
        kind: &Arc<Kind>,
        head: &Parts,
        body: Incoming,
    ) -> Result<Response, Status> {
        if kind.namespaced() && self.target.namespace.is_empty() {
            return Err(super::not_allowed(&head.method));
        }
        read::accepted(&head.headers)?;
        let options = self.delete_options(head, body).await?;
        let list = self.app.objects.list(kind, &self.list_options(kind)?)?;
        let mut items = Vec::with_capacity(list.items.len());
        for record in &list.items {
            match self.app.objects.delete(kind, &record.meta.namespace, &record.meta.name, &options).await {
                Ok(deleted) => items.push(deleted.record),
                Err(status) if status.reason == Reason::NotFound => {}
                Err(status) => return Err(status),
            }
        }
        let mut begin =
            format!("{{\"kind\":\"{}\",\"apiVersion\":\"{}\",", kind.list_kind(), kind.api_version()).into_bytes();
        let revision = self.app.objects.store().revision().to_string();
        list::append_metadata(&mut begin, &revision, list.continue_token.as_deref(), list.remaining);
        begin.extend_from_slice(b",\"items\":[");
        let version = render::head(kind);
        let item: Item = Box::new(move |record, out| render::append_served(&version, record, out));
        Ok(render::send(Pieces::new(begin, items, item, b"]}\n"), false, self.pretty()))
    }

    async fn delete_options(&self, head: &Parts, body: Incoming) -> Result<DeleteOptions, Status> {
        let bytes = self.body(head, body).await?;
        let mut options = match bytes.is_empty() {
            true => DeleteOptions::default(),
            false => options_of(&body::object(Media::of(&head.headers)?, &bytes)?)?,
        };
        if let Some(seconds) = self.query.number("gracePeriodSeconds")? {
            options.grace_seconds = Some(grace(seconds)?);
        }
        if let Some(policy) = self.query.get("propagationPolicy") {
            options.propagation = Some(propagation(policy)?);
        } else if self.query.get("orphanDependents").is_some() {
            options.propagation = Some(orphans(self.query.flag("orphanDependents")?));
        }
        options.dry_run |= self.query.dry_run()?;
        options.user = Some(self.user.identity().clone());
        Ok(options)
    }
}

/// Reads DeleteOptions.
pub(crate) fn options_of(object: &Value) -> Result<DeleteOptions, Status> {
    let kind = object.get("kind").and_then(Value::as_str).unwrap_or("DeleteOptions");
    if kind != "DeleteOptions" {
        return Err(Status::bad_request(format!("the body of a deletion must be DeleteOptions, not {kind}")));
    }
    let body =
        Body::deserialize(object).map_err(|e| Status::bad_request(format!("the body is not DeleteOptions: {e}")))?;
    let preconditions = body.preconditions.unwrap_or_default();
    Ok(DeleteOptions {
        propagation: match (body.propagation_policy.as_deref(), body.orphan_dependents) {
            (Some(policy), _) => Some(propagation(policy)?),
            (None, orphan) => orphan.map(orphans),
        },
        grace_seconds: body.grace_period_seconds.map(grace).transpose()?,
        preconditions: Preconditions { uid: preconditions.uid, resource_version: preconditions.resource_version },
        dry_run: dry_run(&body.dry_run.unwrap_or_default())?,
        user: None,
    })
}

fn propagation(policy: &str) -> Result<Propagation, Status> {
    match policy {
        "Background" => Ok(Propagation::Background),
        "Foreground" => Ok(Propagation::Foreground),
        "Orphan" => Ok(Propagation::Orphan),
        other => {
            let allowed = ["Background", "Foreground", "Orphan"];
            Err(invalid_option(Cause::not_supported("propagationPolicy", &json!(other), &allowed)))
        }
    }
}

/// The older way to say it.
fn orphans(orphan: bool) -> Propagation {
    if orphan { Propagation::Orphan } else { Propagation::Background }
}

fn grace(seconds: i64) -> Result<i64, Status> {
    if seconds < 0 {
        return Err(invalid_option(Cause::invalid("gracePeriodSeconds", &json!(seconds), "must not be negative")));
    }
    Ok(seconds)
}

/// A `Status` that says it went well.
pub(crate) fn success(details: Value) -> Value {
    json!({ "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "details": details })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_are_read_and_checked() {
        let options = options_of(&json!({
            "kind": "DeleteOptions", "apiVersion": "v1", "gracePeriodSeconds": 0, "propagationPolicy": "Foreground",
            "preconditions": {"uid": "u"}, "dryRun": ["All"],
        }))
        .unwrap();
        assert_eq!(
            (options.grace_seconds, options.propagation, options.dry_run),
            (Some(0), Some(Propagation::Foreground), true)
        );
        for (body, want) in [
            (json!({}), None),
            (json!({"orphanDependents": true}), Some(Propagation::Orphan)),
            (json!({"orphanDependents": false}), Some(Propagation::Background)),
            (json!({"propagationPolicy": "Background"}), Some(Propagation::Background)),
        ] {
            assert_eq!(options_of(&body).unwrap().propagation, want, "{body}");
        }
        assert_eq!(options.preconditions.uid.as_deref(), Some("u"));
        for (bad, reason) in [
            (json!({"kind": "Pod"}), Reason::BadRequest),
            (json!({"gracePeriodSeconds": "x"}), Reason::BadRequest),
            (json!({"gracePeriodSeconds": -1}), Reason::Invalid),
            (json!({"propagationPolicy": "Maybe"}), Reason::Invalid),
            (json!({"dryRun": ["Some"]}), Reason::Invalid),
        ] {
            assert_eq!(options_of(&bad).unwrap_err().reason, reason, "{bad}");
        }
    }
}
