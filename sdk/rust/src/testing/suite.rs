//! What every plugin of a family must do, whatever its policy. Each function panics at the first broken rule. They take
//! the family's trait, so the same rules run natively and over a component behind an adapter.

use std::collections::BTreeSet;

use crate::admission::{Decision, Request};
use crate::api::Time;
use crate::load_balancer::{Backends, Delta as Change, Endpoint, Frontend, Policy, Port, Protocol};
use crate::network::{Attachment, NodeInfo, Operation};
use crate::scheduler::{Delta, MAX_SCORE, Verdict};
use crate::sink::{Batch, Outcome as SinkOutcome};
use crate::{
    Admission, Config, Controller, LoadBalancer, Network, ObjectRef, Scheduler, Sink, controller, load_balancer,
};

/// Controllers: a steady description, and nothing to do for an object that is gone.
pub fn controller<C: Controller>(config: &Config) {
    let mut plugin = C::default();
    plugin.configure(config.clone()).expect("takes its configuration");
    let watches = plugin.watches();
    assert!(!watches.is_empty(), "a controller watches something");
    assert_eq!(watches, plugin.watches(), "the description stays the same");
    for watch in &watches {
        let key = ObjectRef { kind: watch.target.clone(), namespace: "default".into(), name: "gone".into() };
        let outcomes = plugin.reconcile_batch(Time::from_millis(1), std::slice::from_ref(&key));
        assert_eq!(outcomes, [controller::Outcome::Done], "{key} is gone, so there is nothing to do");
    }
    assert!(plugin.reconcile_batch(Time::from_millis(1), &[]).is_empty(), "no keys, no outcomes");
}

/// Admission: a steady description that the host takes; verdicts that do not depend on what else is in the batch or was
/// asked before, change only where that is allowed, and come for any input. `requests` are writes worth asking about.
pub fn admission<A: Admission>(config: &Config, requests: &[Request]) {
    let start = || {
        let mut plugin = A::default();
        plugin.configure(config.clone()).expect("takes its configuration");
        plugin
    };
    let mut plugin = start();
    let rules = plugin.rules();
    assert!(!rules.is_empty(), "a reviewer reviews something");
    assert_eq!(rules, plugin.rules(), "the description stays the same");
    for rule in &rules {
        assert!(!rule.operations.is_empty() && !rule.subresources.is_empty(), "a rule for {} is empty", rule.kind);
        assert!(!rule.mutates || rule.subresources == [""], "only the object itself can be changed ({})", rule.kind);
    }
    assert!(plugin.review_batch(&[]).is_empty(), "no requests, no verdicts");
    let together = plugin.review_batch(requests);
    assert_eq!(together.len(), requests.len(), "one verdict per request");
    assert_eq!(together, plugin.review_batch(requests), "the same question has the same answer");
    for (request, verdict) in requests.iter().zip(&together) {
        let alone = start().review_batch(std::slice::from_ref(request));
        assert_eq!(alone, std::slice::from_ref(verdict), "{request}: neighbours do not matter");
        let judged = Request { may_change: false, ..request.clone() };
        let [verdict] = plugin.review_batch(&[judged]).try_into().expect("one verdict");
        assert!(!matches!(verdict.decision, Decision::Change(_)), "{request}: changed where it was only to be judged");
    }
    for rubbish in ["", "null", "{", "[]", "{\"spec\": 7}", "{\"metadata\": []}"] {
        let odd = |bytes: &Option<Vec<u8>>| bytes.as_ref().map(|_| rubbish.as_bytes().to_vec());
        let odd: Vec<Request> =
            requests.iter().map(|r| Request { old: odd(&r.old), new: odd(&r.new), ..r.clone() }).collect();
        assert_eq!(plugin.review_batch(&odd).len(), odd.len(), "an answer to {rubbish:?} too");
    }
}

