//! Steps: what the planner asks for becomes a job, and what comes of it is noted.

use std::fs;
use std::sync::Arc;
use std::time::Duration;

use gantry_model::{Record, Status};
use serde_json::Value;

use super::kill::Kill;
use super::{Farewell, Worker};
use crate::agent::context::{Context, make_parent};
use crate::agent::desired::Unit;
use crate::agent::instance::{End, Instance, Life};
use crate::agent::planner::{Action, Doom, Hold};
use crate::agent::prepare::{self, PrepareError};
use crate::agent::start::{Start, StartError};
use crate::agent::{hooks, images};
use crate::network::NetStatus;
use crate::runtime::{RuntimeError, State};
use crate::time::after;

/// After a step that should not fail.
const RETRY: Duration = Duration::from_secs(5);
/// The longest wait between tries to prepare a pod, in seconds.
const LONGEST_PREPARE: u32 = 30;

/// What came of a job.
#[derive(Debug)]
pub(super) enum Done {
    Prepared(Result<NetStatus, PrepareError>),
    Started(String, Box<Result<Instance, StartError>>),
    Hooked(String, Result<(), String>),
    Killed(String, Result<State, RuntimeError>),
    Forgot(String, bool),
    TornDown(Result<(), String>),
    Looked(String, Result<State, RuntimeError>),
    Refreshed,
    Wrote(Box<(Value, Result<Arc<Record>, Status>)>),
    Reread(Result<Option<Arc<Record>>, Status>),
    Erased(bool),
    Removed(bool),
}

impl Worker {
    /// Takes a step. Answers whether to plan again at once.
    pub(super) fn act(&mut self, action: Action) -> bool {
        match action {
            Action::Prepare => self.prepare(),
            Action::Start { container, attempt, delay } => return self.start(&container, attempt, delay),
            Action::Resume { id } => self.resume(&id),
            Action::Hook { id } => self.hook(&id),
            Action::Kill { id, message, grace } => self.kill(&id, message, grace),
            Action::Forget { id } => return self.forget(&id),
            Action::TearDown => self.tear_down(),
        }
        false
    }

    fn prepare(&mut self) {
        self.busy.preparing = true;
        let (context, desired, give_up) = (self.context.clone(), self.desired.clone(), self.give_up.clone());
        let runs = self.instances.iter().any(Instance::is_running);
        self.jobs.spawn(async move {
            let given_up = || PrepareError::Files(std::io::Error::other("the pod is to end"));
            let prepared = give_up.run_until_cancelled(prepare::prepare(&context, &desired, runs)).await;
            Done::Prepared(prepared.unwrap_or_else(|| Err(given_up())))
        });
    }

    fn start(&mut self, name: &str, attempt: u32, delay: u32) -> bool {
        let (Some(unit), Some(net)) = (self.desired.unit(name).cloned(), self.net.clone()) else { return false };
        // Known before it is made: it may end before its start has returned.
        let instance = Instance::new(&self.desired.key, &unit, attempt, delay);
        self.touched.insert(instance.id.clone());
        self.put(instance);
        self.spawn_start(unit, net, move |start| async move { start.start().run(attempt, delay).await });
        false
    }

    fn resume(&mut self, id: &str) {
        let Some(instance) = self.find(id).cloned() else { return };
        let (Some(unit), Some(net)) = (self.desired.unit(&instance.container).cloned(), self.net.clone()) else {
            return;
        };
        self.spawn_start(unit, net, move |start| async move { start.start().resume(instance).await });
    }

    fn spawn_start<W, F>(&mut self, unit: Unit, net: NetStatus, work: W)
    where
        W: FnOnce(Starting) -> F + Send + 'static,
        F: Future<Output = Result<Instance, StartError>> + Send,
    {
        let name = unit.name().to_owned();
        self.busy.starting = Some(name.clone());
        let last = self.holds.get(&name).cloned();
        let (context, desired, give_up) = (self.context.clone(), self.desired.clone(), self.give_up.clone());
        self.jobs.spawn(async move {
            let starting = Starting { context, desired, unit, net, last, give_up };
            Done::Started(name, Box::new(work(starting).await))
        });
    }

    fn hook(&mut self, id: &str) {
        let Some(instance) = self.find(id).cloned() else { return };
        let Some(unit) = self.desired.unit(&instance.container).cloned() else { return };
        let Some(hook) = unit.spec.lifecycle.as_ref().and_then(|lifecycle| lifecycle.post_start.clone()) else {
            return;
        };
        self.busy.starting = Some(instance.container.clone());
        let context = self.context.clone();
        let address = self.addresses().first().copied();
        let (ended, give_up) = (self.token(id), self.give_up.clone());
        let marker = context.hooked_path(&self.desired.key.uid, &instance.container, instance.attempt);
        self.jobs.spawn(async move {
            let result = tokio::select! {
                result = hooks::run(&context, &instance.id, &unit.spec, address, &hook) => result,
                () = ended.cancelled() => Ok(()),
                () = give_up.cancelled() => Ok(()),
            };
            if result.is_ok()
                && let Err(error) = make_parent(&marker).and_then(|()| fs::write(&marker, ""))
            {
                tracing::warn!(%error, "can't note that a postStart hook is done: it may run again");
            }
            Done::Hooked(instance.id, result)
        });
    }

