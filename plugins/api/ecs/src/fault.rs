//! Errors in AWS's form.

use gantry_sdk::dialect::http::StatusCode;
use gantry_sdk::{Error, ErrorCode};

/// What is answered instead of a result.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// `ClusterNotFoundException`
    pub code: String,
    /// For people.
    pub message: String,
    /// 400, or 500 when it is not the caller's fault.
    pub status: StatusCode,
}

/// What operations return.
pub type Result<T> = std::result::Result<T, Fault>;

impl Fault {
    /// The caller's fault.
    pub fn new(code: &str, message: impl Into<String>) -> Self {
        Self { code: code.to_owned(), message: message.into(), status: StatusCode::BAD_REQUEST }
    }

    /// Something that can't be done as it is asked for.
    pub fn client(message: impl Into<String>) -> Self {
        Self::new("ClientException", message)
    }

    /// A parameter without sense.
    pub fn parameter(message: impl Into<String>) -> Self {
        Self::new("InvalidParameterException", message)
    }

    /// ECS has it, and this dialect does not.
    pub fn unsupported(what: &str) -> Self {
        Self::new("UnsupportedFeatureException", format!("{what} is not supported here."))
    }

    /// Ours.
    pub fn server(message: impl Into<String>) -> Self {
        let status = StatusCode::INTERNAL_SERVER_ERROR;
        Self { code: "ServerException".to_owned(), message: message.into(), status }
    }
}

/// What the host refuses is ours, except what it finds wrong with an object.
impl From<Error> for Fault {
    fn from(error: Error) -> Self {
        match error.code {
            ErrorCode::Invalid => Self::client(error.message),
            _ => Self::server(error.message),
        }
    }
}
