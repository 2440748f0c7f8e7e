//! Reviews of writes: a pool of instances, so that batches are reviewed at once.

use std::sync::Arc;

use async_trait::async_trait;

use super::described::{Describe, Described};
use super::lengths;
use super::worlds::Admission as World;
use crate::family::admission::{Decision, Description, Operation, Request, Rule, Verdict, WhenDown};
use crate::family::{Admission, Call, Error, ErrorCode, RetryHint};
use crate::grants::{Effective, text};
use crate::instance::{Recipe, Slot, call};

/// What a rule may name besides the object itself.
const SUBRESOURCES: [&str; 4] = ["", "status", "scale", "binding"];

impl Describe for World {
    type Description = Description;
    const NAME: &'static str = "admission.describe";
    const WHAT: &'static str = "rules";

    async fn describe(slot: &mut Slot<Self>) -> Call<Result<Description, Error>> {
        call!(slot, Self::NAME, |exports, store| exports.gantry_plugin_admission().call_describe(store))
    }

    fn check(description: &Description, grants: &Effective) -> Result<(), Error> {
        description.rules.iter().try_for_each(|rule| check(rule, grants))
    }

    fn same(a: &Description, b: &Description) -> bool {
        same(a, b)
    }
}

pub(crate) struct AdmissionPool {
    pool: Described<World>,
}

impl AdmissionPool {
    pub(crate) fn new(recipe: Arc<Recipe<World>>, instances: u32) -> Self {
        Self { pool: Described::new(recipe, instances) }
    }
}

#[async_trait]
impl Admission for AdmissionPool {
    async fn describe(&self) -> Call<Result<Description, Error>> {
        self.pool.description().await
    }

    async fn review(&self, requests: &[Request]) -> Call<Vec<Verdict>> {
        const NAME: &str = "admission.review";
        let mut loan = self.pool.take(NAME).await?;
        let Some(slot) = &mut loan.slot else { return Ok(Vec::new()) };
        slot.plugin().health.moved_in(requests.iter().map(size).sum());
        let answer =
            call!(slot, NAME, |exports, store| exports.gantry_plugin_admission().call_review(store, requests))?;
        lengths(answer.len(), requests.len(), "verdicts").map_err(|what| slot.nonsense(NAME, what))?;
        let uncalled = requests
            .iter()
            .zip(&answer)
            .find(|(request, verdict)| !request.may_change && matches!(verdict.decision, Decision::Change(_)));
        match uncalled {
            Some((request, _)) => {
                let what = format!("changes {} {}, which it was only to judge", text(&request.kind), request.name);
                Err(slot.nonsense(NAME, what))
            }
            None => Ok(answer),
        }
    }
}

fn size(request: &Request) -> usize {
    request.old.as_ref().map_or(0, Vec::len) + request.new.as_ref().map_or(0, Vec::len)
}

/// Whether a rule makes sense and is granted.
fn check(rule: &Rule, grants: &Effective) -> Result<(), Error> {
    let kind = text(&rule.kind);
    let wrong = |code, what: String| Err(Error { code, message: what, retry: RetryHint::Never });
    for verb in ["review", "mutate"].iter().take(1 + usize::from(rule.mutates)) {
        if !grants.object(&rule.kind, verb) {
            let what = format!("reviews {kind}, but the bundle does not grant {verb} on it");
            return wrong(ErrorCode::Forbidden, what);
        }
    }
    if rule.operations.is_empty() || rule.subresources.is_empty() {
        return wrong(ErrorCode::Invalid, format!("a rule for {kind} names no operation or no subresource"));
    }
    for operation in &rule.operations {
        match operation {
            Operation::Other(name) => {
                return wrong(
                    ErrorCode::Invalid,
                    format!("a rule for {kind} names the operation {name:?}, which this host does not know"),
                );
            }
            Operation::Delete if rule.mutates => {
                return wrong(
                    ErrorCode::Invalid,
                    format!("a rule for {kind} mutates on delete: there is nothing to change"),
                );
            }
            _ => {}
        }
    }
    for subresource in &rule.subresources {
        if !SUBRESOURCES.contains(&subresource.as_str()) {
            return wrong(
                ErrorCode::Invalid,
                format!("a rule for {kind} names the subresource {subresource:?}, which this host does not know"),
            );
        }
        if rule.mutates && !subresource.is_empty() {
            return wrong(
                ErrorCode::Invalid,
                format!("a rule for {kind} mutates {subresource}: only the object itself can be changed"),
            );
        }
    }
    Ok(())
}