/// Schedulers: answers have the right length and range, are the same when asked again, and do not depend on the way by
/// which the tables came to be. `deltas` is a history that ends in a state worth asking about.
pub fn scheduler<S: Scheduler>(config: &Config, deltas: &[Delta]) {
    let at_once = fed::<S>(config, [deltas.to_vec()]);
    let singly = fed::<S>(config, deltas.iter().map(|delta| vec![delta.clone()]));
    let (mut at_once, mut singly) = (at_once, singly);
    let (nodes, classes) = alive(deltas);
    let ids: Vec<u32> = nodes.iter().copied().collect();
    for class in classes {
        let all = at_once.evaluate(class, &[]).expect("evaluates");
        assert_eq!(all.len(), ids.len(), "one verdict per node");
        assert_eq!(all, at_once.evaluate(class, &ids).expect("evaluates"), "no nodes means all, in ascending order");
        assert_eq!(all, at_once.evaluate(class, &[]).expect("evaluates"), "the same question has the same answer");
        for (id, verdict) in ids.iter().zip(&all) {
            assert_eq!(singly.evaluate(class, &[*id]).expect("evaluates"), std::slice::from_ref(verdict));
            match verdict {
                Verdict::Score(score) => assert!(*score <= MAX_SCORE, "a score is at most {MAX_SCORE}"),
                Verdict::Infeasible(code) => assert!(!at_once.reasons(*code).is_empty(), "a code has a text"),
            }
        }
    }
}

fn fed<S: Scheduler>(config: &Config, batches: impl IntoIterator<Item = Vec<Delta>>) -> S {
    let mut plugin = S::default();
    plugin.configure(config.clone()).expect("takes its configuration");
    for batch in batches {
        plugin.sync(batch).expect("takes the changes");
    }
    plugin
}

/// Nodes and classes that are there after a history.
fn alive(deltas: &[Delta]) -> (BTreeSet<u32>, BTreeSet<u32>) {
    let (mut nodes, mut classes) = (BTreeSet::new(), BTreeSet::new());
    for delta in deltas {
        match delta {
            Delta::NodeSet(node) => drop(nodes.insert(node.id)),
            Delta::NodeGone(id) => drop(nodes.remove(id)),
            Delta::ClassSet(class) => drop(classes.insert(class.id)),
            Delta::ClassGone(id) => drop(classes.remove(id)),
            Delta::Assign(_) => {}
        }
    }
    (nodes, classes)
}

/// Networks: an address belongs to one sandbox at a time, over repeats and restarts; letting go is always possible.
pub fn network<N: Network>(config: &Config, node: &NodeInfo) {
    let start = |leases| {
        let mut plugin = N::default();
        plugin.configure(config.clone(), node.clone()).expect("takes its configuration");
        plugin.restore(leases).expect("takes the leases");
        plugin
    };
    let sandbox = |name: &str| Attachment {
        sandbox: name.into(),
        namespace: "default".into(),
        pod: name.into(),
        uid: name.into(),
        ports: Vec::new(),
    };
    let mut plugin = start(Vec::new());
    let (a, b) = (plugin.add(&sandbox("a")).expect("adds a"), plugin.add(&sandbox("b")).expect("adds b"));
    assert!(!a.addresses.is_empty(), "a sandbox gets an address");
    assert!(a.addresses.iter().all(|address| !b.addresses.contains(address)), "no address twice");
    let again = plugin.add(&sandbox("a")).expect("adds a again");
    assert_eq!(again.addresses, a.addresses, "the same sandbox has the same addresses");
    let mut plugin = start([a.leases.clone(), b.leases.clone()].concat());
    let again = plugin.add(&sandbox("a")).expect("adds a after a restart");
    assert_eq!(again.addresses, a.addresses, "addresses survive a restart");
    let c = plugin.add(&sandbox("c")).expect("adds c");
    assert!(c.addresses.iter().all(|x| !a.addresses.contains(x) && !b.addresses.contains(x)), "no address twice");
    plugin.del(&sandbox("never seen")).expect("deletes an unknown sandbox");
    let released = plugin.del(&sandbox("b")).expect("deletes b").released;
    let leased: Vec<String> = b.leases.into_iter().map(|lease| lease.address).collect();
    assert_eq!(released, leased, "what was leased is released");
    let swept = plugin.gc(&["a".to_string()]).expect("collects").released;
    assert_eq!(swept, c.leases.into_iter().map(|l| l.address).collect::<Vec<_>>(), "only what is not alive goes");
}

