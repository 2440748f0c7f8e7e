//! Creating, replacing and patching.

use std::sync::Arc;

use bytes::Bytes;
use gantry_model::status::{Cause, Reason};
use gantry_model::{Kind, Status};
use gantry_objects::{FieldValidation, Patch, Preconditions, Subresource, WriteOptions, Written};
use http::StatusCode;
use http::header::USER_AGENT;
use http::request::Parts;
use hyper::body::Incoming;
use serde_json::{Value, json};

use super::{Call, read};
use crate::wire::body::{self, Media};
use crate::wire::query::invalid_option;
use crate::wire::reader::Read;
use crate::wire::reply::{self, Response};

/// As in Kubernetes: more operations than this are an attack or a mistake.
const JSON_PATCH_OPERATIONS: usize = 10_000;
const MANAGER_LENGTH: usize = 128;

impl Call<'_> {
    pub(crate) async fn create(&self, kind: &Arc<Kind>, head: &Parts, body: Incoming) -> Result<Response, Status> {
        let form = read::accepted(&head.headers)?;
        let mut options = self.write_options(head)?;
        let (object, duplicates) = self.object_of(kind, head, body).await?;
        options.duplicates = duplicates;
        let written = self.app.objects.create(kind, self.namespace(kind), object, &options).await?;
        self.written(kind, &written, form, StatusCode::CREATED)
    }

    pub(crate) async fn update(&self, kind: &Arc<Kind>, head: &Parts, body: Incoming) -> Result<Response, Status> {
        let form = read::accepted(&head.headers)?;
        let mut options = self.write_options(head)?;
        let (object, duplicates) = self.object_of(kind, head, body).await?;
        options.duplicates = duplicates;
        let named = object.pointer("/metadata/name").and_then(Value::as_str).unwrap_or_default();
        if !named.is_empty() && named != self.target.name {
            let message =
                format!("the name of the object ({named}) does not match the name on the URL ({})", self.target.name);
            return Err(Status::bad_request(message));
        }
        let name = &self.target.name;
        let written = self.app.objects.update(kind, self.namespace(kind), name, object, &options).await?;
        self.written(kind, &written, form, StatusCode::OK)
    }

    pub(crate) async fn patch(&self, kind: &Arc<Kind>, head: &Parts, body: Incoming) -> Result<Response, Status> {
        let form = read::accepted(&head.headers)?;
        let media = Media::of(&head.headers)?;
        let mut options = self.write_options(head)?;
        if media == Media::ApplyPatch {
            options.manager = self
                .query
                .get("fieldManager")
                .map(str::to_owned)
                .ok_or_else(|| invalid_option(Cause::required("fieldManager", "is required for apply patch")))?;
        } else if self.query.has("force") {
            return Err(invalid_option(Cause::forbidden("force", "may not be specified for non-apply patch")));
        }
        let bytes = self.body(head, body).await?;
        let (patch, duplicates) = patch_of(media, &bytes)?;
        options.duplicates = duplicates;
        let name = &self.target.name;
        let written = self.app.objects.patch(kind, self.namespace(kind), name, patch, &options).await?;
        self.written(kind, &written, form, StatusCode::OK)
    }

    fn written(
        &self,
        kind: &Kind,
        written: &Written,
        form: crate::wire::negotiate::Form,
        code: StatusCode,
    ) -> Result<Response, Status> {
        let code = if written.created { StatusCode::CREATED } else { code };
        let response = if self.target.subresource == "scale" {
            self.show_scale(kind, &written.record)?
        } else {
            self.show(kind, &written.record, form, code)?
        };
        Ok(reply::warn(response, &written.warnings))
    }

    /// The body's bytes, within the limits.
    pub(crate) async fn body(&self, head: &Parts, body: Incoming) -> Result<Bytes, Status> {
        let limits = &self.app.limits;
        body::read(&head.headers, body, limits.body, limits.patience).await
    }

    /// The object in the body, which must be of the kind that the path names, and the fields that it has twice.
    async fn object_of(&self, kind: &Kind, head: &Parts, body: Incoming) -> Result<Read, Status> {
        let media = Media::of(&head.headers)?;
        if !matches!(media, Media::Json | Media::Yaml | Media::Protobuf) {
            return Err(body::unsupported("a patch is sent with the method PATCH".to_owned()));
        }
        let bytes = self.body(head, body).await?;
        let (mut object, duplicates) = body::read_closely(media, &bytes)?;
        let (version, name) = match self.target.subresource {
            "scale" => ("autoscaling/v1".to_owned(), "Scale"),
            _ => (kind.api_version(), kind.kind.as_str()),
        };
        expect_type(&mut object, &version, name)?;
        Ok((object, duplicates))
    }

    pub(crate) fn write_options(&self, head: &Parts) -> Result<WriteOptions, Status> {
        let validation = match self.query.get("fieldValidation") {
            None | Some("Warn") => FieldValidation::Warn,
            Some("Strict") => FieldValidation::Strict,
            Some("Ignore") => FieldValidation::Ignore,
            Some(other) => {
                let allowed = ["Ignore", "Strict", "Warn"];
                return Err(invalid_option(Cause::not_supported("fieldValidation", &json!(other), &allowed)));
            }
        };
        Ok(WriteOptions {
            manager: manager(self.query.get("fieldManager"), head)?,
            user: Some(self.user.identity().clone()),
            dry_run: self.query.dry_run()?,
            validation,
            duplicates: Vec::new(),
            force: self.query.flag("force")?,
            subresource: match self.target.subresource {
                "status" | "approval" => Subresource::Status,
                "scale" => Subresource::Scale,
                _ => Subresource::None,
            },
            preconditions: Preconditions::default(),
        })
    }
}

