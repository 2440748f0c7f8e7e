//! The loop itself: changes in, placements out. One task owns all state, so that nothing is ever decided on two views.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::{Duration, Instant};

use gantry_model::status::Reason;
use gantry_model::{Key, Record};
use gantry_plugin::family::scheduler::{Assignment, Class, Delta};
use gantry_store::Event;

use super::Options;
use super::binder::{Binder, Bound};
use super::class::{ClassId, Classes};
use super::explain::{self, Explainer};
use super::node::{NodeId, Nodes};
use super::pods::{Changed, Place, Pod, Pods};
use super::policies::{Policies, Trouble};
use super::queue::Queue;
use super::verdicts::{Stale, Verdicts};
use crate::backoff::Backoff;
use crate::follow::{Follower, Seen};

/// Placements between two looks at what has changed.
const TURN: usize = 256;
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
            kind: pod,
            scheduler: options.scheduler_name.clone(),
        },
        binder: Binder::new(options.objects, options.concurrent_binds),
        policies: Policies::new(options.policies),
        name: options.scheduler_name,
        nodes: Nodes::default(),
        pods: Pods::default(),
        classes: Classes::default(),
        verdicts: Verdicts::default(),
        queue: Queue::default(),
        deltas: Vec::new(),
        freed: false,
        stale: true,
        failures: 0,
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
                Some(wait) => tokio::time::sleep(wait).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            seen = nodes.next() => scheduler.see_nodes(seen),
            seen = pods.next() => scheduler.see_pods(seen),
            bound = scheduler.binder.next() => scheduler.bound(bound),
            _ = sweep.tick() => scheduler.freed = true,
            () = retry => {}
        }
    }
}

struct Service {
    explainer: Explainer,
    binder: Binder,
    policies: Policies,
    name: String,
    nodes: Nodes,
    pods: Pods,
    classes: Classes,
    verdicts: Verdicts,
    queue: Queue,
    /// What policies have not heard yet.
    deltas: Vec<Delta>,
    /// Something happened that may make room for pods that fitted nowhere.
    freed: bool,
    /// Policies know nothing and must be told everything.
    stale: bool,
    failures: u32,
}

