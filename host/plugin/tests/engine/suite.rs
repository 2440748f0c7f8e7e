//! The SDK's contract suite of the family admission over real components: what plugins' own tests run natively runs here
//! through the boundary, over the stock plugin and over the SDK's example.

use std::cell::RefCell;
use std::sync::Arc;

use gantry_plugin::family::admission as host;
use gantry_plugin::{Admission, Loaded};
use gantry_sdk::admission::{Cause, Decision, Denial, Operation, Reason, Request, Rule, Verdict, WhenDown};
use gantry_sdk::{Config, KindRef, Value, json, testing};
use tokio::runtime::Runtime;

use crate::support::{Bench, plugin};

/// The component under test, for a type that is made out of nothing.
struct Tested {
    runtime: Runtime,
    admission: Arc<dyn Admission>,
}

thread_local! {
    static TESTED: RefCell<Option<Tested>> = const { RefCell::new(None) };
}

fn tested<R>(call: impl FnOnce(&Tested) -> R) -> R {
    TESTED.with(|tested| call(tested.borrow().as_ref().unwrap()))
}

/// A component behind the trait that its author implemented.
#[derive(Default)]
struct Component;

impl gantry_sdk::Admission for Component {
    fn rules(&self) -> Vec<Rule> {
        let described = tested(|t| t.runtime.block_on(t.admission.describe()));
        described.unwrap().unwrap().rules.into_iter().map(rule).collect()
    }

    fn review(&mut self, request: &Request) -> gantry_sdk::Result<Verdict> {
        Ok(self.review_batch(std::slice::from_ref(request)).remove(0))
    }

    fn review_batch(&mut self, requests: &[Request]) -> Vec<Verdict> {
        let asked: Vec<host::Request> = requests.iter().map(request).collect();
        let verdicts = tested(|t| t.runtime.block_on(t.admission.review(&asked))).unwrap();
        verdicts.into_iter().map(verdict).collect()
    }
}

fn kind_of(kind: host_kind::KindRef) -> KindRef {
    KindRef::new(kind.group, kind.kind)
}

/// The engine's own name for a kind, beside the SDK's.
mod host_kind {
    pub use gantry_plugin::family::KindRef;
}

fn rule(rule: host::Rule) -> Rule {
    let operation = |operation| match operation {
        host::Operation::Create => Operation::Create,
        host::Operation::Update => Operation::Update,
        host::Operation::Delete => Operation::Delete,
        host::Operation::Other(name) => Operation::Other(name),
    };
    Rule {
        kind: kind_of(rule.kind),
        operations: rule.operations.into_iter().map(operation).collect(),
        subresources: rule.subresources,
        mutates: rule.mutates,
        when_down: match rule.when_down {
            host::WhenDown::Refuse => WhenDown::Refuse,
            host::WhenDown::Allow => WhenDown::Allow,
        },
    }
}

fn request(request: &Request) -> host::Request {
    let request = request.clone();
    host::Request {
        operation: match request.operation {
            Operation::Create => host::Operation::Create,
            Operation::Update => host::Operation::Update,
            Operation::Delete => host::Operation::Delete,
            Operation::Other(name) => host::Operation::Other(name),
        },
        kind: host_kind::KindRef { group: request.kind.group, kind: request.kind.kind },
        version: request.version,
        subresource: request.subresource,
        namespace: request.namespace,
        name: request.name,
        user: host::User { name: request.user.name, groups: request.user.groups },
        dry_run: request.dry_run,
        may_change: request.may_change,
        old: request.old,
        new: request.new,
    }
}

fn verdict(verdict: host::Verdict) -> Verdict {
    let decision = match verdict.decision {
        host::Decision::Allow => Decision::Allow,
        host::Decision::Change(patch) => Decision::Change(patch),
        host::Decision::Deny(denial) => Decision::Deny(self::denial(denial)),
        host::Decision::Failed(error) => Decision::Failed(gantry_sdk::Error::internal(error.message)),
    };
    Verdict { decision, warnings: verdict.warnings }
}

fn denial(denial: host::Denial) -> Denial {
    let cause = |c: host::Cause| Cause { reason: c.reason, message: c.message, field: c.field };
    Denial {
        reason: match denial.reason {
            host::Reason::Invalid => Reason::Invalid,
            host::Reason::Forbidden => Reason::Forbidden,
            host::Reason::Conflict => Reason::Conflict,
            host::Reason::TooManyRequests => Reason::TooManyRequests,
            host::Reason::Other(name) => Reason::Other(name),
        },
        message: denial.message,
        causes: denial.causes.into_iter().map(cause).collect(),
    }
}

/// Runs the suite over a component; `ask` may ask more.
fn run(package: &str, name: &str, requests: &[Request], ask: impl FnOnce(&mut Component)) {
    let runtime = Runtime::new().unwrap();
    let mut bench = Bench::new();
    bench.add(name, &plugin(package, name), "grants = \"asked\"");
    let loaded: Loaded = runtime.block_on(bench.only());
    let admission = loaded.admission().unwrap();
    TESTED.set(Some(Tested { runtime, admission }));
    testing::suite::admission::<Component>(&Config::from(json!({})), requests);
    ask(&mut Component);
    assert_eq!(loaded.health().faults, 0);
    TESTED.set(None);
}

fn deployment(selected: &str, labels: &Value) -> Value {
    json!({
        "apiVersion": "apps/v1", "kind": "Deployment",
        "metadata": {"namespace": "a", "name": "web", "labels": labels},
        "spec": {
            "selector": {"matchLabels": {"app": selected}},
            "template": {"metadata": {"labels": {"app": "web"}}, "spec": {"containers": [{"name": "c", "image": "i"}]}},
        },
    })
}

#[test]
fn the_stock_plugin_keeps_the_rules_of_its_family() {
    let (good, bad) = (deployment("web", &json!({})), deployment("db", &json!({})));
    let requests = [Request::create(&good), Request::create(&bad), Request::update(&good, &bad)];
    run("controller-workloads", "controller-workloads", &requests, |component| {
        let verdicts = gantry_sdk::Admission::review_batch(component, &requests);
        let [Decision::Allow, Decision::Deny(created), Decision::Deny(updated)] =
            &verdicts.iter().map(|verdict| verdict.decision.clone()).collect::<Vec<_>>()[..]
        else {
            panic!("{verdicts:?}")
        };
        assert_eq!(created, updated);
        assert_eq!(created.causes[0].field, "spec.template.metadata.labels");
    });
}

#[test]
fn the_example_of_the_sdk_keeps_the_rules_of_its_family() {
    let bare = deployment("web", &json!({}));
    let labelled = deployment("web", &json!({"owner": "ann"}));
    let requests = [Request::create(&bare), Request::create(&bare).changeable(), Request::update(&bare, &labelled)];
    run("gantry-sdk", "admission-labels", &requests, |_| {});
}
