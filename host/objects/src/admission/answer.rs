//! What a client is told.

use gantry_model::Status;
use gantry_model::status::Reason;

use super::{Denial, Down, Subject};
use crate::fault;

/// A refusal by one or several reviewers. What is invalid is said in one answer, field by field; anything else is the
/// first one's to say.
pub(super) fn denied(subject: &Subject<'_>, denials: Vec<(&str, Denial)>) -> Status {
    let field_by_field = |denial: &Denial| denial.reason == Reason::Invalid && !denial.causes.is_empty();
    if denials.iter().all(|(_, denial)| field_by_field(denial)) {
        // Two that keep the same rule say the same.
        let mut causes = Vec::new();
        for cause in denials.into_iter().flat_map(|(_, denial)| denial.causes) {
            if !causes.contains(&cause) {
                causes.push(cause);
            }
        }
        return fault::invalid(subject.kind, subject.name, causes);
    }
    let other = denials.into_iter().find(|(_, denial)| !field_by_field(denial));
    other.map_or_else(|| Status::internal("nobody refused this"), |(reviewer, denial)| one(subject, reviewer, denial))
}

fn one(subject: &Subject<'_>, reviewer: &str, denial: Denial) -> Status {
    let (kind, name) = (subject.kind, subject.name);
    let message = match denial.message.as_str() {
        "" => format!("{} does not allow it", said(reviewer)),
        message => format!("{}: {message}", said(reviewer)),
    };
    let status = match denial.reason {
        Reason::Invalid => {
            let status = fault::invalid(kind, name, Vec::new());
            let head = status.message.trim_end_matches("[]").to_owned();
            Status { message: format!("{head}{message}"), ..status }
        }
        Reason::Conflict => Status::conflict(&kind.group, &kind.plural, name, message),
        Reason::TooManyRequests => Status {
            retry_after_seconds: Some(1),
            ..Status::new(Reason::TooManyRequests, message).about(&kind.group, &kind.plural, name)
        },
        _ => fault::forbidden(kind, name, &message),
    };
    Status { causes: denial.causes, ..status }
}

/// A reviewer's name as people know it: the host's own have one that begins so.
fn said(reviewer: &str) -> String {
    reviewer.strip_prefix("host:").map_or_else(|| format!("plugin {reviewer}"), str::to_owned)
}

/// What follows when there is no verdict: an error, or a warning.
pub(super) fn tolerate(reviewer: &str, refuses: bool, down: Down, warnings: &mut Vec<String>) -> Result<(), Status> {
    let (Down::Away(why) | Down::Fault(why)) = &down;
    tracing::warn!(reviewer, refuses, why, "a write could not be reviewed");
    if !refuses {
        warnings.push(format!("{} did not review this: {why}", said(reviewer)));
        return Ok(());
    }
    Err(match &down {
        Down::Away(_) => Status {
            retry_after_seconds: Some(1),
            ..Status::new(
                Reason::ServiceUnavailable,
                format!("{} must review this and is not available: {why}", said(reviewer)),
            )
        },
        Down::Fault(_) => Status::internal(format!("{} must review this and failed: {why}", said(reviewer))),
    })
}