/// Load balancers: what is the same again is no plan; the cost of one change does not grow with what else there is; the
/// way by which the tables came to be does not matter.
pub fn load_balancer<L: LoadBalancer>(config: &Config, node: &load_balancer::NodeInfo) {
    let start = || {
        let mut plugin = L::default();
        let description = plugin.configure(config.clone(), node.clone()).expect("takes its configuration");
        let class = description.classes.first().cloned().expect("a load balancer serves a class");
        (plugin, class)
    };
    let (mut plugin, class) = start();
    plugin.node().expect("says what the node needs");
    let everything = |count: u8| -> Vec<Change> { (0..count).flat_map(|n| balanced(&class, n, 3)).collect() };
    assert!(!plugin.sync(true, everything(9)).expect("takes everything").is_empty(), "frontends make a plan");
    assert_eq!(plugin.sync(false, Vec::new()).expect("takes nothing"), [], "nothing new is no plan");
    assert_eq!(plugin.sync(false, everything(9)).expect("takes it again"), [], "the same again is no plan");
    let unknown = vec![Change::FrontendGone("default/unknown".into())];
    assert_eq!(plugin.sync(false, unknown).expect("takes an unknown one"), [], "one that is unknown may go");
    let one = |plugin: &mut L| cost(&plugin.sync(false, balanced(&class, 1, 2)).expect("takes a change"));
    let among_nine = one(&mut plugin);
    let (mut large, _) = start();
    large.sync(true, everything(200)).expect("takes everything");
    assert!(among_nine > 0, "a backend less is a plan");
    assert_eq!(one(&mut large), among_nine, "a change costs the same among 200 frontends as among 9");
    // The same end by another way: what a full sync makes of it must be the same text.
    let (mut direct, _) = start();
    let mut end = everything(9);
    end.splice(2..4, balanced(&class, 1, 2));
    let at_once = direct.sync(true, end.clone()).expect("takes everything");
    assert_eq!(plugin.sync(true, end).expect("takes everything again"), at_once, "a full sync forgets what was before");
    let gone = (0..9).map(|n| Change::FrontendGone(format!("default/f{n}"))).collect();
    assert!(!plugin.sync(false, gone).expect("takes them away").is_empty(), "what goes is a plan");
    assert_eq!(plugin.sync(false, Vec::new()).expect("takes nothing"), []);
}

fn cost(plan: &[Operation]) -> usize {
    plan.iter().map(|operation| format!("{operation:?}").len()).sum()
}

/// A frontend with two digits in every number, so that texts about it have the same length, and its backends.
fn balanced(class: &str, number: u8, backends: u8) -> Vec<Change> {
    let id = format!("default/f{number}");
    let port = Port { name: "http".into(), protocol: Protocol::Tcp, port: 80, node_port: 30_000 + u16::from(number) };
    let frontend = Frontend {
        id: id.clone(),
        class: class.into(),
        addresses: vec![format!("10.96.1.{number}")],
        external_addresses: Vec::new(),
        ports: vec![port],
        affinity_seconds: 0,
        internal: Policy::Cluster,
        external: Policy::Cluster,
    };
    let endpoints = (0..backends).map(|n| Endpoint {
        addresses: vec![format!("10.64.{number}.{n}")],
        port: 8080,
        ready: true,
        serving: true,
        terminating: false,
        local: true,
    });
    let backends = Backends { frontend: id, port: "http".into(), endpoints: endpoints.collect() };
    vec![Change::FrontendSet(frontend), Change::BackendsSet(backends)]
}

/// Sinks: a batch without records is taken.
pub fn sink<S: Sink>(config: &Config) {
    let mut plugin = S::default();
    plugin.configure(config.clone()).expect("takes its configuration");
    let nothing = Batch { origins: Vec::new(), records: Vec::new() };
    assert_eq!(plugin.write(nothing), SinkOutcome::Accepted, "an empty batch is taken");
}
