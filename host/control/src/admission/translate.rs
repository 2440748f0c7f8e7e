//! The contract's words and the verbs' words for the same things.

use gantry_model::status::{Cause, Reason};
use gantry_objects::admission::{Decision, Denial, Down, Operation, Request, Rule, Verdict};
use gantry_plugin::family::admission as wit;
use gantry_plugin::family::{Error, ErrorCode, KindRef};

/// The text of one verdict that a client gets to see is cut here.
const TEXT: usize = 8 * 1024;
/// More causes than anyone reads.
const CAUSES: usize = 256;

/// A plugin's rules. An error is a rule that this host can't keep; the engine refuses it first.
pub(super) fn rules(description: wit::Description) -> Result<Vec<Rule>, String> {
    description.rules.into_iter().map(rule).collect()
}

fn rule(rule: wit::Rule) -> Result<Rule, String> {
    let operations = rule.operations.into_iter().map(|operation| match operation {
        wit::Operation::Create => Ok(Operation::Create),
        wit::Operation::Update => Ok(Operation::Update),
        wit::Operation::Delete => Ok(Operation::Delete),
        wit::Operation::Other(name) => Err(format!("this host knows no operation {name:?}")),
    });
    Ok(Rule {
        operations: operations.collect::<Result<_, _>>()?,
        group: rule.kind.group,
        kind: rule.kind.kind,
        subresources: rule.subresources,
        mutates: rule.mutates,
        refuses_when_down: matches!(rule.when_down, wit::WhenDown::Refuse),
    })
}

pub(super) fn request(request: Request) -> wit::Request {
    wit::Request {
        operation: match request.operation {
            Operation::Create => wit::Operation::Create,
            Operation::Update => wit::Operation::Update,
            Operation::Delete => wit::Operation::Delete,
        },
        kind: KindRef { group: request.group, kind: request.kind },
        version: request.version,
        subresource: request.subresource.to_owned(),
        namespace: request.namespace,
        name: request.name,
        user: wit::User { name: request.user.name.clone(), groups: request.user.groups.clone() },
        dry_run: request.dry_run,
        may_change: request.may_change,
        old: request.old.map(Vec::from),
        new: request.new.map(Vec::from),
    }
}

pub(super) fn verdict(verdict: wit::Verdict) -> Result<Verdict, Down> {
    let decision = match verdict.decision {
        wit::Decision::Allow => Decision::Allow,
        wit::Decision::Change(patch) => {
            let operations = serde_json::from_slice(&patch);
            Decision::Change(operations.map_err(|e| Down::Fault(format!("its patch is no JSON: {e}")))?)
        }
        wit::Decision::Deny(denial) => Decision::Deny(self::denial(denial)),
        wit::Decision::Failed(error) => return Err(failed(error)),
    };
    Ok(Verdict { decision, warnings: verdict.warnings.into_iter().map(cut).collect() })
}

fn denial(denial: wit::Denial) -> Denial {
    let reason = match denial.reason {
        wit::Reason::Invalid => Reason::Invalid,
        wit::Reason::Conflict => Reason::Conflict,
        wit::Reason::TooManyRequests => Reason::TooManyRequests,
        wit::Reason::Forbidden | wit::Reason::Other(_) => Reason::Forbidden,
    };
    let causes = denial.causes.into_iter().take(CAUSES);
    let cause = |c: wit::Cause| Cause { reason: c.reason, message: cut(c.message), field: cut(c.field) };
    Denial { reason, message: cut(denial.message), causes: causes.map(cause).collect() }
}

/// The plugin can't tell. What it lacks may come back, unless the fault is its own.
fn failed(error: Error) -> Down {
    let message = cut(error.message);
    match error.code {
        ErrorCode::Unavailable | ErrorCode::Exhausted | ErrorCode::Conflict => Down::Away(message),
        _ => Down::Fault(message),
    }
}

fn cut(mut text: String) -> String {
    if text.len() > TEXT {
        let end = (0..=TEXT).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0);
        text.truncate(end);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use gantry_plugin::family::RetryHint;

    fn said(decision: wit::Decision) -> Result<Decision, Down> {
        verdict(wit::Verdict { decision, warnings: Vec::new() }).map(|verdict| verdict.decision)
    }

    #[test]
    fn what_can_not_be_told_is_away_or_a_fault() {
        let failed = |code| {
            let error = Error { code, message: "m".into(), retry: RetryHint::Backoff };
            said(wit::Decision::Failed(error)).unwrap_err()
        };
        assert_eq!(failed(ErrorCode::Unavailable), Down::Away("m".into()));
        assert_eq!(failed(ErrorCode::Invalid), Down::Fault("m".into()));
        assert!(matches!(said(wit::Decision::Change(b"[".to_vec())), Err(Down::Fault(why)) if why.contains("no JSON")));
    }

    #[test]
    fn texts_have_a_bound() {
        assert_eq!(cut("é".repeat(TEXT)).len(), TEXT);
        assert_eq!(cut("short".into()), "short");
        let cause = wit::Cause { reason: String::new(), message: String::new(), field: String::new() };
        let denial = wit::Denial {
            reason: wit::Reason::Other("later".into()),
            message: String::new(),
            causes: vec![cause; CAUSES + 1],
        };
        let Ok(Decision::Deny(denial)) = said(wit::Decision::Deny(denial)) else { panic!("it is denied") };
        assert_eq!((denial.reason, denial.causes.len()), (Reason::Forbidden, CAUSES));
    }
}
