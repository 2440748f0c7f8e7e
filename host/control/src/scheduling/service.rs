//! The loop itself: changes in, placements out. One task owns all state, so that nothing is ever decided on two views.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use gantry_model::status::Reason;
use gantry_model::{Key, Record, Status};
use gantry_plugin::family::scheduler::Delta;
use gantry_store::Event;

use super::Options;
use super::binder::{Binder, Bound};
use super::class::{ClassId, Classes};
use super::conditions::Conditions;
use super::explain::Explainer;
use super::held::Held;
use super::lane::{Lane, Lanes};
use super::node::{NodeId, Nodes};
use super::placing::Turn;
use super::pods::{Changed, Place, Pods, Was};
use super::tally::Tally;
use super::world::World;
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
    let lanes = Lanes::new(options.profiles);
    let mut scheduler = Service {
        world: World {
            served: lanes.serve(),
            explainer: Explainer { objects: options.objects.clone(), recorder: options.recorder, kind: pod.clone() },
            conditions: Conditions::new(options.objects.clone(), pod),
            binder: Binder::new(options.objects, options.concurrent_binds),
            nodes: Nodes::default(),
            pods: Pods::default(),
            classes: Classes::default(),
            tally: Tally::default(),
            rest: None,
        },
        lanes,
        held: Held::default(),
        unwritten: 0,
    };
    // Nodes first: pods that are on nodes count there.
    scheduler.see_nodes(nodes.next().await);
    scheduler.see_pods(pods.next().await);
    let mut sweep = tokio::time::interval(SWEEP);
    sweep.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        let wait = scheduler.round().await;
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
            bound = scheduler.world.binder.next() => scheduler.bound(bound),
            () = scheduler.world.conditions.next() => {}
            _ = sweep.tick() => scheduler.sweep(),
            () = retry => {}
        }
    }
}

struct Service {
    world: World,
    lanes: Lanes,
    /// Pods whose binding was refused.
    held: Held,
    /// Bindings in a row that the store did not take.
    unwritten: u32,
}

impl Service {
    /// Each lane's turn. Answers how long to wait before the next, if there is more to do.
    async fn round(&mut self) -> Option<Duration> {
        let begun = Instant::now();
        self.unhold(begun);
        if self.world.rest.is_some_and(|until| until <= begun) {
            self.world.rest = None;
        }
        let mut wait = None;
        for at in self.lanes.round() {
            let Some(lane) = self.lanes.get_mut(at) else { continue };
            let mut turn = Turn { world: &mut self.world, lane, placed: Vec::new() };
            let next = turn.run().await;
            let placed = turn.placed;
            wait = wait.into_iter().chain(next).min();
            for other in self.lanes.all().iter_mut().filter(|lane| lane.at != at) {
                placed.iter().for_each(|(node, class)| other.assigned(*node, *class, 1));
            }
        }
        wait.into_iter().chain(self.held.wait(Instant::now())).min()
    }

    /// Pods whose time to wait is over.
    fn unhold(&mut self, now: Instant) {
        for key in self.held.due(now) {
            if let Some(pod) = self.world.pods.get(&key).filter(|pod| pod.place == Place::Wanting)
                && let Some(lane) = self.lanes.get_mut(pod.lane)
            {
                lane.queue.push(key, pod.priority);
            }
        }
    }

    /// What seems not to have changed is looked at again.
    fn sweep(&mut self) {
        self.lanes.all().iter_mut().for_each(|lane| lane.freed = true);
    }

