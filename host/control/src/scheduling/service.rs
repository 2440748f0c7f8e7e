//! The loop itself: changes in, placements out. One task owns all state, so that nothing is ever decided on two views.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use gantry_model::status::Reason;
use gantry_model::{Key, Record, Status};
use gantry_plugin::family::scheduler::{Assignment, Class, Delta};
use gantry_store::Event;

use super::Options;
use super::binder::{Binder, Bound};
use super::class::{ClassId, Classes};
use super::conditions::Conditions;
use super::explain::Explainer;
use super::held::Held;
use super::node::{NodeId, Nodes};
use super::pods::{Changed, Place, Pods};
use super::policies::Policies;
use super::queue::Queue;
use super::sift::Refused;
use super::tally::Tally;
use super::verdicts::Verdicts;
use crate::backoff::Backoff;
use crate::follow::{Follower, Seen};

/// Pods that fitted nowhere are tried again after this even if nothing seems to have changed.
const SWEEP: Duration = Duration::from_secs(60);

pub(super) async fn run(options: Options) {
    let kinds = options.objects.kinds();
    let (Some(pod), Some(node)) = (kinds.by_kind("", "Pod"), kinds.by_kind("", "Node")) else { return };
    let store = options.objects.store().clone();
    let mut nodes = Follower::new(store.clone(), node.resource());
    let mut pods = Follower::new(store, pod.resource());
    let mut scheduler = Service {
        explainer: Explainer {
            objects: options.objects.clone(),
            recorder: options.recorder,
            kind: pod.clone(),
            scheduler: options.scheduler_name.clone(),
        },
        conditions: Conditions::new(options.objects.clone(), pod),
        binder: Binder::new(options.objects, options.concurrent_binds),
        policies: Policies::new(options.policies),
        name: options.scheduler_name,
        nodes: Nodes::default(),
        pods: Pods::default(),
        classes: Classes::default(),
        verdicts: Verdicts::default(),
        tally: Tally::default(),
        queue: Queue::default(),
        held: Held::default(),
        refused: Refused::default(),
        reasons: HashMap::new(),
        deltas: Vec::new(),
        freed: false,
        stale: true,
        failures: 0,
        quiet: None,
        unwritten: 0,
        rest: None,
    };
    // Nodes first: pods that are on nodes count there.
    scheduler.see_nodes(nodes.next().await);
    scheduler.see_pods(pods.next().await);
    let mut sweep = tokio::time::interval(SWEEP);
    sweep.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        let wait = scheduler.turn().await;
        let retry = async {
            match wait {
                Some(Duration::ZERO) => tokio::task::yield_now().await,
                Some(wait) => tokio::time::sleep(wait).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            seen = nodes.next() => scheduler.see_nodes(seen),
            seen = pods.next() => scheduler.see_pods(seen),
            bound = scheduler.binder.next() => scheduler.bound(bound),
            () = scheduler.conditions.next() => {}
            _ = sweep.tick() => scheduler.sweep(),
            () = retry => {}
        }
    }
}

pub(super) struct Service {
    pub(super) explainer: Explainer,
    pub(super) conditions: Conditions,
    pub(super) binder: Binder,
    pub(super) policies: Policies,
    name: String,
    pub(super) nodes: Nodes,
    pub(super) pods: Pods,
    pub(super) classes: Classes,
    pub(super) verdicts: Verdicts,
    pub(super) tally: Tally,
    pub(super) queue: Queue,
    /// Pods whose binding was refused.
    pub(super) held: Held,
    /// Classes with which a policy can't do.
    pub(super) refused: Refused,
    /// What codes of policies mean, as far as they were asked.
    pub(super) reasons: HashMap<(usize, u16), Vec<String>>,
    /// What policies have not heard yet.
    pub(super) deltas: Vec<Delta>,
    /// Something happened that may make room for pods that fitted nowhere.
    pub(super) freed: bool,
    /// Policies know nothing and must be told everything.
    pub(super) stale: bool,
    /// Turns in a row in which a policy gave no answer.
    pub(super) failures: u32,
    /// No policy is called before this, whatever happens: one gave no answer.
    pub(super) quiet: Option<Instant>,
    /// Bindings in a row that the store did not take.
    unwritten: u32,
    /// No binding before this, since the store is in trouble.
    pub(super) rest: Option<Instant>,
}

impl Service {
    /// What seems not to have changed is looked at again.
    fn sweep(&mut self) {
        self.freed = true;
    }

