//! What a worker learns of its containers.

use std::fs;
use std::io::{Read, Seek, SeekFrom};
use std::path::Path;
use std::sync::Arc;

use k8s_openapi::api::core::v1::{Container, ContainerStatus};
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

use super::jobs::Done;
use super::{Event, Worker};
use crate::agent::instance::{End, Instance, Life};
use crate::agent::planner::{Doom, Health};
use crate::agent::probes::{Kind, Prober, Verdict};
use crate::runtime::{Exit, RuntimeError, State};

/// The most of a termination message that is shown, and of a log in its place.
const MOST_MESSAGE: u64 = 4096;
const MOST_LOG: u64 = 2048;
const MOST_LOG_LINES: usize = 80;

impl Worker {
    /// Takes what was found as it is: running containers go on.
    pub(super) fn take_over(&mut self) {
        let found = self.instances.clone();
        for instance in &found {
            match &instance.life {
                Life::Running => self.note_start(instance, true),
                Life::Ended(end) => {
                    let mut end = end.clone();
                    self.last_words(instance, &mut end);
                    self.set_life(&instance.id, Life::Ended(end));
                }
                Life::Created => {}
            }
        }
    }

    pub(super) fn find(&self, id: &str) -> Option<&Instance> {
        self.instances.iter().find(|instance| instance.id == id)
    }

    fn set_life(&mut self, id: &str, life: Life) {
        if let Some(instance) = self.instances.iter_mut().find(|instance| instance.id == id) {
            instance.life = life;
        }
    }

    /// Adds an instance, or replaces what is known of it.
    pub(super) fn put(&mut self, instance: Instance) {
        self.instances.retain(|known| known.id != instance.id);
        self.instances.push(instance);
    }

    /// An instance runs. With `before`, it was running before this agent: what the status says of it holds.
    pub(super) fn note_start(&mut self, instance: &Instance, before: bool) {
        let Some(unit) = self.desired.unit(&instance.container) else { return };
        let container = unit.spec.clone();
        let told = if before { self.told_of(instance) } else { None };
        let started = told.is_some_and(|status| status.started == Some(true));
        let ready = told.is_some_and(|status| status.ready);
        let post_start = container.lifecycle.as_ref().is_some_and(|lifecycle| lifecycle.post_start.is_some());
        let key = &self.desired.key;
        let hooked = self.context.hooked_path(&key.uid, &instance.container, instance.attempt).exists();
        let health = Health {
            started: started || container.startup_probe.is_none(),
            hooked: hooked || !post_start,
            ready: ready || container.readiness_probe.is_none(),
            doom: None,
        };
        self.health.insert(instance.id.clone(), health);
        self.ended.entry(instance.id.clone()).or_default();
    }

    fn told_of(&self, instance: &Instance) -> Option<&ContainerStatus> {
        let status = self.desired.status()?;
        let all = status.init_container_statuses.iter().chain(&status.container_statuses).flatten();
        let id = |status: &&ContainerStatus| {
            status.container_id.as_ref().is_some_and(|id| id.rsplit("//").next() == Some(instance.id.as_str()))
        };
        all.into_iter().find(id)
    }

    pub(super) fn token(&mut self, id: &str) -> CancellationToken {
        self.ended.entry(id.to_owned()).or_default().clone()
    }

    pub(super) fn note_end(&mut self, id: &str, exit: &Exit) {
        self.end(id, End::of(exit));
    }

    fn end(&mut self, id: &str, mut end: End) {
        let Some(instance) = self.find(id).cloned() else { return };
        if instance.end().is_some() {
            return;
        }
        self.last_words(&instance, &mut end);
        self.set_life(id, Life::Ended(end));
        self.health.remove(id);
        self.probers.retain(|(of, _), _| of != id);
        self.token(id).cancel();
    }

    /// Reads why the container ended, where it says so.
    fn last_words(&self, instance: &Instance, end: &mut End) {
        let Some(unit) = self.desired.unit(&instance.container) else { return };
        let key = &self.desired.key;
        let file = self.context.termination_path(&key.uid, &instance.container, instance.attempt);
        let mut words = tail(&file, MOST_MESSAGE).unwrap_or_default();
        let fall_back = unit.spec.termination_message_policy.as_deref() == Some("FallbackToLogsOnError");
        if words.is_empty() && fall_back && end.code != 0 {
            let log = self.context.log_path(key, &instance.container, instance.attempt);
            words = last_lines(&tail(&log, 4 * MOST_LOG).unwrap_or_default());
        }
        if !words.is_empty() {
            end.message = words;
        }
    }

