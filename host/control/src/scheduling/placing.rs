//! Turns: policies hear what is new, pods get their nodes.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use gantry_model::Key;
use gantry_plugin::family::scheduler::{Class, Delta};

use super::class::ClassId;
use super::explain;
use super::node::NodeId;
use super::pods::Place;
use super::policies::Trouble;
use super::service::{Service, assign};
use super::verdicts::{Stale, Verdict};
use crate::backoff::Backoff;

/// Turns without an answer after which policies are told of each class of pods alone: it may be one that they don't take.
const SIFT_AFTER: u32 = 2;

/// Placements between two looks at what has changed.
const TURN: usize = 256;

impl Service {
    /// Tells policies what is new and places pods. Answers how long to wait before trying again, if policies are in
    /// trouble or there is more to do.
    pub(super) async fn turn(&mut self) -> Option<Duration> {
        if self.policies.is_empty() {
            self.deltas.clear();
            self.refuse_all("no scheduler plugin is loaded: pods stay pending until the bundle names one").await;
            return None;
        }
        let begun = Instant::now();
        if let Some(until) = self.quiet.filter(|until| *until > begun) {
            // Events must not make a policy that fails be called at their rate. It will be told everything anew.
            self.deltas.clear();
            return Some(until - begun);
        }
        self.unhold(begun);
        self.stale |= self.refused.wait(begun) == Some(Duration::ZERO);
        match self.place().await {
            Ok(()) => {
                (self.failures, self.quiet) = (0, None);
                let (ready, parked) = self.queue.depth();
                metrics::gauge!("gantry_scheduler_pending_pods", "queue" => "ready").set(ready as f64);
                metrics::gauge!("gantry_scheduler_pending_pods", "queue" => "unschedulable").set(parked as f64);
                metrics::histogram!("gantry_scheduler_turn_seconds").record(begun.elapsed().as_secs_f64());
                let now = Instant::now();
                let rest = self.rest.map(|until| until.saturating_duration_since(now));
                let more = (self.queue.has_ready() && self.binder.has_room()).then_some(rest.unwrap_or_default());
                more.into_iter().chain(self.held.wait(now)).chain(self.refused.wait(now)).min()
            }
            Err(Trouble { policy, message, .. }) => {
                tracing::warn!(policy, message, "a placement policy gives no answer");
                self.stale = true;
                self.failures += 1;
                if self.failures > SIFT_AFTER {
                    self.refuse_all(&format!("scheduler plugin {policy} gives no answer: {message}")).await;
                }
                let wait = Backoff::LOOPS.after(self.failures);
                self.quiet = Some(Instant::now() + wait);
                Some(wait)
            }
        }
    }

    /// Pods whose time to wait is over.
    fn unhold(&mut self, now: Instant) {
        for key in self.held.due(now) {
            if let Some(pod) = self.pods.get(&key).filter(|pod| pod.place == Place::Wanting) {
                self.queue.push(key, pod.priority);
            }
        }
    }

