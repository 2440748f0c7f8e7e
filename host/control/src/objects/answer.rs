//! The API's refusals in the contract's words.

use gantry_model::Status;
use gantry_model::status::Reason;
use gantry_plugin::family::{Error, ErrorCode, RetryHint};

/// What a plugin is told.
pub(super) fn of(status: Status) -> Error {
    let (code, retry) = match status.reason {
        Reason::NotFound => (ErrorCode::NotFound, RetryHint::Never),
        Reason::AlreadyExists => (ErrorCode::AlreadyExists, RetryHint::Never),
        Reason::Conflict => (ErrorCode::Conflict, RetryHint::Backoff),
        Reason::Forbidden | Reason::Unauthorized => (ErrorCode::Forbidden, RetryHint::Backoff),
        Reason::BadRequest | Reason::Invalid | Reason::UnsupportedMediaType | Reason::RequestEntityTooLarge => {
            (ErrorCode::Invalid, RetryHint::Never)
        }
        Reason::TooManyRequests | Reason::ServiceUnavailable | Reason::Timeout | Reason::Expired => {
            let wait = status.retry_after_seconds.map(|s| RetryHint::AfterMs(u64::from(s) * 1000));
            (ErrorCode::Unavailable, wait.unwrap_or(RetryHint::Backoff))
        }
        Reason::MethodNotAllowed | Reason::NotAcceptable | Reason::InternalError => {
            (ErrorCode::Internal, RetryHint::Backoff)
        }
    };
    Error { code, message: status.message, retry }
}

/// The call itself can never succeed.
pub(super) fn invalid(message: String) -> Error {
    Error { code: ErrorCode::Invalid, message, retry: RetryHint::Never }
}
