//! The error that API clients see: a Kubernetes `Status` object with reason and causes.

use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// Why a request failed, in the words of the Kubernetes API (`metav1.StatusReason`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Reason {
    /// 400
    BadRequest,
    /// 401
    Unauthorized,
    /// 403
    Forbidden,
    /// 404
    NotFound,
    /// 405
    MethodNotAllowed,
    /// 406
    NotAcceptable,
    /// 409, the name is taken.
    AlreadyExists,
    /// 409, a precondition does not hold.
    Conflict,
    /// 410, the revision asked for is compacted.
    Expired,
    /// 413
    RequestEntityTooLarge,
    /// 415
    UnsupportedMediaType,
    /// 422
    Invalid,
    /// 429
    TooManyRequests,
    /// 500
    InternalError,
    /// 503
    ServiceUnavailable,
    /// 504
    Timeout,
}

impl Reason {
    /// The HTTP status code.
    pub fn code(self) -> u16 {
        match self {
            Reason::BadRequest => 400,
            Reason::Unauthorized => 401,
            Reason::Forbidden => 403,
            Reason::NotFound => 404,
            Reason::MethodNotAllowed => 405,
            Reason::NotAcceptable => 406,
            Reason::AlreadyExists | Reason::Conflict => 409,
            Reason::Expired => 410,
            Reason::RequestEntityTooLarge => 413,
            Reason::UnsupportedMediaType => 415,
            Reason::Invalid => 422,
            Reason::TooManyRequests => 429,
            Reason::InternalError => 500,
            Reason::ServiceUnavailable => 503,
            Reason::Timeout => 504,
        }
    }

    /// The likeliest reason behind a status code.
    pub fn of_code(code: u16) -> Self {
        match code {
            400 => Reason::BadRequest,
            401 => Reason::Unauthorized,
            403 => Reason::Forbidden,
            404 => Reason::NotFound,
            405 => Reason::MethodNotAllowed,
            406 => Reason::NotAcceptable,
            409 => Reason::Conflict,
            410 => Reason::Expired,
            413 => Reason::RequestEntityTooLarge,
            415 => Reason::UnsupportedMediaType,
            422 => Reason::Invalid,
            429 => Reason::TooManyRequests,
            502 | 503 => Reason::ServiceUnavailable,
            504 => Reason::Timeout,
            _ => Reason::InternalError,
        }
    }
}

/// One thing that is wrong with an object (`metav1.StatusCause`).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cause {
    /// `FieldValueRequired`, `FieldValueInvalid`, `FieldValueNotSupported`, `FieldValueDuplicate`, …
    pub reason: String,
    /// For people, e.g. `Required value`.
    pub message: String,
    /// `spec.containers[0].image`
    pub field: String,
}

impl Cause {
    /// A required field is absent.
    pub fn required(field: impl Into<String>, detail: &str) -> Self {
        let message = if detail.is_empty() { "Required value".to_owned() } else { format!("Required value: {detail}") };
        Self { reason: "FieldValueRequired".into(), message, field: field.into() }
    }

    /// A value is wrong; `value` is shown.
    pub fn invalid(field: impl Into<String>, value: &Value, detail: impl fmt::Display) -> Self {
        let message = format!("Invalid value: {value}: {detail}");
        Self { reason: "FieldValueInvalid".into(), message, field: field.into() }
    }

    /// A value is none of those allowed.
    pub fn not_supported(field: impl Into<String>, value: &Value, allowed: &[&str]) -> Self {
        let allowed = allowed.iter().map(|a| format!("\"{a}\"")).collect::<Vec<_>>().join(", ");
        let message = format!("Unsupported value: {value}: supported values: {allowed}");
        Self { reason: "FieldValueNotSupported".into(), message, field: field.into() }
    }

    /// A value must be unique and is not.
    pub fn duplicate(field: impl Into<String>, value: &Value) -> Self {
        Self { reason: "FieldValueDuplicate".into(), message: format!("Duplicate value: {value}"), field: field.into() }
    }

    /// What is absent is empty.
    fn from_json(value: &Value) -> Self {
        let text = |field: &str| value.get(field).and_then(Value::as_str).unwrap_or_default().to_owned();
        Self { reason: text("reason"), message: text("message"), field: text("field") }
    }

    /// A field may not be set or changed here.
    pub fn forbidden(field: impl Into<String>, detail: impl fmt::Display) -> Self {
        Self { reason: "FieldValueForbidden".into(), message: format!("Forbidden: {detail}"), field: field.into() }
    }
}

/// A failed request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Status {
    /// What kind of failure.
    pub reason: Reason,
    /// For people.
    pub message: String,
    /// Group, kind (or plural) and name of the object concerned; may be empty.
    pub group: String,
    /// See `group`.
    pub kind: String,
    /// See `group`.
    pub name: String,
    /// What is wrong, field by field.
    pub causes: Vec<Cause>,
    /// Seconds after which to try again.
    pub retry_after_seconds: Option<u32>,
}

