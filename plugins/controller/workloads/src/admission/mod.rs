//! What a write must keep to beyond the schema: rules of one field against another. The host answers 422 with every cause,
//! before anything is stored.
//!
//! An update that leaves `spec` alone is let through: what was stored before a rule existed can still be labelled, and
//! can lose its finalizers. The controller tells about such objects with a condition (`deployment::Deployment::problem`).

mod strategy;
mod template;

use gantry_sdk::admission::{Cause, Request, Rule, Verdict};
use gantry_sdk::api::LabelSelector;
use gantry_sdk::{Admission, Error, Result, Value};
use serde::Deserialize;

use crate::deployment::Deployment;
use crate::replicaset::ReplicaSet;

/// Looks at writes of Deployments and ReplicaSets.
#[derive(Default)]
pub struct Review;

/// All that is looked at. The rest is skipped without being read.
#[derive(Deserialize)]
struct Object {
    #[serde(default)]
    spec: Value,
}

impl Admission for Review {
    fn rules(&self) -> Vec<Rule> {
        vec![Rule::of::<Deployment>().and("scale"), Rule::of::<ReplicaSet>().and("scale")]
    }

    fn review(&mut self, request: &Request) -> Result<Verdict> {
        let Object { spec } = request.object()?;
        if request.before::<Object>()?.is_some_and(|old| old.spec == spec) {
            return Ok(Verdict::allow());
        }
        let causes = match request.kind.kind.as_str() {
            "Deployment" => deployment(&spec)?,
            "ReplicaSet" => replica_set(&spec)?,
            _ => return Err(Error::invalid(format!("{} is not reviewed here", request.kind))),
        };
        Ok(Verdict::invalid(causes))
    }
}

fn deployment(spec: &Value) -> Result<Vec<Cause>> {
    let mut causes = selector_and_template(spec)?;
    strategy::check(spec, &mut causes);
    let seconds = |field: &str| spec.get(field).and_then(Value::as_i64);
    let ready = seconds("minReadySeconds").unwrap_or(0);
    if let Some(progress) = seconds("progressDeadlineSeconds").filter(|progress| *progress <= ready) {
        let detail = "must be greater than minReadySeconds";
        causes.push(Cause::invalid("spec.progressDeadlineSeconds", &progress.into(), detail));
    }
    Ok(causes)
}

fn replica_set(spec: &Value) -> Result<Vec<Cause>> {
    selector_and_template(spec)
}

fn selector_and_template(spec: &Value) -> Result<Vec<Cause>> {
    let mut causes = Vec::new();
    let given = spec.get("selector").unwrap_or(&Value::Null);
    let selector: Option<LabelSelector> = Deserialize::deserialize(given)?;
    let selector = selector.unwrap_or_default();
    if selector.is_empty() {
        causes.push(Cause::invalid("spec.selector", given, "empty selector is invalid for deployment"));
    }
    template::check(spec.get("template").unwrap_or(&Value::Null), &selector, &mut causes);
    Ok(causes)
}

#[cfg(test)]
mod tests;
