//! Review: others look at a write before it is made. Who they are is the binary's to say; this module asks them in the
//! right order, applies their changes, and decides what follows when one can't be asked.
//!
//! A kind that nobody reviews costs a look at the rules and nothing else.

mod answer;
mod change;

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use futures::future::join_all;
use gantry_model::status::{Cause, Reason};
use gantry_model::{Kind, Status};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::options::User;
use crate::verbs::Objects;

pub(crate) use change::strip;

/// What is done to an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Operation {
    /// It is made.
    Create,
    /// It is changed.
    Update,
    /// Somebody asks for its end.
    Delete,
}

/// Which writes a reviewer wants to see.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Rule {
    /// API group; empty for core.
    pub group: String,
    /// `Deployment`; `*`: every kind of the group.
    pub kind: String,
    /// Any of these.
    pub operations: Vec<Operation>,
    /// Any of these; empty for the object itself.
    pub subresources: Vec<String>,
    /// Whether the verdict may be a change.
    pub mutates: bool,
    /// Whether the write is refused when the reviewer can't be asked.
    pub refuses_when_down: bool,
}

/// A write that is reviewed. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Request {
    /// What is done.
    pub operation: Operation,
    /// API group; empty for core.
    pub group: String,
    /// `Deployment`
    pub kind: String,
    /// `v1`
    pub version: String,
    /// Empty for the object itself.
    pub subresource: &'static str,
    /// Empty for cluster-scoped kinds.
    pub namespace: String,
    /// `metadata.name`
    pub name: String,
    /// Who writes.
    pub user: Arc<User>,
    /// Whether nothing will be stored.
    pub dry_run: bool,
    /// Whether the verdict may be a change.
    pub may_change: bool,
    /// The stored object as JSON; `None` for a creation. Neither object has `managedFields` or a `resourceVersion`.
    pub old: Option<Bytes>,
    /// The object as it is to be; `None` for a deletion.
    pub new: Option<Bytes>,
}

/// What a reviewer says.
#[derive(Clone, Debug)]
pub struct Verdict {
    /// Yes, no, or with a change.
    pub decision: Decision,
    /// For whoever writes.
    pub warnings: Vec<String>,
}

/// Yes, no, or with a change.
#[derive(Clone, Debug)]
pub enum Decision {
    /// Go on.
    Allow,
    /// Go on with the object after these RFC 6902 operations.
    Change(Value),
    /// Stop.
    Deny(Denial),
}

/// Why not.
#[derive(Clone, Debug)]
pub struct Denial {
    /// `Invalid`, `Forbidden`, `Conflict` or `TooManyRequests`; anything else counts as `Forbidden`.
    pub reason: Reason,
    /// For people.
    pub message: String,
    /// Field by field.
    pub causes: Vec<Cause>,
}

/// Why there is no verdict.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Down {
    /// The reviewer is not there now: 503.
    Away(String),
    /// It failed over this write: 500.
    Fault(String),
}

/// Looks at writes. A review waits for no other write, so reviewers never wait for each other.
#[async_trait]
pub trait Reviewer: Send + Sync + 'static {
    /// Its name, for messages.
    fn name(&self) -> &str;
    /// What it wants to see. Asked at every write: must not cost anything.
    fn rules(&self) -> &[Rule];
    /// One write. Comes to an end in bounded time.
    async fn review(&self, request: Request) -> Result<Verdict, Down>;
}

impl Verdict {
    /// Yes, without a word.
    pub fn allow() -> Self {
        Decision::Allow.into()
    }

    /// No. `causes` may be empty.
    pub fn deny(reason: Reason, message: impl Into<String>, causes: Vec<Cause>) -> Self {
        Decision::Deny(Denial { reason, message: message.into(), causes }).into()
    }
}

impl From<Decision> for Verdict {
    fn from(decision: Decision) -> Self {
        Self { decision, warnings: Vec::new() }
    }
}

impl Request {
    /// The stored object and the one that is to be; `null` for one that is not there.
    pub fn objects(&self) -> Result<(Value, Value), Down> {
        let object = |bytes: &Option<Bytes>| match bytes {
            Some(bytes) => serde_json::from_slice(bytes).map_err(|error| Down::Fault(error.to_string())),
            None => Ok(Value::Null),
        };
        Ok((object(&self.old)?, object(&self.new)?))
    }
}

/// A write as the verbs know it.
pub(crate) struct Subject<'a> {
    pub operation: Operation,
    pub kind: &'a Kind,
    pub subresource: &'static str,
    pub namespace: &'a str,
    pub name: &'a str,
    pub user: Option<&'a Arc<User>>,
    pub dry_run: bool,
    /// The stored object, stripped.
    pub old: Option<&'a Value>,
}