fn same(a: &Description, b: &Description) -> bool {
    a.rules.len() == b.rules.len() && a.rules.iter().zip(&b.rules).all(|(x, y)| alike(x, y))
}

fn alike(x: &Rule, y: &Rule) -> bool {
    let operations = |rule: &Rule| rule.operations.iter().map(name).map(str::to_owned).collect::<Vec<_>>();
    let refuses = |rule: &Rule| matches!(rule.when_down, WhenDown::Refuse);
    x.kind.group == y.kind.group
        && x.kind.kind == y.kind.kind
        && x.subresources == y.subresources
        && x.mutates == y.mutates
        && operations(x) == operations(y)
        && refuses(x) == refuses(y)
}

fn name(operation: &Operation) -> &str {
    match operation {
        Operation::Create => "create",
        Operation::Update => "update",
        Operation::Delete => "delete",
        Operation::Other(name) => name,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::family::KindRef;
    use crate::grants::{Grants, ObjectGrant};

    fn grants(verbs: &[&str]) -> Effective {
        let verbs = verbs.iter().map(|v| (*v).to_owned()).collect();
        let objects = vec![ObjectGrant { group: "apps".into(), kind: "Deployment".into(), verbs }];
        let grants = Grants { objects, ..Grants::default() };
        Effective::new(grants.clone(), grants)
    }

    fn rule() -> Rule {
        Rule {
            kind: KindRef { group: "apps".into(), kind: "Deployment".into() },
            operations: vec![Operation::Create, Operation::Update],
            subresources: vec![String::new()],
            mutates: false,
            when_down: WhenDown::Refuse,
        }
    }

    #[test]
    fn rules_are_granted_or_refused_by_name() {
        let every = KindRef { group: "apps".into(), kind: "*".into() };
        let table = [
            (rule(), "review", ""),
            (rule(), "get", "reviews Deployment.apps, but the bundle does not grant review on it"),
            (Rule { mutates: true, ..rule() }, "review", "does not grant mutate"),
            (Rule { kind: every, ..rule() }, "review", "does not grant review"),
            (Rule { operations: Vec::new(), ..rule() }, "review", "names no operation"),
            (Rule { operations: vec![Operation::Other("connect".into())], ..rule() }, "review", "\"connect\""),
            (Rule { subresources: vec!["exec".into()], ..rule() }, "review", "subresource \"exec\""),
            (Rule { subresources: vec!["scale".into()], mutates: true, ..rule() }, "*", "mutates scale"),
            (Rule { operations: vec![Operation::Delete], mutates: true, ..rule() }, "*", "mutates on delete"),
        ];
        for (rule, verb, want) in table {
            match check(&rule, &grants(&[verb])) {
                Ok(()) => assert_eq!(want, "", "{rule:?}"),
                Err(error) => assert!(!want.is_empty() && error.message.contains(want), "{}", error.message),
            }
        }
    }

    #[test]
    fn a_description_is_the_same_only_if_all_of_it_is() {
        let one = |rule| Description { rules: vec![rule] };
        assert!(same(&one(rule()), &one(rule())));
        for other in [
            Rule { mutates: true, ..rule() },
            Rule { when_down: WhenDown::Allow, ..rule() },
            Rule { operations: vec![Operation::Delete], ..rule() },
            Rule { subresources: vec!["status".into()], ..rule() },
        ] {
            assert!(!same(&one(rule()), &one(other)));
        }
    }
}
