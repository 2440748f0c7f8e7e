//! Admission: looks at writes before they are made, and refuses, changes or warns.

use std::fmt;

use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use crate::api::Resource;
use crate::contract::admission::exports::gantry::plugin::admission as wit;
use crate::export::{Holder, enter_configured};
use crate::{Config, Error, KindRef, Result};

pub use wit::{Cause, Decision, Denial, Description, Operation, Reason, Request, Rule, User, Verdict, WhenDown};

/// A reviewer of writes. See `wit/admission.wit` for when each call comes and what it may rely on.
pub trait Admission: Default + 'static {
    /// Takes the operator's configuration; called once, first. By default there is none to take.
    fn configure(&mut self, config: Config) -> Result<()> {
        config.refuse()
    }

    /// Which writes are reviewed. Always the same answer.
    fn rules(&self) -> Vec<Rule>;

    /// Judges one write. It may be asked again, and the write may still fail: nothing is remembered of it. An error means
    /// that the plugin can't tell, so that the rule's `when-down` decides.
    fn review(&mut self, request: &Request) -> Result<Verdict>;

    /// Judges each of several independent writes, in order. Override it to read what they need at once.
    fn review_batch(&mut self, requests: &[Request]) -> Vec<Verdict> {
        requests.iter().map(|request| self.review(request).unwrap_or_else(Verdict::failed)).collect()
    }
}

impl Rule {
    /// Creations and updates of a `T` itself, refused while the plugin is down.
    pub fn of<T: Resource>() -> Self {
        Self::on(KindRef::of::<T>())
    }

    /// The same for a kind by name; `*` is every kind of the group.
    pub fn on(kind: KindRef) -> Self {
        let operations = vec![Operation::Create, Operation::Update];
        Rule { kind, operations, subresources: vec![String::new()], mutates: false, when_down: WhenDown::Refuse }
    }

    /// Other operations.
    #[must_use]
    pub fn operations(mut self, operations: impl Into<Vec<Operation>>) -> Self {
        self.operations = operations.into();
        self
    }

    /// A subresource too: `status`, `scale`, `binding`.
    #[must_use]
    pub fn and(mut self, subresource: &str) -> Self {
        self.subresources.push(subresource.to_string());
        self
    }

    /// Verdicts may be `change`.
    #[must_use]
    pub fn mutating(mut self) -> Self {
        self.mutates = true;
        self
    }

    /// Writes go on, with a warning, while the plugin is down.
    #[must_use]
    pub fn open(mut self) -> Self {
        self.when_down = WhenDown::Allow;
        self
    }
}

impl Request {
    /// The object as it is to be.
    pub fn object<T: DeserializeOwned>(&self) -> Result<T> {
        let new = self.new.as_deref().ok_or_else(|| Error::invalid(format!("{self} has no new object")))?;
        serde_json::from_slice(new).map_err(|e| Error::from(e).context(self))
    }

    /// The object as it is stored; `None` for a creation.
    pub fn before<T: DeserializeOwned>(&self) -> Result<Option<T>> {
        let old = self.old.as_deref().map(serde_json::from_slice).transpose();
        old.map_err(|e| Error::from(e).context(self))
    }
}

/// `create Deployment.apps default/web`
impl fmt::Display for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let operation = match &self.operation {
            Operation::Create => "create",
            Operation::Update => "update",
            Operation::Delete => "delete",
            Operation::Other(name) => name,
        };
        let namespace = if self.namespace.is_empty() { String::new() } else { format!("{}/", self.namespace) };
        write!(f, "{operation} {} {namespace}{}", self.kind, self.name)
    }
}

impl Verdict {
    fn of(decision: Decision) -> Self {
        Verdict { decision, warnings: Vec::new() }
    }

    /// The write may go on.
    pub fn allow() -> Self {
        Self::of(Decision::Allow)
    }

    /// The write may go on with another object: the difference between what was asked for and this. Only for rules that
    /// mutate.
    pub fn change(asked: &Value, wanted: &Value) -> Self {
        let operations = patch(asked, wanted);
        if operations.is_empty() {
            return Self::allow();
        }
        Self::of(Decision::Change(Value::Array(operations).to_string().into_bytes()))
    }

    /// 422 with all that is wrong; `allow` when nothing is.
    pub fn invalid(causes: Vec<Cause>) -> Self {
        if causes.is_empty() {
            return Self::allow();
        }
        Self::of(Decision::Deny(Denial { reason: Reason::Invalid, message: String::new(), causes }))
    }

    /// 403: not here, or not by this user.
    pub fn forbid(message: impl Into<String>) -> Self {
        let message = message.into();
        Self::of(Decision::Deny(Denial { reason: Reason::Forbidden, message, causes: Vec::new() }))
    }

    /// The plugin can't tell.
    pub fn failed(error: Error) -> Self {
        Self::of(Decision::Failed(error))
    }

