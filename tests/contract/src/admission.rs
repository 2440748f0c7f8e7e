use std::sync::Arc;

use gantry_plugin::family::admission as host;
use gantry_sdk::admission::{Cause, Decision, Denial, Operation, Reason, Request, Rule, Verdict, WhenDown};
use gantry_sdk::{Config, Error, Result};

use crate::stage::{Stage, configured};
use crate::words;

/// The component on this thread's stage, as a reviewer of writes.
#[derive(Default)]
pub struct Admission {
    pool: Option<Arc<dyn gantry_plugin::Admission>>,
}

impl gantry_sdk::Admission for Admission {
    /// A component gets its configuration with its first call, which for the host is `describe`.
    fn configure(&mut self, config: Config) -> Result<()> {
        let stage = Stage::current();
        let pool = stage.load(&config)?.admission().ok_or_else(|| Error::invalid("does not review"))?;
        stage.call(pool.describe()).map_err(words::error)?;
        self.pool = Some(pool);
        Ok(())
    }

    fn rules(&self) -> Vec<Rule> {
        let Some(pool) = &self.pool else { return Vec::new() };
        let described = Stage::current().call(pool.describe()).expect("describes itself once more");
        described.rules.into_iter().map(rule).collect()
    }

    fn review(&mut self, request: &Request) -> Result<Verdict> {
        let verdict = self.review_batch(std::slice::from_ref(request)).pop();
        verdict.ok_or_else(|| Error::internal("no verdict for a request"))
    }

    fn review_batch(&mut self, requests: &[Request]) -> Vec<Verdict> {
        let asked: Vec<host::Request> = requests.iter().cloned().map(request).collect();
        let pool = configured(&mut self.pool).expect("configured first");
        Stage::current().call(pool.review(&asked)).into_iter().map(verdict).collect()
    }
}

fn rule(given: host::Rule) -> Rule {
    let operation = |operation| match operation {
        host::Operation::Create => Operation::Create,
        host::Operation::Update => Operation::Update,
        host::Operation::Delete => Operation::Delete,
        host::Operation::Other(name) => Operation::Other(name),
    };
    Rule {
        kind: words::kind(given.kind),
        operations: given.operations.into_iter().map(operation).collect(),
        subresources: given.subresources,
        mutates: given.mutates,
        when_down: match given.when_down {
            host::WhenDown::Refuse => WhenDown::Refuse,
            host::WhenDown::Allow => WhenDown::Allow,
        },
    }
}

fn request(given: Request) -> host::Request {
    host::Request {
        operation: match given.operation {
            Operation::Create => host::Operation::Create,
            Operation::Update => host::Operation::Update,
            Operation::Delete => host::Operation::Delete,
            Operation::Other(name) => host::Operation::Other(name),
        },
        kind: words::to_kind(&given.kind),
        version: given.version,
        subresource: given.subresource,
        namespace: given.namespace,
        name: given.name,
        user: host::User { name: given.user.name, groups: given.user.groups },
        dry_run: given.dry_run,
        may_change: given.may_change,
        old: given.old,
        new: given.new,
    }
}

fn verdict(given: host::Verdict) -> Verdict {
    let decision = match given.decision {
        host::Decision::Allow => Decision::Allow,
        host::Decision::Change(patch) => Decision::Change(patch),
        host::Decision::Deny(given) => Decision::Deny(denial(given)),
        host::Decision::Failed(error) => Decision::Failed(words::error(error)),
    };
    Verdict { decision, warnings: given.warnings }
}

fn denial(given: host::Denial) -> Denial {
    let cause = |c: host::Cause| Cause { reason: c.reason, message: c.message, field: c.field };
    Denial {
        reason: match given.reason {
            host::Reason::Invalid => Reason::Invalid,
            host::Reason::Forbidden => Reason::Forbidden,
            host::Reason::Conflict => Reason::Conflict,
            host::Reason::TooManyRequests => Reason::TooManyRequests,
            host::Reason::Other(name) => Reason::Other(name),
        },
        message: given.message,
        causes: given.causes.into_iter().map(cause).collect(),
    }
}
