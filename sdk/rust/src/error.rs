//! Making errors.

use std::fmt;

use crate::types::{Error, ErrorCode, RetryHint};

/// What most functions of a plugin return.
pub type Result<T> = std::result::Result<T, Error>;

impl Error {
    /// Any code.
    pub fn new(code: ErrorCode, retry: RetryHint, message: impl Into<String>) -> Self {
        Error { code, message: message.into(), retry }
    }

    /// The object or thing named does not exist.
    pub fn not_found(message: impl Into<String>) -> Self {
        Error::new(ErrorCode::NotFound, RetryHint::Never, message)
    }

    /// An object of that name exists already.
    pub fn already_exists(message: impl Into<String>) -> Self {
        Error::new(ErrorCode::AlreadyExists, RetryHint::Never, message)
    }

    /// A precondition does not hold any more.
    pub fn conflict(message: impl Into<String>) -> Self {
        Error::new(ErrorCode::Conflict, RetryHint::Backoff, message)
    }

    /// The input can never succeed as it is.
    pub fn invalid(message: impl Into<String>) -> Self {
        Error::new(ErrorCode::Invalid, RetryHint::Never, message)
    }

    /// Not granted.
    pub fn forbidden(message: impl Into<String>) -> Self {
        Error::new(ErrorCode::Forbidden, RetryHint::Never, message)
    }

    /// A bounded thing is used up.
    pub fn exhausted(message: impl Into<String>) -> Self {
        Error::new(ErrorCode::Exhausted, RetryHint::Backoff, message)
    }

    /// Something that is needed can't be reached now.
    pub fn unavailable(message: impl Into<String>) -> Self {
        Error::new(ErrorCode::Unavailable, RetryHint::Backoff, message)
    }

    /// A fault of the plugin's own.
    pub fn internal(message: impl Into<String>) -> Self {
        Error::new(ErrorCode::Internal, RetryHint::Backoff, message)
    }

    /// The same error, to be tried again after this many milliseconds.
    #[must_use]
    pub fn retry_after_ms(mut self, ms: u64) -> Self {
        self.retry = RetryHint::AfterMs(ms);
        self
    }

    /// The same error, its message headed by what was being done.
    #[must_use]
    pub fn context(mut self, doing: impl fmt::Display) -> Self {
        self.message = format!("{doing}: {}", self.message);
        self
    }

    /// Is the object gone or was it never there?
    pub fn is_not_found(&self) -> bool {
        self.code == ErrorCode::NotFound
    }

    /// Is there one of that name already?
    pub fn is_already_exists(&self) -> bool {
        self.code == ErrorCode::AlreadyExists
    }

    /// Has somebody else changed the object?
    pub fn is_conflict(&self) -> bool {
        self.code == ErrorCode::Conflict
    }
}

impl fmt::Display for ErrorCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            ErrorCode::NotFound => "not-found",
            ErrorCode::AlreadyExists => "already-exists",
            ErrorCode::Conflict => "conflict",
            ErrorCode::Invalid => "invalid",
            ErrorCode::Forbidden => "forbidden",
            ErrorCode::Exhausted => "exhausted",
            ErrorCode::Unavailable => "unavailable",
            ErrorCode::Internal => "internal",
            ErrorCode::Other(code) => code,
        })
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.message, self.code)
    }
}

impl std::error::Error for Error {}

/// JSON that does not have the expected shape is the input's fault.
impl From<serde_json::Error> for Error {
    fn from(error: serde_json::Error) -> Self {
        Error::invalid(error.to_string())
    }
}

/// Files: what may pass (disk full, interrupted) is `unavailable`.
impl From<std::io::Error> for Error {
    fn from(error: std::io::Error) -> Self {
        match error.kind() {
            std::io::ErrorKind::NotFound => Error::not_found(error.to_string()),
            std::io::ErrorKind::PermissionDenied => Error::forbidden(error.to_string()),
            _ => Error::unavailable(error.to_string()),
        }
    }
}

impl From<std::num::ParseIntError> for Error {
    fn from(error: std::num::ParseIntError) -> Self {
        Error::invalid(error.to_string())
    }
}