    fn see_nodes(&mut self, seen: Seen) {
        match seen {
            Seen::All(records) => {
                let there: HashSet<&str> = records.iter().map(|record| record.meta.name.as_str()).collect();
                let gone = self.world.nodes.names().into_iter().filter(|name| !there.contains(name.as_str()));
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
        let (name, nodes) = (&record.meta.name, &mut self.world.nodes);
        let known = nodes.id(name);
        let before: Vec<Vec<Option<String>>> =
            self.lanes.all().iter().map(|lane| domains(lane, known, nodes)).collect();
        let Some(node) = nodes.set(record) else { return };
        let id = node.id;
        for (lane, before) in self.lanes.all().iter_mut().zip(before) {
            lane.hear(Delta::NodeSet(node.clone()));
            lane.touch(id);
            lane.freed = true;
            if known.is_none() {
                // Pods may have been seen on it before it was.
                self.world.tally.on(name).for_each(|(class, count)| lane.assigned(id, class, count));
            }
            if before != lane.domains_of(id, nodes) {
                lane.touch_peers(&before, nodes);
            }
        }
    }

    fn node_gone(&mut self, name: &str) {
        let nodes = &mut self.world.nodes;
        let Some(id) = nodes.id(name) else { return };
        let before: Vec<Vec<Option<String>>> =
            self.lanes.all().iter().map(|lane| domains(lane, Some(id), nodes)).collect();
        nodes.remove(name);
        for (lane, before) in self.lanes.all().iter_mut().zip(before) {
            lane.hear(Delta::NodeGone(id));
            lane.touch(id);
            lane.touch_peers(&before, nodes);
            lane.freed = true;
        }
        // A binding under way to it may still come to pass; then the pod is on a node that is gone, and the node loop
        // removes it.
    }

    fn see_pods(&mut self, seen: Seen) {
        match seen {
            Seen::All(records) => {
                let known: HashSet<&Key> = records.iter().map(|r| &r.key).collect();
                let gone: Vec<Key> = self.world.pods.keys().into_iter().filter(|key| !known.contains(key)).collect();
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
            true if self.world.pods.get(key).is_some_and(|pod| pod.record.revision > event.revision) => {}
            true => self.pod_gone(key),
            false => self.pod_set(event.record.clone()),
        }
    }

    fn pod_set(&mut self, record: Arc<Record>) {
        let key = record.key.clone();
        let World { pods, classes, .. } = &mut self.world;
        let Some(changed) = pods.set(record, classes, &self.lanes) else { return };
        self.joined(&changed);
        let Some(pod) = self.world.pods.get(&key) else { return };
        let (class, at, place, priority) = (pod.class, pod.lane, pod.place.clone(), pod.priority);
        let before = changed.before.as_ref();
        if before.is_none_or(|was| was.class != class || was.place.node() != place.node()) {
            self.uncount(before);
            self.count(class, &place, 1);
        }
        let wants = place == Place::Wanting;
        if let Some(was) = before
            && let Some(lane) = self.lanes.get_mut(was.lane)
        {
            match wants && was.lane == at {
                true if was.class != class || was.place != Place::Wanting => lane.queue.unpark(was.class, &key),
                true => {}
                false => lane.queue.forget(was.class, &key),
            }
        }
        if wants
            && before.is_none_or(|was| was.class != class || was.place != Place::Wanting)
            && let Some(lane) = self.lanes.get_mut(at)
        {
            lane.queue.push(key.clone(), priority);
        }
        self.left(&changed);
        self.pass_on(&changed, class, wants);
    }

    fn pod_gone(&mut self, key: &Key) {
        let Some(changed) = self.world.pods.remove(key, &mut self.world.classes) else { return };
        self.uncount(changed.before.as_ref());
        if let Some(was) = &changed.before
            && let Some(lane) = self.lanes.get_mut(was.lane)
        {
            lane.queue.forget(was.class, key);
            lane.freed |= was.place == Place::Wanting && lane.queue.has_parked(was.class);
        }
        self.left(&changed);
    }

    /// Pods that fitted nowhere are woken one after the other. One that drops out must not break the chain.
    fn pass_on(&mut self, changed: &Changed, class: ClassId, wants: bool) {
        if let Some(was) = changed.before.as_ref().filter(|was| was.place == Place::Wanting)
            && (was.class != class || !wants)
            && let Some(lane) = self.lanes.get_mut(was.lane)
        {
            lane.freed |= lane.queue.has_parked(was.class);
        }
    }

    fn joined(&mut self, changed: &Changed) {
        if let Some(id) = changed.joined
            && let Some(spec) = self.world.classes.spec(id)
        {
            self.lanes.all().iter_mut().for_each(|lane| lane.joined(id, spec));
        }
    }

    fn left(&mut self, changed: &Changed) {
        if let Some((class, true)) = changed.left {
            self.lanes.all().iter_mut().for_each(|lane| lane.left(class));
        }
    }

    fn count(&mut self, class: ClassId, place: &Place, count: i32) {
        if let Some(node) = self.world.count(class, place, count) {
            self.lanes.all().iter_mut().for_each(|lane| lane.assigned(node, class, count));
        }
    }

    fn uncount(&mut self, before: Option<&Was>) {
        if let Some(was) = before {
            self.count(was.class, &was.place, -1);
        }
    }

    fn bound(&mut self, ended: Vec<Bound>) {
        for Bound { key, uid, attempt, outcome } in ended {
            match outcome {
                Ok(record) => {
                    self.unwritten = 0;
                    metrics::counter!("gantry_scheduler_pods_total", "result" => "placed").increment(1);
                    self.world.explainer.placed(&record, record.field("spec.nodeName"));
                    // The watch will say so too, and may have said already that the pod is gone again.
                    if self.world.pods.get(&key).is_some_and(|pod| pod.record.meta.uid == uid) {
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
        if let Some(pod) = self.world.pods.get(key).filter(|pod| pod.record.meta.uid == uid) {
            self.world.explainer.refused(&pod.record, &format!("binding rejected: {error}"));
        }
        if matches!(error.reason, Reason::Invalid | Reason::Forbidden | Reason::BadRequest) {
            // About this pod: others go on.
            let wait = Backoff::KEYS.after(u32::try_from(attempt).unwrap_or(u32::MAX));
            return self.unassume(key, uid, attempt, Some(Instant::now() + wait));
        }
        self.unwritten += 1;
        self.world.rest = Some(Instant::now() + Backoff::LOOPS.after(self.unwritten));
        self.unassume(key, uid, attempt, None);
    }

    /// A binding failed: the pod takes nothing. What it wants now is read anew, since the watch may be behind; a pod that
    /// is gone wants nothing. It may have to wait for its next try.
    fn unassume(&mut self, key: &Key, uid: &str, attempt: u64, until: Option<Instant>) {
        let now = self.world.explainer.objects.store().get(key);
        let Some(pod) = self.world.pods.get_mut(key) else { return };
        if pod.record.meta.uid != uid || pod.attempt != attempt || !matches!(pod.place, Place::Assumed(_)) {
            return;
        }
        let (class, at, priority) = (pod.class, pod.lane, pod.priority);
        let before = std::mem::replace(&mut pod.place, Place::Wanting);
        self.count(class, &before, -1);
        if let Some(record) = now {
            let lane = self.lanes.get_mut(at);
            match until {
                Some(until) => self.held.hold(key.clone(), until),
                None => lane.into_iter().for_each(|lane| lane.queue.push(key.clone(), priority)),
            }
            self.pod_set(record);
        }
    }
}

/// A node's values of the labels that make domains for a lane.
fn domains(lane: &Lane, id: Option<NodeId>, nodes: &Nodes) -> Vec<Option<String>> {
    id.map(|id| lane.domains_of(id, nodes)).unwrap_or_default()
}
