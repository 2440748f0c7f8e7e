//! Turns: policies hear what is new, pods get their nodes.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use gantry_model::{Key, Record};
use gantry_plugin::family::scheduler::{Class, Delta};

use super::DEFAULT_SCHEDULER;
use super::class::ClassId;
use super::explain::{self, SCHEDULER_NAME};
use super::lane::{Lane, assign};
use super::node::NodeId;
use super::pods::{Place, Pod};
use super::policies::Trouble;
use super::verdicts::{Stale, Verdict};
use super::world::World;
use crate::backoff::Backoff;

/// Turns without an answer after which policies are told of each class of pods alone: it may be one that they don't take.
const SIFT_AFTER: u32 = 2;

/// Placements between two looks at what has changed.
const TURN: usize = 256;

/// One lane's turn.
pub(super) struct Turn<'a> {
    pub world: &'a mut World,
    pub lane: &'a mut Lane,
    /// What the other lanes must hear of before their turn.
    pub placed: Vec<(NodeId, ClassId)>,
}

impl Turn<'_> {
    /// Tells policies what is new and places pods. Answers how long to wait before trying again, if policies are in
    /// trouble or there is more to do.
    pub(super) async fn run(&mut self) -> Option<Duration> {
        if self.lane.policies.is_empty() {
            self.turn_away().await;
            return None;
        }
        let begun = Instant::now();
        if let Some(until) = self.lane.quiet.filter(|until| *until > begun) {
            // Events must not make a policy that fails be called at their rate. It will be told everything anew.
            self.lane.deltas.clear();
            return Some(until - begun);
        }
        self.lane.stale |= self.lane.refused.wait(begun) == Some(Duration::ZERO);
        match self.place().await {
            Ok(()) => {
                (self.lane.failures, self.lane.quiet) = (0, None);
                self.measure(begun);
                let now = Instant::now();
                let rest = self.world.rest.map(|until| until.saturating_duration_since(now));
                let more = self.lane.queue.has_ready() && self.world.binder.has_room();
                more.then_some(rest.unwrap_or_default()).into_iter().chain(self.lane.refused.wait(now)).min()
            }
            Err(trouble) => Some(self.trouble(trouble).await),
        }
    }

    fn measure(&self, begun: Instant) {
        let (ready, parked) = self.lane.queue.depth();
        for (queue, depth) in [("ready", ready), ("unschedulable", parked)] {
            let labels = [("queue", queue.to_owned()), ("scheduler", self.lane.name.clone())];
            metrics::gauge!("gantry_scheduler_pending_pods", &labels).set(depth as f64);
        }
        metrics::histogram!("gantry_scheduler_turn_seconds").record(begun.elapsed().as_secs_f64());
    }

    /// A policy gave no answer. How long to leave it alone.
    async fn trouble(&mut self, Trouble { policy, message, .. }: Trouble) -> Duration {
        tracing::warn!(policy, message, "a placement policy gives no answer");
        self.lane.stale = true;
        self.lane.failures += 1;
        if self.lane.failures > SIFT_AFTER {
            self.refuse_all(|_| format!("scheduler plugin {policy} gives no answer: {message}")).await;
        }
        let wait = Backoff::LOOPS.after(self.lane.failures);
        self.lane.quiet = Some(Instant::now() + wait);
        wait
    }

    /// Nobody places these pods.
    async fn turn_away(&mut self) {
        let served = self.world.served;
        let why = |pod: &Record| match pod.field(SCHEDULER_NAME) {
            name if served => format!(
                "no scheduler plugin of the bundle serves the schedulerName {}: the pod stays pending until one does, or \
                 until somebody else binds it",
                if name.is_empty() { DEFAULT_SCHEDULER } else { name }
            ),
            _ => "no scheduler plugin is loaded: pods stay pending until the bundle names one".to_owned(),
        };
        self.refuse_all(why).await;
    }

    async fn place(&mut self) -> Result<(), Trouble> {
        self.tell().await?;
        if std::mem::take(&mut self.lane.freed) {
            self.wake().await?;
        }
        for _ in 0..TURN {
            if !self.world.binder.has_room() || self.world.rest.is_some() {
                break;
            }
            let Some(key) = self.lane.queue.pop() else { break };
            if let Err(trouble) = self.place_one(&key).await {
                let priority = self.world.pods.get(&key).map_or(0, |pod| pod.priority);
                self.lane.queue.push(key, priority);
                return Err(trouble);
            }
        }
        Ok(())
    }

    /// Brings policies up to date.
    async fn tell(&mut self) -> Result<(), Trouble> {
        if self.lane.stale {
            self.lane.deltas.clear();
            if self.lane.failures >= SIFT_AFTER || !self.lane.refused.is_empty() {
                self.lane.refused =
                    self.lane.refused.then(self.lane.policies.sift(&self.all_nodes(), &self.all_classes()).await?);
            }
            let everything = self.everything();
            let dependencies = self.lane.policies.reset(&everything).await?;
            tracing::info!(
                policies = self.lane.policies.names(),
                nodes = self.world.nodes.len(),
                "placement policies are ready"
            );
            self.lane.verdicts.reset(&dependencies);
            self.lane.reasons.clear();
            self.lane.stale = false;
            self.lane.freed = true;
            return Ok(());
        }
        if !self.lane.deltas.is_empty() {
            self.lane.policies.sync(&self.lane.deltas).await?;
            self.lane.deltas.clear();
        }
        Ok(())
    }

    fn everything(&self) -> Vec<Delta> {
        let mut all = self.all_nodes();
        let known = |class: &ClassId| !self.lane.refused.untold(*class);
        all.extend(self.all_classes().into_iter().filter(|class| known(&class.id)).map(Delta::ClassSet));
        for node in self.world.nodes.all() {
            let on = self.world.tally.on(&node.name).filter(|(class, _)| known(class));
            all.extend(on.map(|(class, count)| assign(node.id, class, count)));
        }
        all
    }

    fn all_nodes(&self) -> Vec<Delta> {
        self.world.nodes.all().cloned().map(Delta::NodeSet).collect()
    }

    fn all_classes(&self) -> Vec<Class> {
        self.world.classes.all().map(|(id, spec)| Class { id, spec: spec.to_vec() }).collect()
    }

    /// Pods that fitted nowhere are tried again where something changed for their class: one, and the next when that one
    /// finds a place.
    async fn wake(&mut self) -> Result<(), Trouble> {
        for class in self.lane.queue.parked_classes() {
            self.refresh(class).await?;
            self.wake_one(class);
        }
        Ok(())
    }

    fn wake_one(&mut self, class: ClassId) {
        if self.lane.verdicts.feasible(class)
            && let Some(key) = self.lane.queue.take_parked(class)
        {
            let priority = self.world.pods.get(&key).map_or(0, |pod| pod.priority);
            self.lane.queue.push(key, priority);
        }
    }

    /// Asks for the verdicts of a class that are not known.
    async fn refresh(&mut self, class: ClassId) -> Result<(), Trouble> {
        if self.lane.refused.why(class).is_some() {
            return Ok(());
        }
        let nodes = match self.lane.verdicts.stale(class, &self.world.nodes) {
            Stale::Nothing => return Ok(()),
            Stale::All => self.world.nodes.all().map(|node| node.id).collect(),
            Stale::Some(nodes) => nodes,
        };
        let (there, gone): (Vec<NodeId>, Vec<NodeId>) =
            nodes.into_iter().partition(|id| self.world.nodes.get(*id).is_some());
        self.lane.verdicts.learn(class, gone.into_iter().map(|node| (node, Verdict::Unknown)));
        if !there.is_empty() {
            let verdicts = self.lane.policies.evaluate(class, there).await?;
            self.lane.verdicts.learn(class, verdicts);
        }
        Ok(())
    }

    async fn place_one(&mut self, key: &Key) -> Result<(), Trouble> {
        // A pod of this name may be another one by now.
        let ours = |pod: &&Pod| pod.place == Place::Wanting && pod.lane == self.lane.at;
        let Some(class) = self.world.pods.get(key).filter(ours).map(|pod| pod.class) else { return Ok(()) };
        self.refresh(class).await?;
        let best = self.lane.verdicts.best(class);
        let Some(name) = best.and_then(|node| self.world.nodes.name(node)).map(str::to_owned) else {
            self.refuse(key, class).await;
            return Ok(());
        };
        self.assume(key, name);
        self.tell().await?;
        if self.lane.queue.has_parked(class) {
            self.refresh(class).await?;
            self.wake_one(class);
        }
        Ok(())
    }

    fn assume(&mut self, key: &Key, name: String) {
        let Some(pod) = self.world.pods.get_mut(key) else { return };
        pod.attempt += 1;
        pod.place = Place::Assumed(name.clone());
        let (record, class, attempt, place) = (pod.record.clone(), pod.class, pod.attempt, pod.place.clone());
        if let Some(node) = self.world.count(class, &place, 1) {
            self.lane.assigned(node, class, 1);
            self.placed.push((node, class));
        }
        self.world.binder.start(&record, attempt, name);
    }

    async fn refuse(&mut self, key: &Key, class: ClassId) {
        metrics::counter!("gantry_scheduler_pods_total", "result" => "unschedulable").increment(1);
        let message = match self.lane.refused.why(class) {
            Some(why) => why.to_owned(),
            None => self.refusal(class).await,
        };
        if let Some(pod) = self.world.pods.get(key) {
            self.world.explainer.refused(&pod.record, &message);
            self.world.conditions.say(&pod.record, message).await;
        }
        self.lane.queue.park(class, key.clone());
    }

    async fn refusal(&mut self, class: ClassId) -> String {
        let mut reasons: BTreeMap<String, usize> = BTreeMap::new();
        for ((policy, code), count) in self.lane.verdicts.refusals(class) {
            for reason in self.texts(policy, code).await {
                *reasons.entry(reason).or_default() += count;
            }
        }
        explain::summary(self.world.nodes.len(), &reasons)
    }

    /// What a code means. Asked once.
    async fn texts(&mut self, policy: usize, code: u16) -> Vec<String> {
        if let Some(known) = self.lane.reasons.get(&(policy, code)) {
            return known.clone();
        }
        match self.lane.policies.reasons(policy, code).await {
            Some(texts) => self.lane.reasons.entry((policy, code)).insert_entry(texts).get().clone(),
            None => vec![format!("node(s) were refused by {} (code {code})", self.lane.policies.name(policy))],
        }
    }

    async fn refuse_all(&mut self, why: impl Fn(&Record) -> String) {
        while let Some(key) = self.lane.queue.pop() {
            let ours = |pod: &&Pod| pod.place == Place::Wanting && pod.lane == self.lane.at;
            let Some(pod) = self.world.pods.get(&key).filter(ours) else { continue };
            let (record, class, message) = (pod.record.clone(), pod.class, why(&pod.record));
            self.world.explainer.refused(&record, &message);
            self.world.conditions.say(&record, message).await;
            self.lane.queue.park(class, key);
        }
    }
}