impl Service {
    fn see_nodes(&mut self, seen: Seen) {
        match seen {
            Seen::All(records) => {
                let gone = |name: &String| !records.iter().any(|r| r.meta.name == *name);
                self.nodes.names().into_iter().filter(gone).for_each(|name| self.node_gone(&name));
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
        let new = self.nodes.id(&record.meta.name).is_none();
        let Some(node) = self.nodes.set(record) else { return };
        let id = node.id;
        self.deltas.push(Delta::NodeSet(node));
        self.verdicts.touch(id);
        self.freed = true;
        if new {
            // Pods may have been seen on it before it was.
            let name = &record.meta.name;
            let here = self.pods.iter().filter(|(_, pod)| pod.place == Place::On(name.clone()));
            let mut counts: HashMap<ClassId, i32> = HashMap::new();
            here.for_each(|(_, pod)| *counts.entry(pod.class).or_default() += 1);
            self.deltas.extend(counts.into_iter().map(|(class, count)| assign(id, class, count)));
        }
    }

    fn node_gone(&mut self, name: &str) {
        if let Some(id) = self.nodes.remove(name) {
            self.deltas.push(Delta::NodeGone(id));
            self.verdicts.touch(id);
            // A binding under way to it may still come to pass; then the pod is on a node that is gone, and the node
            // loop removes it.
        }
    }

    fn see_pods(&mut self, seen: Seen) {
        match seen {
            Seen::All(records) => {
                let known: std::collections::HashSet<&Key> = records.iter().map(|r| &r.key).collect();
                let gone: Vec<Key> = self.pods.keys().into_iter().filter(|key| !known.contains(key)).collect();
                gone.iter().for_each(|key| self.pod_gone(key));
                records.into_iter().for_each(|record| self.pod_set(record));
            }
            Seen::Changes(events) => events.iter().for_each(|event| self.pod_changed(event)),
        }
    }

    fn pod_changed(&mut self, event: &Event) {
        match event.deleted {
            true => self.pod_gone(&event.record.key),
            false => self.pod_set(event.record.clone()),
        }
    }

    fn pod_set(&mut self, record: Arc<Record>) {
        let key = record.key.clone();
        let changed = self.pods.set(record, &mut self.classes, &self.name);
        self.joined(&changed);
        let Some(pod) = self.pods.get(&key) else { return };
        let (class, place, priority) = (pod.class, pod.place.clone(), pod.priority);
        let before = changed.before.as_ref();
        if before.is_none_or(|(was, at)| *was != class || self.counted_at(at) != self.counted_at(&place)) {
            self.uncount(before);
            self.count(class, &place, 1);
        }
        self.left(&key, &changed);
        let waited = before.is_some_and(|(was, at)| *was == class && *at == Place::Wanting);
        match (place, waited) {
            (Place::Wanting, false) => self.queue.push(key, priority),
            (Place::Wanting, true) => {}
            _ => self.queue.unpark(class, &key),
        }
    }

    fn pod_gone(&mut self, key: &Key) {
        let Some(changed) = self.pods.remove(key, &mut self.classes) else { return };
        self.uncount(changed.before.as_ref());
        self.left(key, &changed);
    }

    fn joined(&mut self, changed: &Changed) {
        if let Some(id) = changed.joined
            && let Some(spec) = self.classes.spec(id)
        {
            self.deltas.push(Delta::ClassSet(Class { id, spec: spec.to_vec() }));
        }
    }

    fn left(&mut self, key: &Key, changed: &Changed) {
        if let Some((class, gone)) = changed.left {
            self.queue.unpark(class, key);
            // The number may stand for a new class by now, made in the same change.
            if gone && changed.joined != Some(class) {
                self.deltas.push(Delta::ClassGone(class));
                self.verdicts.forget(class);
            }
        }
    }

    fn counted_at(&self, place: &Place) -> Option<NodeId> {
        match place {
            Place::Assumed(node) => Some(*node),
            Place::On(name) => self.nodes.id(name),
            Place::Wanting | Place::Nowhere => None,
        }
    }

    fn count(&mut self, class: ClassId, place: &Place, count: i32) {
        if let Some(node) = self.counted_at(place) {
            self.deltas.push(assign(node, class, count));
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
        for Bound { key, uid, attempt, node, outcome } in ended {
            let name = self.nodes.name(node).unwrap_or_default().to_owned();
            match outcome {
                Ok(record) => {
                    metrics::counter!("gantry_scheduler_pods_total", "result" => "placed").increment(1);
                    self.explainer.placed(&record, &name);
                    // The store says so by now; its event would say the same.
                    self.pod_set(record);
                }
                Err(error) => {
                    tracing::debug!(pod = %key, %error, "a binding failed");
                    self.unassume(&key, &uid, attempt, error.reason != Reason::NotFound);
                }
            }
        }
    }

    fn unassume(&mut self, key: &Key, uid: &str, attempt: u64, again: bool) {
        let Some(pod) = self.pods.get_mut(key) else { return };
        if pod.record.meta.uid != uid || pod.attempt != attempt || !matches!(pod.place, Place::Assumed(_)) {
            return;
        }
        let (class, priority) = (pod.class, pod.priority);
        let before = std::mem::replace(&mut pod.place, Place::Wanting);
        self.count(class, &before, -1);
        if again {
            self.queue.push(key.clone(), priority);
        }
    }

    /// Tells policies what is new and places pods. Answers how long to wait before trying again, if policies are in
    /// trouble or there is more to do.
    async fn turn(&mut self) -> Option<Duration> {
        if self.policies.is_empty() {
            self.deltas.clear();
            self.refuse_all("no scheduler plugin is loaded: pods stay pending until the bundle names one");
            return None;
        }
        let begun = Instant::now();
        match self.place().await {
            Ok(()) => {
                self.failures = 0;
                let (ready, parked) = self.queue.depth();
                metrics::gauge!("gantry_scheduler_pending_pods", "queue" => "ready").set(ready as f64);
                metrics::gauge!("gantry_scheduler_pending_pods", "queue" => "unschedulable").set(parked as f64);
                metrics::histogram!("gantry_scheduler_turn_seconds").record(begun.elapsed().as_secs_f64());
                (self.queue.has_ready() && self.binder.has_room()).then_some(Duration::ZERO)
            }
            Err(Trouble { policy, message }) => {
                tracing::warn!(policy, message, "a placement policy gives no answer");
                self.stale = true;
                self.failures += 1;
                if self.failures > 1 {
                    self.refuse_all(&format!("scheduler plugin {policy} gives no answer: {message}"));
                }
                Some(Backoff::LOOPS.after(self.failures))
            }
        }
    }

    async fn place(&mut self) -> Result<(), Trouble> {
        self.tell().await?;
        if std::mem::take(&mut self.freed) {
            self.wake().await?;
        }
        for _ in 0..TURN {
            if !self.binder.has_room() {
                break;
            }
            let Some(key) = self.queue.pop() else { break };
            if let Err(trouble) = self.place_one(&key).await {
                let priority = self.pods.get(&key).map_or(0, |pod| pod.priority);
                self.queue.push(key, priority);
                return Err(trouble);
            }
        }
        Ok(())
    }

    /// Brings policies up to date.
    async fn tell(&mut self) -> Result<(), Trouble> {
        if self.stale {
            self.deltas.clear();
            let everything = self.everything();
            let dependencies = self.policies.reset(&everything).await?;
            tracing::info!(policies = self.policies.names(), nodes = self.nodes.len(), "placement policies are ready");
            self.verdicts.reset(&dependencies);
            self.stale = false;
            self.freed = true;
            return Ok(());
        }
        if !self.deltas.is_empty() {
            self.policies.sync(&self.deltas).await?;
            self.deltas.clear();
        }
        Ok(())
    }

    fn everything(&self) -> Vec<Delta> {
        let mut all: Vec<Delta> = self.nodes.all().cloned().map(Delta::NodeSet).collect();
        all.extend(self.classes.all().map(|(id, spec)| Delta::ClassSet(Class { id, spec: spec.to_vec() })));
        let mut counts: BTreeMap<(NodeId, ClassId), i32> = BTreeMap::new();
        for (_, pod) in self.pods.iter() {
            if let Some(node) = self.counted_at(&pod.place) {
                *counts.entry((node, pod.class)).or_default() += 1;
            }
        }
        all.extend(counts.into_iter().map(|((node, class), count)| assign(node, class, count)));
        all
    }

    /// Pods that fitted nowhere are tried again where something changed for their class.
    async fn wake(&mut self) -> Result<(), Trouble> {
        for class in self.queue.parked_classes() {
            self.refresh(class).await?;
            if self.verdicts.feasible(class) {
                for key in self.queue.take_parked(class) {
                    let priority = self.pods.get(&key).map_or(0, |pod| pod.priority);
                    self.queue.push(key, priority);
                }
            }
        }
        Ok(())
    }

    /// Asks for the verdicts of a class that are not known.
    async fn refresh(&mut self, class: ClassId) -> Result<(), Trouble> {
        let nodes = match self.verdicts.stale(class, &self.nodes) {
            Stale::Nothing => return Ok(()),
            Stale::All => self.nodes.all().map(|node| node.id).collect(),
            Stale::Some(nodes) => nodes,
        };
        let (there, gone): (Vec<NodeId>, Vec<NodeId>) = nodes.into_iter().partition(|id| self.nodes.get(*id).is_some());
        self.verdicts.learn(class, gone.into_iter().map(|node| (node, super::verdicts::Verdict::Unknown)));
        if !there.is_empty() {
            let verdicts = self.policies.evaluate(class, there).await?;
            self.verdicts.learn(class, verdicts);
        }
        Ok(())
    }

    async fn place_one(&mut self, key: &Key) -> Result<(), Trouble> {
        let Some(class) = self.pods.get(key).filter(|pod| pod.place == Place::Wanting).map(|pod| pod.class) else {
            return Ok(());
        };
        self.refresh(class).await?;
        let Some(node) = self.verdicts.best(class) else {
            self.refuse(key, class).await;
            return Ok(());
        };
        self.assume(key, node);
        self.tell().await
    }

    fn assume(&mut self, key: &Key, node: NodeId) {
        let Some(name) = self.nodes.name(node).map(str::to_owned) else { return };
        let Some(pod) = self.pods.get_mut(key) else { return };
        pod.attempt += 1;
        pod.place = Place::Assumed(node);
        let Pod { record, class, attempt, .. } = pod;
        let (record, class, attempt) = (record.clone(), *class, *attempt);
        self.deltas.push(assign(node, class, 1));
        self.verdicts.touch(node);
        self.binder.start(&record, attempt, node, name);
    }

    async fn refuse(&mut self, key: &Key, class: ClassId) {
        let mut reasons: BTreeMap<String, usize> = BTreeMap::new();
        for ((policy, code), count) in self.verdicts.refusals(class) {
            for reason in self.policies.reasons(policy, code).await {
                *reasons.entry(reason).or_default() += count;
            }
        }
        metrics::counter!("gantry_scheduler_pods_total", "result" => "unschedulable").increment(1);
        let message = explain::summary(self.nodes.len(), &reasons);
        if let Some(pod) = self.pods.get(key) {
            self.explainer.refused(pod.record.clone(), message);
        }
        self.queue.park(class, key.clone());
    }

    fn refuse_all(&mut self, message: &str) {
        while let Some(key) = self.queue.pop() {
            let Some(pod) = self.pods.get(&key).filter(|pod| pod.place == Place::Wanting) else { continue };
            let (record, class) = (pod.record.clone(), pod.class);
            self.explainer.refused(record, message.to_owned());
            self.queue.park(class, key);
        }
    }
}

fn assign(node: NodeId, class: ClassId, count: i32) -> Delta {
    Delta::Assign(Assignment { node, class, count })
}