    pub(super) fn note_probe(&mut self, id: &str, kind: Kind, verdict: Verdict) {
        let Some(instance) = self.find(id) else { return };
        let name = instance.container.clone();
        let unit = self.desired.unit(&name);
        let grace = unit.and_then(|unit| kind.of(&unit.spec)?.termination_grace_period_seconds);
        let Some(health) = self.health.get_mut(id) else { return };
        match (kind, verdict) {
            (Kind::Startup, Verdict::Good) => health.started = true,
            (Kind::Readiness, verdict) => health.ready = verdict == Verdict::Good,
            (Kind::Liveness, Verdict::Good) => {}
            (Kind::Startup | Kind::Liveness, Verdict::Bad) => {
                let message = format!("Container {name} failed {} probe, will be restarted", kind.word());
                health.doom = Some(Doom { message, grace });
            }
        }
    }

    /// Starts the probes that are due and ends those that are not.
    pub(super) fn sync_probers(&mut self) {
        let stopping = self.stopping();
        if stopping {
            self.probers.retain(|(_, kind), _| *kind == Kind::Readiness);
        }
        let Some(address) = self.net.as_ref().map(|net| net.addresses.first().copied()) else { return };
        let running: Vec<Instance> = self.instances.iter().filter(|i| i.is_running()).cloned().collect();
        for instance in running {
            let Some(unit) = self.desired.unit(&instance.container) else { continue };
            let (container, up) = (unit.spec.clone(), self.health.get(&instance.id).is_some_and(|h| h.started));
            if up {
                self.probers.remove(&(instance.id.clone(), Kind::Startup));
            }
            for kind in [Kind::Startup, Kind::Liveness, Kind::Readiness] {
                let due = up == (kind != Kind::Startup) && !(stopping && kind != Kind::Readiness);
                let key = (instance.id.clone(), kind);
                if due && kind.of(&container).is_some() && !self.probers.contains_key(&key) {
                    let handle = self.prober(&instance, kind, container.clone(), address);
                    self.probers.insert(key, handle);
                }
            }
        }
    }

    fn prober(
        &self,
        instance: &Instance,
        kind: Kind,
        container: Arc<Container>,
        address: Option<std::net::IpAddr>,
    ) -> AbortOnDropHandle<()> {
        let (context, pod, id) = (self.context.clone(), self.desired.key.clone(), instance.id.clone());
        let age = instance.started.map(|at| crate::time::between(at, context.clock.now())).unwrap_or_default();
        let prober = Prober { context, pod, address, container, id: id.clone(), kind };
        let own = self.own.clone();
        let tell = move |verdict| {
            let (own, id) = (own.clone(), id.clone());
            async move {
                match own.upgrade() {
                    Some(own) => own.send(Event::Probe(id, kind, verdict)).await.is_ok(),
                    None => false,
                }
            }
        };
        AbortOnDropHandle::new(tokio::spawn(prober.run(age, tell)))
    }

    /// Asks the runtime about every instance that is thought to run.
    pub(super) fn look(&mut self) {
        self.looked = self.context.clock.now();
        for instance in self.instances.iter().filter(|i| i.is_running()) {
            let (context, id) = (self.context.clone(), instance.id.clone());
            self.jobs.spawn(async move {
                let state = context.runtime.state(&id).await;
                Done::Looked(id, state)
            });
        }
    }

    pub(super) fn note_state(&mut self, id: &str, state: Result<State, RuntimeError>) {
        match state {
            Ok(State::Exited(exit)) => self.note_end(id, &exit),
            Ok(State::Unknown) | Err(RuntimeError::NotFound(_)) => {
                let lost = End::lost(self.context.clock.now());
                self.end(id, lost);
            }
            Ok(State::Created | State::Running { .. }) | Err(_) => {}
        }
    }
}

/// The last bytes of a file as text.
fn tail(path: &Path, most: u64) -> Option<String> {
    let mut file = fs::File::open(path).ok()?;
    let length = file.metadata().ok()?.len();
    file.seek(SeekFrom::Start(length.saturating_sub(most))).ok()?;
    let mut bytes = Vec::new();
    file.take(most).read_to_end(&mut bytes).ok()?;
    Some(String::from_utf8_lossy(&bytes).into_owned())
}

/// The last lines of a log in CRI's format, without their heads.
fn last_lines(text: &str) -> String {
    let lines: Vec<&str> = text.lines().filter_map(|line| line.splitn(4, ' ').nth(3)).collect();
    let from = lines.len().saturating_sub(MOST_LOG_LINES);
    let text = lines.get(from..).unwrap_or_default().join("\n");
    let skip = text.len().saturating_sub(MOST_LOG as usize);
    let skip = (skip..=text.len()).find(|at| text.is_char_boundary(*at)).unwrap_or_default();
    text.get(skip..).unwrap_or_default().to_owned()
}
