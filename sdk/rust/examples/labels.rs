//! An admission policy: every Deployment must say whose it is. Where a namespace has an owner, its Deployments get that
//! label by themselves; without one they are refused.

use gantry_sdk::admission::{Cause, Request, Rule, Verdict};
use gantry_sdk::{Admission, KindRef, ObjectRef, Result, Value, json, merge, objects};

const OWNER: &str = "/metadata/labels/owner";

#[derive(Default)]
pub struct Labels;

impl Admission for Labels {
    fn rules(&self) -> Vec<Rule> {
        let rule = Rule::on(KindRef::new("apps", "Deployment"));
        vec![rule.clone().mutating(), rule]
    }

    fn review(&mut self, request: &Request) -> Result<Verdict> {
        let asked: Value = request.object()?;
        if asked.pointer(OWNER).is_some() {
            return Ok(Verdict::allow());
        }
        if !request.may_change {
            return Ok(Verdict::invalid(vec![Cause::required("metadata.labels.owner", "say whose it is")]));
        }
        let namespace = ObjectRef {
            kind: KindRef::new("", "Namespace"),
            namespace: String::new(),
            name: request.namespace.clone(),
        };
        let found: Option<Value> = objects::get(&namespace)?;
        let Some(owner) = found.as_ref().and_then(|n| n.pointer(OWNER)) else { return Ok(Verdict::allow()) };
        let mut wanted = asked.clone();
        merge::apply(&mut wanted, &json!({"metadata": {"labels": {"owner": owner}}}));
        Ok(Verdict::change(&asked, &wanted))
    }
}

gantry_sdk::plugin!(manifest: "examples/labels.toml", admission: Labels);
