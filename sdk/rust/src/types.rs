//! `wit/types.wit`, by hand: words that every interface shares.

use std::fmt;

use crate::api::Resource;

/// What went wrong, as a stable code that programs may match on. Treat a case that you do not know like `Internal`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum ErrorCode {
    /// The object or thing named does not exist.
    NotFound,
    /// An object of that name exists already.
    AlreadyExists,
    /// A precondition (uid, resourceVersion) does not hold any more: read again and decide again.
    Conflict,
    /// The input can never succeed as it is.
    Invalid,
    /// The bundle does not grant this to the plugin.
    Forbidden,
    /// A bounded thing is used up: addresses, ports, quota.
    Exhausted,
    /// Something that is needed can't be reached now.
    Unavailable,
    /// A fault of whoever answers.
    Internal,
    /// A code of a later contract version.
    Other(String),
}

/// When the same call may be made again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum RetryHint {
    /// Not before the input changes.
    Never,
    /// With the caller's own exponential backoff.
    Backoff,
    /// Not before this many milliseconds have passed.
    AfterMs(u64),
}

/// The one error that crosses the boundary, in both directions. Make one with the function of its code
/// (`Error::invalid("...")`); `?` turns JSON and text errors into one.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Error {
    /// For programs.
    pub code: ErrorCode,
    /// For a person: lower case, what failed, on which object, what to do. Without the plugin's name: the host adds it.
    pub message: String,
    /// When to try again.
    pub retry: RetryHint,
}

/// A kind, whatever its version: `{group: "apps", kind: "ReplicaSet"}`. The core group is the empty string.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct KindRef {
    /// `apps`; empty for the core group.
    pub group: String,
    /// `ReplicaSet`
    pub kind: String,
}

impl KindRef {
    /// From its parts.
    pub fn new(group: impl Into<String>, kind: impl Into<String>) -> Self {
        KindRef { group: group.into(), kind: kind.into() }
    }

    /// The kind of a typed object.
    pub fn of<T: Resource>() -> Self {
        KindRef::new(T::GROUP, T::KIND)
    }
}

impl fmt::Display for KindRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.group.as_str() {
            "" => f.write_str(&self.kind),
            group => write!(f, "{}.{group}", self.kind),
        }
    }
}

/// One object of a kind. `namespace` is empty for cluster-scoped kinds.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ObjectRef {
    /// Its kind.
    pub kind: KindRef,
    /// Empty for cluster-scoped kinds.
    pub namespace: String,
    /// `metadata.name`
    pub name: String,
}

impl ObjectRef {
    /// The object of a typed kind with this name.
    pub fn of<T: Resource>(namespace: impl Into<String>, name: impl Into<String>) -> Self {
        ObjectRef { kind: KindRef::of::<T>(), namespace: namespace.into(), name: name.into() }
    }
}

impl fmt::Display for ObjectRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.namespace.as_str() {
            "" => write!(f, "{} {}", self.kind, self.name),
            namespace => write!(f, "{} {namespace}/{}", self.kind, self.name),
        }
    }
}

/// A key and value of text, as in labels.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Label {
    /// The key.
    pub key: String,
    /// The value.
    pub value: String,
}

impl Label {
    /// From its parts.
    pub fn new(key: impl Into<String>, value: impl Into<String>) -> Self {
        Label { key: key.into(), value: value.into() }
    }
}
