//! One pod's worker. It owns everything that is known of the pod, asks the planner what to do, has steps done by jobs
//! that report back, and writes the status. Nothing slow happens in its loop, so it always hears at once that its pod
//! is to end.

mod jobs;
mod kill;
mod observe;
mod report;

use std::collections::{BTreeSet, HashMap};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use gantry_model::Record;
use jiff::Timestamp;
use serde_json::Value;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

use super::context::Context;
use super::desired::Desired;
use super::instance::{self, Instance};
use super::planner::{self, Busy, Health, Hold, Plan, View};
use super::probes::{Kind, Verdict};
use super::volumes;
use crate::network::NetStatus;
use crate::runtime::Exit;
use jobs::Done;

/// Containers are looked at this often, even if nobody said that they changed: a shim gives up on telling of an end after
/// some tries, and a busy machine may need more.
const LOOK_EVERY: Duration = Duration::from_secs(15);
const NAP: Duration = Duration::from_secs(3600);

/// What a worker is told.
#[derive(Debug)]
pub enum Event {
    /// The pod changed.
    Pod(Arc<Record>),
    /// The pod object is gone.
    Gone,
    /// A container ended.
    Ended(String, Exit),
    /// Ends may have been missed: look at every container.
    Look,
    /// Something that the pod reads changed.
    Sources,
    /// A probe of an instance came to a verdict.
    Probe(String, Kind, Verdict),
}

/// How far the farewell of a deleted pod is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Farewell {
    No,
    Erasing,
    Erased,
    Removing,
    Done,
}

/// One pod's worker.
pub struct Worker {
    context: Arc<Context>,
    desired: Arc<Desired>,
    mailbox: mpsc::Receiver<Event>,
    own: mpsc::WeakSender<Event>,
    instances: Vec<Instance>,
    health: HashMap<String, Health>,
    /// Cancelled when the instance ends.
    ended: HashMap<String, CancellationToken>,
    probers: HashMap<(String, Kind), AbortOnDropHandle<()>>,
    busy: Busy,
    holds: HashMap<String, Hold>,
    net: Option<NetStatus>,
    torn_down: bool,
    farewell: Farewell,
    gone: bool,
    /// Why the pod fails, where it is not for its containers.
    verdict: Option<(String, String)>,
    started: Timestamp,
    /// When everything must have ended, for kills under way.
    deadline: watch::Sender<Option<Timestamp>>,
    /// Cancelled when the pod must end.
    give_up: CancellationToken,
    jobs: JoinSet<Done>,
    /// Instances that the runtime may have something of.
    touched: BTreeSet<String>,
    refreshing: bool,
    refresh_again: bool,
    writing: bool,
    write_after: Option<Timestamp>,
    write_delay: u32,
    /// The status sent last, and what came of it.
    written: Option<(Value, Value)>,
    /// Waiting reasons told, by container.
    told: HashMap<String, String>,
    looked: Timestamp,
}

impl Worker {
    /// A worker for a pod of which the runtime has these instances.
    pub fn new(
        context: Arc<Context>,
        desired: Desired,
        found: Vec<Instance>,
        verdict: Option<(String, String)>,
        mailbox: (mpsc::WeakSender<Event>, mpsc::Receiver<Event>),
    ) -> Self {
        let now = context.clock.now();
        let mut instances = found;
        let remembered = instance::remembered(&desired, &instances, now);
        instances.extend(remembered);
        let touched = instances.iter().filter(|i| i.in_runtime).map(|i| i.id.clone()).collect();
        let mut worker = Self {
            context,
            desired: Arc::new(desired),
            mailbox: mailbox.1,
            own: mailbox.0,
            instances,
            health: HashMap::new(),
            ended: HashMap::new(),
            probers: HashMap::new(),
            busy: Busy::default(),
            holds: HashMap::new(),
            net: None,
            torn_down: false,
            farewell: Farewell::No,
            gone: false,
            verdict,
            started: now,
            deadline: watch::Sender::new(None),
            give_up: CancellationToken::new(),
            jobs: JoinSet::new(),
            touched,
            refreshing: false,
            refresh_again: false,
            writing: false,
            write_after: None,
            write_delay: 0,
            written: None,
            told: HashMap::new(),
            looked: now,
        };
        worker.take_over();
        worker
    }

    /// Runs until the pod is gone, or until stopped: then containers go on without the agent.
    pub async fn run(mut self, stop: CancellationToken) {
        let reads = volumes::interests(&self.desired);
        self.context.interests.set(&self.desired.key, reads);
        let _ = stop.run_until_cancelled(self.work()).await;
        if self.farewell == Farewell::Done {
            self.context.registry.remove(&self.desired.key);
            self.context.registry.release(&self.desired.key.uid);
            self.context.interests.remove(&self.desired.key.uid);
            self.context.ledger.release(&self.desired.key.uid);
        }
    }