/// Who writes: as the client says, or the program's name from `User-Agent` (`kubectl/v1.33 …` → `kubectl`).
fn manager(given: Option<&str>, head: &Parts) -> Result<String, Status> {
    if let Some(given) = given {
        if given.len() > MANAGER_LENGTH || given.chars().any(char::is_control) {
            let detail = format!("must be at most {MANAGER_LENGTH} printable bytes");
            return Err(invalid_option(Cause::invalid("fieldManager", &json!(given), detail)));
        }
        return Ok(given.to_owned());
    }
    let agent = head.headers.get(USER_AGENT).and_then(|v| v.to_str().ok()).unwrap_or_default();
    let name: String = agent.split('/').next().unwrap_or_default().chars().filter(|c| !c.is_control()).collect();
    Ok(name.chars().take(MANAGER_LENGTH).collect())
}

/// Checks that a body is of the type expected here, filling in what it leaves out.
pub(crate) fn expect_type(object: &mut Value, version: &str, kind: &str) -> Result<(), Status> {
    let Some(map) = object.as_object_mut() else {
        return Err(Status::bad_request(format!("the body must be a {kind} object")));
    };
    for (field, expected, what) in [("apiVersion", version, "API version"), ("kind", kind, "kind")] {
        match map.get(field) {
            Some(Value::String(found)) if found == expected => {}
            None | Some(Value::Null) => {
                map.insert(field.to_owned(), json!(expected));
            }
            Some(found) => {
                let found = found.as_str().map_or_else(|| found.to_string(), str::to_owned);
                let message =
                    format!("the {what} in the data ({found}) does not match the expected {what} ({expected})");
                return Err(Status::bad_request(message));
            }
        }
    }
    Ok(())
}

fn patch_of(media: Media, bytes: &[u8]) -> Result<(Patch, Vec<String>), Status> {
    let (value, duplicates) = match media {
        Media::JsonPatch | Media::MergePatch | Media::StrategicPatch | Media::ApplyPatch => body::read_closely(media, bytes)?,
        _ => return Err(body::unsupported(
            "a patch needs a Content-Type that says how to apply it: application/json-patch+json, application/merge-patch+json, \
             application/strategic-merge-patch+json or application/apply-patch+yaml"
                .to_owned(),
        )),
    };
    let patch = match (media, &value) {
        (Media::JsonPatch, Value::Array(operations)) if operations.len() > JSON_PATCH_OPERATIONS => {
            let message = format!("a JSON patch may have at most {JSON_PATCH_OPERATIONS} operations");
            return Err(Status::new(Reason::RequestEntityTooLarge, message));
        }
        (Media::JsonPatch, Value::Array(_)) => Patch::Json(value),
        (Media::JsonPatch, _) => return Err(Status::bad_request("a JSON patch must be an array of operations")),
        (Media::MergePatch, Value::Object(_)) => Patch::Merge(value),
        (Media::StrategicPatch, Value::Object(_)) => Patch::Strategic(value),
        (_, Value::Object(_)) => Patch::Apply(value),
        _ => return Err(Status::bad_request("the patch must be an object")),
    };
    Ok((patch, duplicates))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn head(agent: &str) -> Parts {
        http::Request::builder().header(USER_AGENT, agent).body(()).unwrap().into_parts().0
    }

    #[test]
    fn managers_come_from_the_option_or_the_program() {
        assert_eq!(manager(None, &head("kubectl/v1.33.0 (linux/amd64) kubernetes/1")).unwrap(), "kubectl");
        assert_eq!(manager(None, &head("curl")).unwrap(), "curl");
        assert_eq!(manager(Some("me"), &head("x/1")).unwrap(), "me");
        assert!(manager(Some(&"x".repeat(129)), &head("x/1")).is_err());
    }

    #[test]
    fn bodies_must_be_of_the_expected_type() {
        let mut bare = json!({"metadata": {"name": "a"}});
        expect_type(&mut bare, "v1", "Pod").unwrap();
        assert_eq!((&bare["apiVersion"], &bare["kind"]), (&json!("v1"), &json!("Pod")));
        for wrong in [json!({"apiVersion": "v2"}), json!({"kind": "Node"}), json!({"kind": 3}), json!([]), json!("x")] {
            assert_eq!(expect_type(&mut wrong.clone(), "v1", "Pod").unwrap_err().reason, Reason::BadRequest, "{wrong}");
        }
    }

    #[test]
    fn patches_must_have_the_shape_of_their_type() {
        assert!(matches!(patch_of(Media::JsonPatch, b"[]"), Ok((Patch::Json(_), _))));
        assert!(matches!(patch_of(Media::MergePatch, b"{}"), Ok((Patch::Merge(_), _))));
        assert!(matches!(patch_of(Media::ApplyPatch, b"a: 1"), Ok((Patch::Apply(_), _))));
        let (_, duplicates) = patch_of(Media::MergePatch, br#"{"a":{"b":1,"b":2}}"#).unwrap();
        assert_eq!(duplicates, ["a.b"]);
        for (media, text, reason) in [
            (Media::JsonPatch, "{}", Reason::BadRequest),
            (Media::StrategicPatch, "[]", Reason::BadRequest),
            (Media::MergePatch, "{", Reason::BadRequest),
            (Media::Json, "{}", Reason::UnsupportedMediaType),
        ] {
            assert_eq!(patch_of(media, text.as_bytes()).unwrap_err().reason, reason, "{media:?} {text}");
        }
        let many = serde_json::to_vec(&vec![json!({}); JSON_PATCH_OPERATIONS + 1]).unwrap();
        assert_eq!(patch_of(Media::JsonPatch, &many).unwrap_err().reason, Reason::RequestEntityTooLarge);
    }
}
