use gantry_plugin::family as host;
use gantry_sdk as sdk;

pub fn error(given: host::Error) -> sdk::Error {
    let code = match given.code {
        host::ErrorCode::NotFound => sdk::ErrorCode::NotFound,
        host::ErrorCode::AlreadyExists => sdk::ErrorCode::AlreadyExists,
        host::ErrorCode::Conflict => sdk::ErrorCode::Conflict,
        host::ErrorCode::Invalid => sdk::ErrorCode::Invalid,
        host::ErrorCode::Forbidden => sdk::ErrorCode::Forbidden,
        host::ErrorCode::Exhausted => sdk::ErrorCode::Exhausted,
        host::ErrorCode::Unavailable => sdk::ErrorCode::Unavailable,
        host::ErrorCode::Internal => sdk::ErrorCode::Internal,
        host::ErrorCode::Other(code) => sdk::ErrorCode::Other(code),
    };
    let retry = match given.retry {
        host::RetryHint::Never => sdk::RetryHint::Never,
        host::RetryHint::Backoff => sdk::RetryHint::Backoff,
        host::RetryHint::AfterMs(ms) => sdk::RetryHint::AfterMs(ms),
    };
    sdk::Error { code, message: given.message, retry }
}

pub fn refusal(given: sdk::Error) -> host::Error {
    let code = match given.code {
        sdk::ErrorCode::NotFound => host::ErrorCode::NotFound,
        sdk::ErrorCode::AlreadyExists => host::ErrorCode::AlreadyExists,
        sdk::ErrorCode::Conflict => host::ErrorCode::Conflict,
        sdk::ErrorCode::Invalid => host::ErrorCode::Invalid,
        sdk::ErrorCode::Forbidden => host::ErrorCode::Forbidden,
        sdk::ErrorCode::Exhausted => host::ErrorCode::Exhausted,
        sdk::ErrorCode::Unavailable => host::ErrorCode::Unavailable,
        sdk::ErrorCode::Internal => host::ErrorCode::Internal,
        sdk::ErrorCode::Other(code) => host::ErrorCode::Other(code),
    };
    let retry = match given.retry {
        sdk::RetryHint::Never => host::RetryHint::Never,
        sdk::RetryHint::Backoff => host::RetryHint::Backoff,
        sdk::RetryHint::AfterMs(ms) => host::RetryHint::AfterMs(ms),
    };
    host::Error { code, message: given.message, retry }
}

/// What came from the guest, for the SDK.
pub fn kind(given: host::KindRef) -> sdk::KindRef {
    sdk::KindRef { group: given.group, kind: given.kind }
}

pub fn reference(given: host::ObjectRef) -> sdk::ObjectRef {
    sdk::ObjectRef { kind: kind(given.kind), namespace: given.namespace, name: given.name }
}

/// What goes to the guest.
pub fn to_kind(given: &sdk::KindRef) -> host::KindRef {
    host::KindRef { group: given.group.clone(), kind: given.kind.clone() }
}

pub fn to_reference(given: &sdk::ObjectRef) -> host::ObjectRef {
    host::ObjectRef { kind: to_kind(&given.kind), namespace: given.namespace.clone(), name: given.name.clone() }
}

pub fn to_labels(given: Vec<sdk::Label>) -> Vec<host::Label> {
    given.into_iter().map(|label| host::Label { key: label.key, value: label.value }).collect()
}