    async fn place(&mut self) -> Result<(), Trouble> {
        self.tell().await?;
        if std::mem::take(&mut self.freed) {
            self.wake().await?;
        }
        if self.rest.is_some_and(|until| until <= Instant::now()) {
            self.rest = None;
        }
        for _ in 0..TURN {
            if !self.binder.has_room() || self.rest.is_some() {
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
            if self.failures >= SIFT_AFTER || !self.refused.is_empty() {
                self.refused = self.refused.then(self.policies.sift(&self.all_nodes(), &self.all_classes()).await?);
            }
            let everything = self.everything();
            let dependencies = self.policies.reset(&everything).await?;
            tracing::info!(policies = self.policies.names(), nodes = self.nodes.len(), "placement policies are ready");
            self.verdicts.reset(&dependencies);
            self.reasons.clear();
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
        let mut all = self.all_nodes();
        let known = |class: &ClassId| !self.refused.untold(*class);
        all.extend(self.all_classes().into_iter().filter(|class| known(&class.id)).map(Delta::ClassSet));
        for node in self.nodes.all() {
            let on = self.tally.on(&node.name).filter(|(class, _)| known(class));
            all.extend(on.map(|(class, count)| assign(node.id, class, count)));
        }
        all
    }

    fn all_nodes(&self) -> Vec<Delta> {
        self.nodes.all().cloned().map(Delta::NodeSet).collect()
    }

    fn all_classes(&self) -> Vec<Class> {
        self.classes.all().map(|(id, spec)| Class { id, spec: spec.to_vec() }).collect()
    }

    /// Pods that fitted nowhere are tried again where something changed for their class: one, and the next when that one
    /// finds a place.
    async fn wake(&mut self) -> Result<(), Trouble> {
        for class in self.queue.parked_classes() {
            self.refresh(class).await?;
            self.wake_one(class);
        }
        Ok(())
    }

    fn wake_one(&mut self, class: ClassId) {
        if self.verdicts.feasible(class)
            && let Some(key) = self.queue.take_parked(class)
        {
            let priority = self.pods.get(&key).map_or(0, |pod| pod.priority);
            self.queue.push(key, priority);
        }
    }

    /// Asks for the verdicts of a class that are not known.
    async fn refresh(&mut self, class: ClassId) -> Result<(), Trouble> {
        if self.refused.why(class).is_some() {
            return Ok(());
        }
        let nodes = match self.verdicts.stale(class, &self.nodes) {
            Stale::Nothing => return Ok(()),
            Stale::All => self.nodes.all().map(|node| node.id).collect(),
            Stale::Some(nodes) => nodes,
        };
        let (there, gone): (Vec<NodeId>, Vec<NodeId>) = nodes.into_iter().partition(|id| self.nodes.get(*id).is_some());
        self.verdicts.learn(class, gone.into_iter().map(|node| (node, Verdict::Unknown)));
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
        let best = self.verdicts.best(class);
        let Some(name) = best.and_then(|node| self.nodes.name(node)).map(str::to_owned) else {
            self.refuse(key, class).await;
            return Ok(());
        };
        self.assume(key, name);
        self.tell().await?;
        if self.queue.has_parked(class) {
            self.refresh(class).await?;
            self.wake_one(class);
        }
        Ok(())
    }

    fn assume(&mut self, key: &Key, name: String) {
        let Some(pod) = self.pods.get_mut(key) else { return };
        pod.attempt += 1;
        pod.place = Place::Assumed(name.clone());
        let (record, class, attempt, place) = (pod.record.clone(), pod.class, pod.attempt, pod.place.clone());
        self.count(class, &place, 1);
        self.binder.start(&record, attempt, name);
    }

    async fn refuse(&mut self, key: &Key, class: ClassId) {
        metrics::counter!("gantry_scheduler_pods_total", "result" => "unschedulable").increment(1);
        let message = match self.refused.why(class) {
            Some(why) => why.to_owned(),
            None => self.refusal(class).await,
        };
        if let Some(pod) = self.pods.get(key) {
            self.explainer.refused(&pod.record, &message);
            self.conditions.say(&pod.record, message).await;
        }
        self.queue.park(class, key.clone());
    }

    async fn refusal(&mut self, class: ClassId) -> String {
        let mut reasons: BTreeMap<String, usize> = BTreeMap::new();
        for ((policy, code), count) in self.verdicts.refusals(class) {
            for reason in self.texts(policy, code).await {
                *reasons.entry(reason).or_default() += count;
            }
        }
        explain::summary(self.nodes.len(), &reasons)
    }

    /// What a code means. Asked once.
    async fn texts(&mut self, policy: usize, code: u16) -> Vec<String> {
        if let Some(known) = self.reasons.get(&(policy, code)) {
            return known.clone();
        }
        match self.policies.reasons(policy, code).await {
            Some(texts) => self.reasons.entry((policy, code)).insert_entry(texts).get().clone(),
            None => vec![format!("node(s) were refused by {} (code {code})", self.policies.name(policy))],
        }
    }

    async fn refuse_all(&mut self, message: &str) {
        while let Some(key) = self.queue.pop() {
            let Some(pod) = self.pods.get(&key).filter(|pod| pod.place == Place::Wanting) else { continue };
            let (record, class) = (pod.record.clone(), pod.class);
            self.explainer.refused(&record, message);
            self.conditions.say(&record, message.to_owned()).await;
            self.queue.park(class, key);
        }
    }
}