    fn kill(&mut self, id: &str, message: String, grace: Option<i64>) {
        let Some(instance) = self.find(id).cloned() else { return };
        self.busy.killing.insert(id.to_owned());
        self.context.tell(&self.desired.key, Some(&instance.container), "Killing", message);
        let now = self.context.clock.now();
        let seconds = |grace: i64| Duration::from_secs(u64::try_from(grace.max(1)).unwrap_or(1));
        let limit = match (grace, self.desired.deletion) {
            (Some(grace), _) => after(now, seconds(grace)),
            (None, Some(deletion)) => deletion.max(after(now, seconds(1))),
            (None, None) => after(now, seconds(self.desired.grace_seconds())),
        };
        let kill = Kill {
            context: self.context.clone(),
            pod: self.desired.key.clone(),
            container: self.desired.unit(&instance.container).map(|unit| unit.spec.clone()),
            address: self.addresses().first().copied(),
            id: id.to_owned(),
            ended: self.token(id),
            limit,
            deadline: self.deadline.subscribe(),
        };
        let id = id.to_owned();
        self.jobs.spawn(async move { Done::Killed(id, kill.run().await) });
    }

    /// Answers whether it is done already.
    fn forget(&mut self, id: &str) -> bool {
        if self.find(id).is_some_and(|instance| !instance.in_runtime) {
            self.instances.retain(|instance| instance.id != id);
            return true;
        }
        self.busy.forgetting.insert(id.to_owned());
        let (context, id) = (self.context.clone(), id.to_owned());
        let log = self.outdated_log(&id);
        self.jobs.spawn(async move {
            let removed = retried(context.runtime.remove(&id).await, "can't remove a container").await;
            if let Some(log) = log.filter(|_| removed)
                && let Err(error) = context.records.retire(log.clone()).await
            {
                tracing::warn!(%error, log = %log.display(), "can't remove the log of a container that is gone");
            }
            Done::Forgot(id, removed)
        });
        false
    }

    /// The log of an instance that nobody can ask for any more: a later one has ended too.
    fn outdated_log(&self, id: &str) -> Option<std::path::PathBuf> {
        let old = self.find(id)?;
        let later = |i: &Instance| i.container == old.container && i.attempt > old.attempt && i.end().is_some();
        let outdated = self.instances.iter().any(later);
        outdated.then(|| self.context.log_path(&self.desired.key, &old.container, old.attempt))
    }

    fn tear_down(&mut self) {
        self.busy.tearing_down = true;
        self.context.registry.release(&self.desired.key.uid);
        let (context, pod) = (self.context.clone(), self.desired.key.clone());
        self.jobs.spawn(async move { Done::TornDown(prepare::give_up(&context, &pod).await) });
    }

    /// Brings files that show ConfigMaps, Secrets and the pod's own facts up to date.
    pub(super) fn refresh(&mut self) {
        let Some(net) = self.net.clone().filter(|_| !self.stopping()) else { return };
        if self.refreshing {
            self.refresh_again = true;
            return;
        }
        self.refreshing = true;
        let (context, desired) = (self.context.clone(), self.desired.clone());
        self.jobs.spawn(async move {
            let dir = context.pod_dir(&desired.key.uid);
            if let Err(error) = context.maker().refresh(&desired, &net.addresses, &dir).await {
                // What the containers have stays, as in any node: they were started with it.
                context.warn(&desired.key, None, "FailedMount", error.to_string());
            }
            Done::Refreshed
        });
    }

    /// Notes what came of a job.
    pub(super) fn done(&mut self, done: Done) {
        match done {
            Done::Prepared(result) => self.prepared(result),
            Done::Started(name, result) => self.started(&name, *result),
            Done::Hooked(id, result) => self.hooked(&id, result),
            Done::Killed(id, state) => {
                self.busy.killing.remove(&id);
                self.note_state(&id, state);
            }
            Done::Forgot(id, removed) => {
                self.busy.forgetting.remove(&id);
                if removed {
                    self.instances.retain(|instance| instance.id != id);
                    self.ended.remove(&id);
                    self.touched.remove(&id);
                }
            }
            Done::TornDown(result) => self.down(result),
            Done::Looked(id, state) => self.note_state(&id, state),
            Done::Refreshed => {
                self.refreshing = false;
                if std::mem::take(&mut self.refresh_again) {
                    self.refresh();
                }
            }
            Done::Wrote(wrote) => self.wrote(wrote.0, wrote.1),
            Done::Reread(result) => self.reread(result),
            Done::Erased(erased) => self.farewell = if erased { Farewell::Erased } else { Farewell::No },
            Done::Removed(removed) => self.farewell = if removed { Farewell::Done } else { Farewell::Erased },
        }
    }