    fn see_nodes(&mut self, seen: Seen) {
        match seen {
            Seen::All(records) => {
                let there: HashSet<&str> = records.iter().map(|record| record.meta.name.as_str()).collect();
                let gone = self.nodes.names().into_iter().filter(|name| !there.contains(name.as_str()));
                gone.for_each(|name| self.node_gone(&name));
                records.iter().for_each(|record| self.node_set(record));
            }
            Seen::Changes(events) => {
                for event in events {
                    match event.deleted {
                        true => self.node_gone(&event.record.meta.name),
                        false => self.node_set(&event.record),
                    }
                }
            }
        }
    }

    fn node_set(&mut self, record: &Record) {
        let name = &record.meta.name;
        let known = self.nodes.id(name);
        let before: Vec<Option<String>> = known.map(|id| self.domains_of(id)).unwrap_or_default();
        let Some(node) = self.nodes.set(record) else { return };
        let id = node.id;
        self.deltas.push(Delta::NodeSet(node));
        self.verdicts.touch(id);
        self.freed = true;
        if known.is_none() {
            // Pods may have been seen on it before it was.
            let known = self.tally.on(name).filter(|(class, _)| !self.refused.untold(*class));
            self.deltas.extend(known.map(|(class, count)| assign(id, class, count)));
        }
        if before != self.domains_of(id) {
            self.touch_peers(&before);
        }
    }

    fn node_gone(&mut self, name: &str) {
        let Some(id) = self.nodes.id(name) else { return };
        let before = self.domains_of(id);
        self.nodes.remove(name);
        self.deltas.push(Delta::NodeGone(id));
        self.verdicts.touch(id);
        self.touch_peers(&before);
        self.freed = true;
        // A binding under way to it may still come to pass; then the pod is on a node that is gone, and the node loop
        // removes it.
    }

    /// The node's values of the labels that make domains.
    fn domains_of(&self, id: NodeId) -> Vec<Option<String>> {
        self.verdicts.domains().iter().map(|key| self.nodes.label(id, key).map(str::to_owned)).collect()
    }

    /// A node left these domains with its pods. One node of each stands for all that are left in it.
    fn touch_peers(&mut self, domains: &[Option<String>]) {
        let peer = |(key, value): (&String, &Option<String>)| {
            let value = value.as_deref()?;
            self.nodes.all().map(|node| node.id).find(|id| self.nodes.label(*id, key) == Some(value))
        };
        let peers: Vec<NodeId> = self.verdicts.domains().iter().zip(domains).filter_map(peer).collect();
        peers.into_iter().for_each(|peer| self.verdicts.touch(peer));
    }

    fn see_pods(&mut self, seen: Seen) {
        match seen {
            Seen::All(records) => {
                let known: HashSet<&Key> = records.iter().map(|r| &r.key).collect();
                let gone: Vec<Key> = self.pods.keys().into_iter().filter(|key| !known.contains(key)).collect();
                gone.iter().for_each(|key| self.pod_gone(key));
                records.into_iter().for_each(|record| self.pod_set(record));
            }
            Seen::Changes(events) => events.iter().for_each(|event| self.pod_changed(event)),
        }
    }

    fn pod_changed(&mut self, event: &Event) {
        let key = &event.record.key;
        match event.deleted {
            // What is known may be the next pod of this name already.
            true if self.pods.get(key).is_some_and(|pod| pod.record.revision > event.revision) => {}
            true => self.pod_gone(key),
            false => self.pod_set(event.record.clone()),
        }
    }

    fn pod_set(&mut self, record: Arc<Record>) {
        let key = record.key.clone();
        let Some(changed) = self.pods.set(record, &mut self.classes, &self.name) else { return };
        self.joined(&changed);
        let Some(pod) = self.pods.get(&key) else { return };
        let (class, place, priority) = (pod.class, pod.place.clone(), pod.priority);
        let before = changed.before.as_ref();
        if before.is_none_or(|(was, at)| *was != class || at.node() != place.node()) {
            self.uncount(before);
            self.count(class, &place, 1);
        }
        if place != Place::Wanting {
            before.into_iter().for_each(|(was, _)| self.queue.forget(*was, &key));
        } else if before.is_none_or(|(was, at)| *was != class || *at != Place::Wanting) {
            before.into_iter().for_each(|(was, _)| self.queue.unpark(*was, &key));
            self.queue.push(key.clone(), priority);
        }
        self.left(&changed);
        self.pass_on(&changed, class, &key);
    }