    /// The same with a line for whoever writes.
    #[must_use]
    pub fn warn(mut self, line: impl Into<String>) -> Self {
        self.warnings.push(line.into());
        self
    }
}

/// Causes in the words that Kubernetes uses, so that users read what they know.
impl Cause {
    fn new(reason: &str, field: impl Into<String>, message: String) -> Self {
        Cause { reason: reason.to_string(), message, field: field.into() }
    }

    /// A value is wrong; it is shown.
    pub fn invalid(field: impl Into<String>, value: &Value, detail: impl fmt::Display) -> Self {
        Self::new("FieldValueInvalid", field, format!("Invalid value: {value}: {detail}"))
    }

    /// A field must be there.
    pub fn required(field: impl Into<String>, detail: &str) -> Self {
        let message =
            if detail.is_empty() { "Required value".to_string() } else { format!("Required value: {detail}") };
        Self::new("FieldValueRequired", field, message)
    }

    /// A field may not be set, or not changed.
    pub fn forbidden(field: impl Into<String>, detail: impl fmt::Display) -> Self {
        Self::new("FieldValueForbidden", field, format!("Forbidden: {detail}"))
    }

    /// A value is none of those that are known.
    pub fn not_supported(field: impl Into<String>, value: &Value, allowed: &[&str]) -> Self {
        let allowed = allowed.iter().map(|a| format!("\"{a}\"")).collect::<Vec<_>>().join(", ");
        let message = format!("Unsupported value: {value}: supported values: {allowed}");
        Self::new("FieldValueNotSupported", field, message)
    }
}

/// RFC 6902 operations that turn one value into another. Lists are replaced whole.
pub fn patch(old: &Value, new: &Value) -> Vec<Value> {
    let mut operations = Vec::new();
    difference("", old, new, &mut operations);
    operations
}

fn difference(path: &str, old: &Value, new: &Value, operations: &mut Vec<Value>) {
    if old == new {
        return;
    }
    let (Value::Object(before), Value::Object(after)) = (old, new) else {
        operations.push(json!({"op": "replace", "path": path, "value": new}));
        return;
    };
    let below = |name: &String| format!("{path}/{}", name.replace('~', "~0").replace('/', "~1"));
    let gone = before.keys().filter(|name| !after.contains_key(*name));
    operations.extend(gone.map(|name| json!({"op": "remove", "path": below(name)})));
    for (name, value) in after {
        match before.get(name) {
            Some(was) => difference(&below(name), was, value, operations),
            None => operations.push(json!({"op": "add", "path": below(name), "value": value})),
        }
    }
}

impl<H: Holder> wit::Guest for H
where
    H::Plugin: Admission,
{
    fn describe() -> Result<Description> {
        enter_configured::<H, _>(Admission::configure, |a| Description { rules: a.rules() })
    }

    fn review(requests: Vec<Request>) -> Vec<Verdict> {
        enter_configured::<H, _>(Admission::configure, |a| a.review_batch(&requests))
            .unwrap_or_else(|error| requests.iter().map(|_| Verdict::failed(error.clone())).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patches_say_the_difference() {
        for (old, new, want) in [
            (json!({"a": 1}), json!({"a": 1}), json!([])),
            (json!({"a": 1}), json!({"a": 2}), json!([{"op": "replace", "path": "/a", "value": 2}])),
            (json!({}), json!({"a": {"b": 1}}), json!([{"op": "add", "path": "/a", "value": {"b": 1}}])),
            (json!({"a": {"x/y": 1, "z": 2}}), json!({"a": {"z": 2}}), json!([{"op": "remove", "path": "/a/x~1y"}])),
            (json!({"a": [1, 2]}), json!({"a": [1]}), json!([{"op": "replace", "path": "/a", "value": [1]}])),
            (
                json!({"a": {"m~n": 1}}),
                json!({"a": {"m~n": 2}}),
                json!([{"op": "replace", "path": "/a/m~0n", "value": 2}]),
            ),
        ] {
            assert_eq!(Value::Array(patch(&old, &new)), want, "{old} to {new}");
        }
    }

    #[test]
    fn nothing_to_say_is_allowed() {
        assert_eq!(Verdict::invalid(Vec::new()), Verdict::allow());
        assert_eq!(Verdict::change(&json!({"a": 1}), &json!({"a": 1})), Verdict::allow());
    }

    #[test]
    fn causes_read_like_those_of_kubernetes() {
        let cause = Cause::invalid("spec.a", &json!({"b": "c"}), "is odd");
        assert_eq!(
            (cause.reason.as_str(), cause.message.as_str()),
            ("FieldValueInvalid", "Invalid value: {\"b\":\"c\"}: is odd")
        );
        assert_eq!(Cause::required("a", "").message, "Required value");
        let supported = Cause::not_supported("a", &json!("Never"), &["Always"]);
        assert_eq!(supported.message, "Unsupported value: \"Never\": supported values: \"Always\"");
    }
}