    fn prepared(&mut self, result: Result<NetStatus, PrepareError>) {
        self.busy.preparing = false;
        match result {
            Ok(net) => {
                self.holds.remove("");
                // Before any container can ask who it is. Several pods have the node's own addresses.
                if !self.desired.host_network() {
                    self.context.registry.claim(&self.desired.key, &net.addresses);
                }
                self.net = Some(net);
            }
            Err(_) if self.stopping() => {}
            Err(error) => {
                let before = self.holds.get("").map_or(0, |hold| hold.delay);
                let delay = before.saturating_mul(2).clamp(1, LONGEST_PREPARE);
                self.context.warn(&self.desired.key, None, error.reason(), error.to_string());
                self.holds.insert(String::new(), images::hold(&self.context, "", error.to_string(), delay));
            }
        }
    }

    fn started(&mut self, name: &str, result: Result<Instance, StartError>) {
        self.busy.starting = None;
        let unmade = |worker: &mut Self| {
            worker.instances.retain(|i| i.container != name || i.life != Life::Created);
        };
        match result {
            Ok(mut instance) => {
                self.holds.remove(name);
                let end = self.find(&instance.id).and_then(Instance::end).cloned();
                match end {
                    Some(end) => instance.life = Life::Ended(end),
                    None => self.note_start(&instance, false),
                }
                self.put(instance);
            }
            Err(StartError::Hold(hold)) => {
                unmade(self);
                self.hold(name, hold);
            }
            Err(StartError::Unstarted(instance, hold)) => {
                self.put(instance);
                self.hold(name, hold);
            }
            Err(StartError::Broken(mut instance, message)) => {
                self.holds.remove(name);
                let at = self.context.clock.now();
                instance.life = Life::Ended(End { code: 128, at, reason: "StartError".to_owned(), message });
                self.put(instance);
            }
            // What a crashed agent had made, if anything, is found by the plan of the ending.
            Err(StartError::GaveUp) => {}
        }
    }

    fn hold(&mut self, name: &str, hold: Hold) {
        self.holds.insert(name.to_owned(), hold);
    }

    fn hooked(&mut self, id: &str, result: Result<(), String>) {
        self.busy.starting = None;
        let container = self.find(id).map(|instance| instance.container.clone()).unwrap_or_default();
        if let Err(error) = &result {
            tracing::debug!(error, pod = %self.desired.key, "postStart hook");
            self.context.warn(&self.desired.key, Some(&container), "FailedPostStartHook", "PostStartHook failed");
        }
        let Some(health) = self.health.get_mut(id) else { return };
        match result {
            Ok(()) => health.hooked = true,
            Err(_) => health.doom = Some(Doom { message: "FailedPostStartHook".to_owned(), grace: None }),
        }
    }

    fn down(&mut self, result: Result<(), String>) {
        self.busy.tearing_down = false;
        match result {
            Ok(()) => {
                self.holds.remove("");
                self.torn_down = true;
                self.net = None;
                self.context.ledger.release(&self.desired.key.uid);
            }
            Err(message) => {
                let before = self.holds.get("").map_or(0, |hold| hold.delay);
                let delay = before.saturating_mul(2).clamp(1, LONGEST_PREPARE);
                self.context.warn(&self.desired.key, None, "FailedKillPod", format!("error killing pod: {message}"));
                self.holds.insert(String::new(), images::hold(&self.context, "", message, delay));
            }
        }
    }

    /// A pod whose ending is complete and told leaves nothing behind, then its object goes.
    pub(super) fn farewell_steps(&mut self) {
        let (context, pod) = (self.context.clone(), self.desired.key.clone());
        match self.farewell {
            Farewell::No => {
                self.farewell = Farewell::Erasing;
                let containers: Vec<String> = self.touched.iter().cloned().collect();
                self.jobs.spawn(async move {
                    Done::Erased(retried(prepare::erase(&context, &pod, &containers).await, "can't erase a pod").await)
                });
            }
            Farewell::Erased if self.gone => self.farewell = Farewell::Done,
            Farewell::Erased => {
                self.farewell = Farewell::Removing;
                self.jobs.spawn(async move {
                    let removed = context.cluster.remove_pod(&pod).await;
                    Done::Removed(retried(removed, "can't remove a pod's object").await)
                });
            }
            Farewell::Erasing | Farewell::Removing | Farewell::Done => {}
        }
    }
}

/// Whether it worked; if not, only after a while, so that trying again at once does no harm.
async fn retried<E: std::fmt::Display>(result: Result<(), E>, what: &'static str) -> bool {
    if let Err(error) = &result {
        tracing::warn!(%error, "{what}");
        tokio::time::sleep(RETRY).await;
    }
    result.is_ok()
}

/// What a start needs, owned by its job.
struct Starting {
    context: Arc<Context>,
    desired: Arc<crate::agent::desired::Desired>,
    unit: Unit,
    net: NetStatus,
    last: Option<Hold>,
    give_up: tokio_util::sync::CancellationToken,
}

impl Starting {
    fn start(&self) -> Start<'_> {
        Start {
            context: &self.context,
            desired: &self.desired,
            unit: &self.unit,
            net: &self.net,
            last: self.last.clone(),
            give_up: &self.give_up,
        }
    }
}