impl Status {
    /// A failure with a message.
    pub fn new(reason: Reason, message: impl Into<String>) -> Self {
        Self {
            reason,
            message: message.into(),
            group: String::new(),
            kind: String::new(),
            name: String::new(),
            causes: Vec::new(),
            retry_after_seconds: None,
        }
    }

    /// 400
    pub fn bad_request(message: impl Into<String>) -> Self {
        Self::new(Reason::BadRequest, message)
    }

    /// 500
    pub fn internal(message: impl Into<String>) -> Self {
        Self::new(Reason::InternalError, message)
    }

    /// 404 in Kubernetes' words: `pods "web" not found`.
    pub fn not_found(group: &str, plural: &str, name: &str) -> Self {
        let message = format!("{} \"{name}\" not found", qualified(group, plural));
        Self::new(Reason::NotFound, message).about(group, plural, name)
    }

    /// 409 in Kubernetes' words: `pods "web" already exists`.
    pub fn already_exists(group: &str, plural: &str, name: &str) -> Self {
        let message = format!("{} \"{name}\" already exists", qualified(group, plural));
        Self::new(Reason::AlreadyExists, message).about(group, plural, name)
    }

    /// 409 with a detail in Kubernetes' words.
    pub fn conflict(group: &str, plural: &str, name: &str, detail: impl fmt::Display) -> Self {
        let message = format!("Operation cannot be fulfilled on {} \"{name}\": {detail}", qualified(group, plural));
        Self::new(Reason::Conflict, message).about(group, plural, name)
    }

    /// 422 with every cause.
    pub fn invalid(group: &str, kind: &str, name: &str, causes: Vec<Cause>) -> Self {
        let list = causes.iter().map(|c| format!("{}: {}", c.field, c.message)).collect::<Vec<_>>();
        let list = match list.as_slice() {
            [one] => one.clone(),
            many => format!("[{}]", many.join(", ")),
        };
        let message = format!("{} \"{name}\" is invalid: {list}", qualified(group, kind));
        Self { causes, ..Self::new(Reason::Invalid, message).about(group, kind, name) }
    }

    /// Names the object concerned.
    pub fn about(mut self, group: &str, kind: &str, name: &str) -> Self {
        self.group = group.to_owned();
        self.kind = kind.to_owned();
        self.name = name.to_owned();
        self
    }

    /// Reads a `Status` object, of this server or another. A reason that is not known here is told by the code.
    pub fn from_json(value: &Value) -> Self {
        let text = |pointer: &str| value.pointer(pointer).and_then(Value::as_str).unwrap_or_default().to_owned();
        let number = |pointer: &str| value.pointer(pointer).and_then(Value::as_u64);
        let code = number("/code").and_then(|code| u16::try_from(code).ok()).unwrap_or(500);
        let reason = value.get("reason").and_then(|reason| Reason::deserialize(reason).ok());
        let causes = value.pointer("/details/causes").and_then(Value::as_array);
        Self {
            group: text("/details/group"),
            kind: text("/details/kind"),
            name: text("/details/name"),
            causes: causes.into_iter().flatten().map(Cause::from_json).collect(),
            retry_after_seconds: number("/details/retryAfterSeconds").and_then(|seconds| u32::try_from(seconds).ok()),
            ..Self::new(reason.unwrap_or_else(|| Reason::of_code(code)), text("/message"))
        }
    }

    /// The `Status` object that clients get.
    pub fn to_json(&self) -> Value {
        let mut details = json!({});
        if let Some(map) = details.as_object_mut() {
            for (key, text) in [("name", &self.name), ("group", &self.group), ("kind", &self.kind)] {
                if !text.is_empty() {
                    map.insert(key.to_owned(), json!(text));
                }
            }
            if !self.causes.is_empty() {
                map.insert("causes".to_owned(), json!(self.causes));
            }
            if let Some(seconds) = self.retry_after_seconds {
                map.insert("retryAfterSeconds".to_owned(), json!(seconds));
            }
        }
        let mut status = json!({
            "apiVersion": "v1", "kind": "Status", "metadata": {}, "status": "Failure",
            "message": self.message, "reason": self.reason, "code": self.reason.code(),
        });
        if let (Some(map), false) = (status.as_object_mut(), details == json!({})) {
            map.insert("details".to_owned(), details);
        }
        status
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Status {}

fn qualified(group: &str, name: &str) -> String {
    if group.is_empty() { name.to_owned() } else { format!("{name}.{group}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_is_read_as_it_was_written() {
        let sent = Status {
            causes: vec![Cause::required("spec.x", "")],
            retry_after_seconds: Some(3),
            ..Status::conflict("apps", "things", "a", "changed")
        };
        assert_eq!(Status::from_json(&sent.to_json()), sent);
        let strange = json!({"kind": "Status", "code": 410, "reason": "Gone", "message": "too old"});
        assert_eq!(Status::from_json(&strange).reason, Reason::Expired);
        assert_eq!(Status::from_json(&json!({})).reason, Reason::InternalError);
    }
}