    fn pod_gone(&mut self, key: &Key) {
        let Some(changed) = self.pods.remove(key, &mut self.classes) else { return };
        self.uncount(changed.before.as_ref());
        changed.before.iter().for_each(|(class, _)| self.queue.forget(*class, key));
        self.left(&changed);
        self.freed |= changed.before.is_some_and(|(was, at)| at == Place::Wanting && self.queue.has_parked(was));
    }

    /// Pods that fitted nowhere are woken one after the other. One that drops out must not break the chain.
    fn pass_on(&mut self, changed: &Changed, class: ClassId, key: &Key) {
        let wants = self.pods.get(key).is_some_and(|pod| pod.place == Place::Wanting);
        if let Some((was, Place::Wanting)) = changed.before
            && (was != class || !wants)
        {
            self.freed |= self.queue.has_parked(was);
        }
    }

    fn joined(&mut self, changed: &Changed) {
        if let Some(id) = changed.joined
            && let Some(spec) = self.classes.spec(id)
        {
            self.deltas.push(Delta::ClassSet(Class { id, spec: spec.to_vec() }));
        }
    }

    fn left(&mut self, changed: &Changed) {
        if let Some((class, true)) = changed.left {
            if !self.refused.forget(class) {
                self.deltas.push(Delta::ClassGone(class));
            }
            self.verdicts.forget(class);
        }
    }

    pub(super) fn count(&mut self, class: ClassId, place: &Place, count: i32) {
        let Some(name) = place.node() else { return };
        self.tally.add(name, class, count);
        if let Some(node) = self.nodes.id(name) {
            if !self.refused.untold(class) {
                self.deltas.push(assign(node, class, count));
            }
            self.verdicts.touch(node);
            self.freed |= count < 0;
        }
    }

    fn uncount(&mut self, before: Option<&(ClassId, Place)>) {
        if let Some((class, place)) = before {
            self.count(*class, place, -1);
        }
    }

    fn bound(&mut self, ended: Vec<Bound>) {
        for Bound { key, uid, attempt, outcome } in ended {
            match outcome {
                Ok(record) => {
                    self.unwritten = 0;
                    metrics::counter!("gantry_scheduler_pods_total", "result" => "placed").increment(1);
                    self.explainer.placed(&record, record.field("spec.nodeName"));
                    // The watch will say so too, and may have said already that the pod is gone again.
                    if self.pods.get(&key).is_some_and(|pod| pod.record.meta.uid == uid) {
                        self.pod_set(record);
                    }
                }
                Err(error) => self.unbound(&key, &uid, attempt, &error),
            }
        }
    }

    fn unbound(&mut self, key: &Key, uid: &str, attempt: u64, error: &Status) {
        if matches!(error.reason, Reason::NotFound | Reason::Conflict) {
            // Somebody else was faster: part of working side by side.
            tracing::debug!(pod = %key, %error, "a binding failed");
            return self.unassume(key, uid, attempt, None);
        }
        tracing::warn!(pod = %key, %error, "a binding failed");
        if let Some(pod) = self.pods.get(key).filter(|pod| pod.record.meta.uid == uid) {
            self.explainer.refused(&pod.record, &format!("binding rejected: {error}"));
        }
        if matches!(error.reason, Reason::Invalid | Reason::Forbidden | Reason::BadRequest) {
            // About this pod: others go on.
            let wait = Backoff::KEYS.after(u32::try_from(attempt).unwrap_or(u32::MAX));
            return self.unassume(key, uid, attempt, Some(Instant::now() + wait));
        }
        self.unwritten += 1;
        self.rest = Some(Instant::now() + Backoff::LOOPS.after(self.unwritten));
        self.unassume(key, uid, attempt, None);
    }

    /// A binding failed: the pod takes nothing. What it wants now is read anew, since the watch may be behind; a pod that
    /// is gone wants nothing. It may have to wait for its next try.
    fn unassume(&mut self, key: &Key, uid: &str, attempt: u64, until: Option<Instant>) {
        let now = self.explainer.objects.store().get(key);
        let Some(pod) = self.pods.get_mut(key) else { return };
        if pod.record.meta.uid != uid || pod.attempt != attempt || !matches!(pod.place, Place::Assumed(_)) {
            return;
        }
        let (class, priority) = (pod.class, pod.priority);
        let before = std::mem::replace(&mut pod.place, Place::Wanting);
        self.count(class, &before, -1);
        if let Some(record) = now {
            match until {
                Some(until) => self.held.hold(key.clone(), until),
                None => self.queue.push(key.clone(), priority),
            }
            self.pod_set(record);
        }
    }
}

pub(super) fn assign(node: NodeId, class: ClassId, count: i32) -> Delta {
    Delta::Assign(Assignment { node, class, count })
}
