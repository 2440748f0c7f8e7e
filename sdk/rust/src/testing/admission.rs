use serde_json::Value;

use super::state;
use crate::KindRef;
use crate::admission::{Operation, Request, User};

impl Request {
    /// A creation, as the host would ask about it. `object` is JSON with apiVersion and kind.
    pub fn create(object: &Value) -> Self {
        about(Operation::Create, None, Some(object))
    }

    /// An update.
    pub fn update(old: &Value, new: &Value) -> Self {
        about(Operation::Update, Some(old), Some(new))
    }

    /// A deletion.
    pub fn delete(old: &Value) -> Self {
        about(Operation::Delete, Some(old), None)
    }

    /// The same for a subresource.
    #[must_use]
    pub fn of(mut self, subresource: &str) -> Self {
        self.subresource = subresource.to_string();
        self
    }

    /// The same by another user than the administrator.
    #[must_use]
    pub fn by(mut self, name: &str, groups: &[&str]) -> Self {
        self.user = User { name: name.to_string(), groups: groups.iter().map(ToString::to_string).collect() };
        self
    }

    /// The same, asked for a rule that mutates.
    #[must_use]
    pub fn changeable(mut self) -> Self {
        self.may_change = true;
        self
    }
}

fn about(operation: Operation, old: Option<&Value>, new: Option<&Value>) -> Request {
    let object = new.or(old).expect("a request is about an object");
    let target = state::reference(object).expect("the object has apiVersion, kind and name");
    let version = object.get("apiVersion").and_then(Value::as_str).unwrap_or_default();
    let bytes = |object: Option<&Value>| object.map(|object| object.to_string().into_bytes());
    Request {
        operation,
        kind: KindRef { ..target.kind },
        version: version.rsplit('/').next().unwrap_or_default().to_string(),
        subresource: String::new(),
        namespace: target.namespace,
        name: target.name,
        user: User { name: "admin".to_string(), groups: vec!["system:masters".to_string()] },
        dry_run: false,
        may_change: false,
        old: bytes(old),
        new: bytes(new),
    }
}