    async fn work(&mut self) {
        loop {
            let wake = self.step();
            if self.farewell == Farewell::Done {
                return;
            }
            let nap = self.context.clock.until(wake).min(NAP);
            tokio::select! {
                event = self.mailbox.recv() => match event {
                    Some(event) => self.hear(event),
                    None => return,
                },
                Some(done) = self.jobs.join_next() => match done {
                    Ok(done) => self.done(done),
                    // A job that panicked has left its mark in `busy`; the pod would wait for ever.
                    Err(error) => {
                        tracing::error!(%error, pod = %self.desired.key, "a step of a pod failed unexpectedly");
                        self.busy = Busy::default();
                    }
                },
                () = tokio::time::sleep(nap) => {}
            }
        }
    }

    /// Takes every step that can be taken now. Answers when to look again.
    fn step(&mut self) -> Timestamp {
        let now = self.context.clock.now();
        if crate::time::between(self.looked, now) >= LOOK_EVERY {
            self.look();
        }
        let mut wake = crate::time::after(self.looked, LOOK_EVERY);
        if let Some(end) = self.check_deadline(now) {
            wake = wake.min(end);
        }
        if self.stopping() {
            self.give_up.cancel();
        }
        self.deadline.send_if_modified(|deadline| {
            let new = self.desired.deletion;
            std::mem::replace(deadline, new) != new
        });
        let plan = self.plan_and_act(now);
        self.sync_probers();
        self.report(&plan, now);
        self.say_farewell(&plan);
        [plan.wake, self.write_after].into_iter().flatten().fold(wake, Timestamp::min)
    }

    fn plan_and_act(&mut self, now: Timestamp) -> Plan {
        loop {
            let plan = planner::plan(&self.view(now, &self.desired.full_name()));
            let mut again = false;
            for action in plan.actions.clone() {
                again |= self.act(action);
            }
            if !again {
                return plan;
            }
        }
    }

    fn view<'a>(&'a self, now: Timestamp, pod: &'a str) -> View<'a> {
        View {
            pod,
            units: &self.desired.units,
            policy: self.desired.policy,
            instances: &self.instances,
            health: &self.health,
            busy: &self.busy,
            holds: &self.holds,
            prepared: self.net.is_some(),
            torn_down: self.torn_down,
            stop: self.stopping(),
            now,
        }
    }

    fn stopping(&self) -> bool {
        self.gone || self.desired.deletion.is_some() || self.verdict.is_some() || self.desired.is_over()
    }

    /// Fails a pod that has been active for too long. Answers when it will have been.
    fn check_deadline(&mut self, now: Timestamp) -> Option<Timestamp> {
        let seconds = self.desired.pod.spec.as_ref()?.active_deadline_seconds?;
        let status = self.desired.status();
        let started = status.and_then(|s| s.start_time.as_ref()).map_or(self.started, |at| at.0);
        let end = crate::time::after(started, Duration::from_secs(u64::try_from(seconds).unwrap_or_default()));
        if now < end {
            return Some(end);
        }
        if !self.stopping() && planner::plan(&self.view(now, "")).outcome.is_none() {
            let message = "Pod was active on the node longer than the specified deadline".to_owned();
            self.context.tell(&self.desired.key, None, "DeadlineExceeded", message.clone());
            self.verdict = Some(("DeadlineExceeded".to_owned(), message));
        }
        None
    }

    fn hear(&mut self, event: Event) {
        match event {
            Event::Pod(record) => self.renew(&record),
            Event::Gone => self.gone = true,
            Event::Ended(id, exit) => self.note_end(&id, &exit),
            Event::Look => self.look(),
            Event::Sources => {
                // What failed for a lack of something may have it now.
                let now = self.context.clock.now();
                self.holds.values_mut().for_each(|hold| hold.until = now.min(hold.until));
                self.refresh();
            }
            Event::Probe(id, kind, verdict) => self.note_probe(&id, kind, verdict),
        }
    }

    fn renew(&mut self, record: &Record) {
        if record.revision <= self.desired.revision {
            return;
        }
        match Desired::read(record) {
            Ok(desired) => {
                let facts = |desired: &Desired| {
                    let meta = &desired.pod.metadata;
                    (meta.labels.clone(), meta.annotations.clone())
                };
                let changed = facts(&desired) != facts(&self.desired);
                self.desired = Arc::new(desired);
                if changed {
                    self.refresh();
                }
            }
            Err(error) => tracing::warn!(%error, pod = %self.desired.key, "the pod changed beyond reading"),
        }
    }

    fn addresses(&self) -> Vec<IpAddr> {
        if let Some(net) = &self.net {
            return net.addresses.clone();
        }
        let status = self.desired.status();
        let ips = status.and_then(|status| status.pod_ips.as_ref()).into_iter().flatten();
        ips.filter_map(|ip| ip.ip.parse().ok()).collect()
    }
}
