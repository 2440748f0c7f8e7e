//! What a failure of the store means to a client.

use gantry_model::status::Reason;
use gantry_model::{Kind, Status};
use gantry_store::Error;

/// What clients are told when somebody else was faster.
pub(crate) const MODIFIED: &str =
    "the object has been modified; please apply your changes to the latest version and try again";

/// 409: the object changed since it was read.
pub(crate) fn modified(kind: &Kind, name: &str) -> Status {
    Status::conflict(&kind.group, &kind.plural, name, MODIFIED)
}

/// A failed read or write as a client sees it.
pub(crate) fn status(kind: &Kind, name: &str, error: &Error) -> Status {
    match error {
        Error::Conflict { .. } => modified(kind, name),
        Error::Compacted { asked, oldest } => {
            Status::new(Reason::Expired, format!("too old resource version: {asked} ({oldest})"))
        }
        Error::Busy => Status {
            retry_after_seconds: Some(1),
            ..Status::new(Reason::TooManyRequests, "too many writes are waiting: try again later")
        },
        Error::Failed(_) | Error::Open { .. } => Status::new(Reason::ServiceUnavailable, error.to_string()),
    }
}

/// 422 about an object.
pub(crate) fn invalid(kind: &Kind, name: &str, causes: Vec<gantry_model::status::Cause>) -> Status {
    Status::invalid(&kind.group, &kind.kind, name, causes)
}

/// 403 about an object.
pub(crate) fn forbidden(kind: &Kind, name: &str, why: &str) -> Status {
    let resource = kind.resource();
    let message = match name {
        "" => format!("{resource} is forbidden: {why}"),
        name => format!("{resource} \"{name}\" is forbidden: {why}"),
    };
    Status::new(Reason::Forbidden, message).about(&kind.group, &kind.plural, name)
}