impl Rule {
    fn covers(&self, subject: &Subject<'_>) -> bool {
        self.group == subject.kind.group
            && (self.kind == "*" || self.kind == subject.kind.kind)
            && self.operations.contains(&subject.operation)
            && self.subresources.iter().any(|name| name == subject.subresource)
    }
}

/// A reviewer that is to be asked.
struct Concerned<'a> {
    reviewer: &'a dyn Reviewer,
    /// Whether the write is refused when it can't be.
    refuses: bool,
}

/// Whom a write concerns, in one of the two phases.
fn concerned<'a>(objects: &'a Objects, subject: &Subject<'_>, mutates: bool) -> impl Iterator<Item = Concerned<'a>> {
    objects.reviewers().iter().filter_map(move |reviewer| {
        let rules = reviewer.rules().iter().filter(|rule| rule.mutates == mutates && rule.covers(subject));
        let refuses = rules.map(|rule| rule.refuses_when_down).reduce(|a, b| a || b)?;
        Some(Concerned { reviewer: &**reviewer, refuses })
    })
}

/// Whether anybody reviews this.
pub(crate) fn wanted(objects: &Objects, subject: &Subject<'_>) -> bool {
    objects.reviewers().iter().any(|reviewer| reviewer.rules().iter().any(|rule| rule.covers(subject)))
}

/// Both phases. `new` is complete and valid; if reviewers change it, it is so again afterwards.
pub(crate) async fn admit(
    objects: &Objects,
    subject: &Subject<'_>,
    new: &mut Value,
    warnings: &mut Vec<String>,
) -> Result<(), Status> {
    if !wanted(objects, subject) {
        return Ok(());
    }
    for one in concerned(objects, subject, true) {
        let name = one.reviewer.name();
        let asked = one.reviewer.review(subject.request(Some(new), true)).await;
        let outcome = match asked {
            Ok(verdict) => {
                warnings.extend(verdict.warnings);
                match verdict.decision {
                    Decision::Allow => Ok(()),
                    Decision::Deny(denial) => return Err(answer::denied(subject, vec![(name, denial)])),
                    Decision::Change(operations) => change::apply(objects, subject, &operations, new, warnings),
                }
            }
            Err(down) => Err(down),
        };
        if let Err(down) = outcome {
            answer::tolerate(name, one.refuses, down, warnings)?;
        }
    }
    judge(objects, subject, Some(new), warnings).await
}

/// The second phase: all must agree.
pub(crate) async fn judge(
    objects: &Objects,
    subject: &Subject<'_>,
    new: Option<&Value>,
    warnings: &mut Vec<String>,
) -> Result<(), Status> {
    let judges: Vec<Concerned<'_>> = concerned(objects, subject, false).collect();
    if judges.is_empty() {
        return Ok(());
    }
    let request = subject.request(new, false);
    let verdicts = join_all(judges.iter().map(|one| one.reviewer.review(request.clone()))).await;
    let mut denials = Vec::new();
    for (one, verdict) in judges.iter().zip(verdicts) {
        let name = one.reviewer.name();
        match verdict {
            Ok(verdict) => {
                warnings.extend(verdict.warnings);
                match verdict.decision {
                    Decision::Allow => {}
                    Decision::Deny(denial) => denials.push((name, denial)),
                    Decision::Change(_) => {
                        let down = Down::Fault("it changes what it was only to judge".to_owned());
                        answer::tolerate(name, one.refuses, down, warnings)?;
                    }
                }
            }
            Err(down) => answer::tolerate(name, one.refuses, down, warnings)?,
        }
    }
    if denials.is_empty() { Ok(()) } else { Err(answer::denied(subject, denials)) }
}

impl Subject<'_> {
    fn request(&self, new: Option<&Value>, may_change: bool) -> Request {
        let bytes = |object: &Value| Bytes::from(object.to_string());
        Request {
            operation: self.operation,
            group: self.kind.group.clone(),
            kind: self.kind.kind.clone(),
            version: self.kind.version.clone(),
            subresource: self.subresource,
            namespace: self.namespace.to_owned(),
            name: self.name.to_owned(),
            user: self.user.cloned().unwrap_or_else(host),
            dry_run: self.dry_run,
            may_change,
            old: self.old.map(bytes),
            new: new.map(bytes),
        }
    }
}

/// Who writes when nobody is named.
fn host() -> Arc<User> {
    const NAME: &str = "gantry:host";
    Arc::new(User { name: NAME.to_owned(), groups: vec![NAME.to_owned()] })
}
