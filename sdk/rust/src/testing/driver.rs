use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde_json::Value;

use super::Host;
use super::state::meta;
use crate::api::Time;
use crate::controller::{Mapping, Outcome, Watch};
use crate::{Config, Controller, Error, ObjectRef, RetryHint};

/// The host's reconcile loop in small: maps changes to keys, calls the controller, keeps its timers.
pub struct Driver<C> {
    /// The controller.
    pub controller: C,
    host: Host,
    watches: Vec<Watch>,
    seen: usize,
    queue: BTreeSet<ObjectRef>,
    timers: BTreeMap<ObjectRef, Time>,
    errors: Vec<(ObjectRef, Error)>,
}

impl<C: Controller> Driver<C> {
    /// Starts a controller on a host, with the host's configuration. Everything that is there counts as changed.
    pub fn new(host: &Host) -> Self {
        let mut controller = C::default();
        controller.configure(Config::get()).expect("the controller takes its configuration");
        let watches = controller.watches();
        let (queue, timers) = (BTreeSet::new(), BTreeMap::new());
        Driver { controller, host: host.clone(), watches, seen: 0, queue, timers, errors: Vec::new() }
    }

    /// A new instance, as after a trap or a restart: the controller's memory is gone and every object is seen anew.
    #[must_use]
    pub fn restart(self) -> Self {
        Driver::new(&self.host)
    }

    /// One round: takes in what changed, then one pass over every key that is due. Gives the keys.
    pub fn round(&mut self) -> Vec<ObjectRef> {
        let (changes, seen) = self.host.changes(self.seen);
        self.seen = seen;
        for (target, object) in changes {
            self.wake(&target, &object);
        }
        let now = self.host.now();
        let due: Vec<ObjectRef> =
            self.timers.iter().filter(|(_, at)| **at <= now).map(|(key, _)| key.clone()).collect();
        self.queue.extend(due);
        let keys: Vec<ObjectRef> = std::mem::take(&mut self.queue).into_iter().collect();
        if keys.is_empty() {
            return keys;
        }
        let outcomes = self.controller.reconcile_batch(now, &keys);
        assert_eq!(outcomes.len(), keys.len(), "one outcome per key");
        for (key, outcome) in keys.iter().zip(outcomes) {
            self.settle_key(key, outcome, now);
        }
        keys
    }

    /// Rounds until nothing is left to do at this moment. Gives their number. Panics when it does not come to rest.
    pub fn settle(&mut self) -> usize {
        for rounds in 0..1_000 {
            if self.round().is_empty() {
                return rounds;
            }
        }
        panic!("the controller does not come to rest: it answers its own writes with writes");
    }

    /// Moves the clock on, and settles.
    pub fn advance(&mut self, by: Duration) -> usize {
        self.host.advance(by);
        self.settle()
    }

    /// When a key is looked at again.
    pub fn timer(&self, key: &ObjectRef) -> Option<Time> {
        self.timers.get(key).copied()
    }

    /// Passes that failed since the last call.
    pub fn take_errors(&mut self) -> Vec<(ObjectRef, Error)> {
        std::mem::take(&mut self.errors)
    }

    fn settle_key(&mut self, key: &ObjectRef, outcome: Outcome, now: Time) {
        let again = match outcome {
            Outcome::Done => None,
            Outcome::RequeueAfterMs(ms) => Some(ms),
            Outcome::Failed(error) => {
                let again = match error.retry {
                    RetryHint::Never => None,
                    RetryHint::Backoff => Some(1_000),
                    RetryHint::AfterMs(ms) => Some(ms),
                };
                self.errors.push((key.clone(), error));
                again
            }
        };
        self.timers.remove(key);
        if let Some(ms) = again {
            // At least a millisecond: `settle` must not run for ever at one moment.
            self.timers.insert(key.clone(), now.after(Duration::from_millis(ms.max(1))));
        }
    }

    /// What `map` is shown of an object.
    fn pruned(&self, object: &Value, watch: &Watch) -> Value {
        let asks = |other: &&Watch| other.kind == watch.kind && matches!(other.mapping, Mapping::Orphan | Mapping::Map);
        let asking = || self.watches.iter().filter(asks);
        if asking().any(|watch| watch.fields.is_empty()) {
            return object.clone();
        }
        let mut pruned = Value::Object(serde_json::Map::new());
        for field in asking().flat_map(|watch| &watch.fields) {
            let steps: Vec<&str> = field.split('/').skip(1).collect();
            keep(&mut pruned, object, &steps);
        }
        pruned
    }

    fn wake(&mut self, target: &ObjectRef, object: &Value) {
        let meta = meta(object);
        for watch in self.watches.clone().iter().filter(|watch| watch.kind == target.kind) {
            match (watch.mapping, meta.controller()) {
                (Mapping::Itself, _) => self.queue.extend([target.clone()]),
                (Mapping::Owner, Some(owner)) => {
                    let group = owner.api_version.split_once('/').map_or("", |(group, _)| group);
                    if group == watch.target.group && owner.kind == watch.target.kind {
                        let kind = watch.target.clone();
                        let namespace = target.namespace.clone();
                        self.queue.extend([ObjectRef { kind, namespace, name: owner.name.clone() }]);
                    }
                }
                (Mapping::Orphan, None) | (Mapping::Map, _) => {
                    let seen = self.pruned(object, watch);
                    let keys = self.controller.map(&target.kind, seen.to_string().as_bytes());
                    self.queue.extend(keys.expect("the controller maps what the host shows it"));
                }
                (Mapping::Owner, None) | (Mapping::Orphan, Some(_)) => {}
            }
        }
    }
}

/// Copies what the steps lead to, and the way there; below an array everything.
fn keep(kept: &mut Value, object: &Value, steps: &[&str]) {
    match (steps.split_first(), object) {
        (Some((step, rest)), Value::Object(members)) => {
            if !kept.is_object() {
                *kept = Value::Object(serde_json::Map::new());
            }
            let name = step.replace("~1", "/").replace("~0", "~");
            if let Some(member) = members.get(&name) {
                keep(&mut kept[&name], member, rest);
            }
        }
        (_, object) => *kept = object.clone(),
    }
}
