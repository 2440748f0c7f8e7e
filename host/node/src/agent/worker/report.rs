//! What a worker tells: the status, Events of waiting, and what may be asked about the pod.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use gantry_model::status::Reason;
use gantry_model::{Record, Status};
use jiff::Timestamp;
use serde_json::Value;

use super::jobs::Done;
use super::{Farewell, Worker};
use crate::agent::desired::Unit;
use crate::agent::instance::{Instance, Life};
use crate::agent::planner::Plan;
use crate::agent::quantity;
use crate::agent::registry::{LogTarget, Shown, ShownContainer};
use crate::agent::status::{self, Seen};
use crate::time::after;

/// The longest wait between tries to write a status, in seconds.
const LONGEST_WRITE: u32 = 10;

impl Worker {
    pub(super) fn report(&mut self, plan: &Plan, now: Timestamp) {
        self.tell_waits(plan);
        self.publish(plan);
        self.write(plan, now);
    }

    fn tell_waits(&mut self, plan: &Plan) {
        let key = self.desired.key.clone();
        for (container, waiting) in &plan.waiting {
            if self.told.get(container) == Some(&waiting.reason) {
                continue;
            }
            let field = Some(container.as_str());
            match waiting.reason.as_str() {
                "CrashLoopBackOff" => {
                    let pod = self.desired.full_name();
                    let message = format!("Back-off restarting failed container {container} in pod {pod}");
                    self.context.warn(&key, field, "BackOff", message);
                }
                "ImagePullBackOff" => {
                    let image = self.desired.unit(container).and_then(|unit| unit.spec.image.clone());
                    let message = format!("Back-off pulling image \"{}\"", image.unwrap_or_default());
                    self.context.tell(&key, field, "BackOff", message);
                    self.context.warn(&key, field, "Failed", "Error: ImagePullBackOff");
                }
                _ => {}
            }
        }
        self.told = plan.waiting.iter().map(|(name, waiting)| (name.clone(), waiting.reason.clone())).collect();
    }

    fn publish(&mut self, plan: &Plan) {
        // A pod of the same name that came later is the one that people mean.
        if self.context.registry.is_taken(&self.desired.key) && self.stopping() {
            return;
        }
        let mut containers = HashMap::new();
        for unit in self.desired.units.clone() {
            let shown = self.show(&unit, plan);
            containers.insert(unit.name().to_owned(), shown);
        }
        self.context.registry.show(&self.desired.key, Shown { uid: self.desired.key.uid.clone(), containers });
    }

    fn show(&mut self, unit: &Unit, plan: &Plan) -> ShownContainer {
        let key = self.desired.key.clone();
        let of_unit = |i: &&Instance| i.container == unit.name() && i.life != Life::Created && i.in_runtime;
        let mut begun: Vec<Instance> = self.instances.iter().filter(of_unit).cloned().collect();
        begun.sort_by_key(|instance| std::cmp::Reverse(instance.attempt));
        let log = |instance: &Instance| self.context.log_path(&key, unit.name(), instance.attempt);
        // As the kubelet has it: while a container waits for its next start, the one that ended last is the previous.
        let waits = plan.waiting.contains_key(unit.name());
        let ended = begun.iter().find(|instance| !instance.is_running());
        let previous = if waits { ended } else { begun.get(1) }.map(log);
        let latest = begun.first().map(|latest| (log(latest), latest.id.clone(), latest.is_running()));
        let running = latest.as_ref().filter(|(_, _, running)| *running).map(|(_, id, _)| id.clone());
        let log = latest.map(|(path, id, running)| {
            let ended = self.token(&id);
            if !running {
                ended.cancel();
            }
            LogTarget { path, ended }
        });
        let waiting = plan.waiting.get(unit.name()).map(|waiting| waiting.reason.clone()).unwrap_or_default();
        let limits = unit.spec.resources.as_ref().and_then(|resources| resources.limits.as_ref());
        let memory_limit = quantity::whole(limits, "memory").and_then(|limit| u64::try_from(limit).ok());
        ShownContainer { running, log, previous, waiting, memory_limit }
    }

    fn status(&self, plan: &Plan, now: Timestamp) -> Value {
        status::status(&Seen {
            desired: &self.desired,
            instances: &self.instances,
            health: &self.health,
            plan,
            // Containers that are taken over prove it before it is looked at.
            prepared: self.net.is_some() || self.instances.iter().any(Instance::is_running),
            torn_down: self.torn_down,
            addresses: self.net.as_ref().map_or(&[], |net| net.addresses.as_slice()),
            host: &self.context.facts.addresses,
            started: self.started,
            verdict: self.verdict.as_ref(),
            runtime: &self.context.runtime_name,
            now,
        })
    }

    /// The status that the API has.
    fn api_status(&self) -> Value {
        serde_json::to_value(self.desired.status()).unwrap_or_default()
    }

    fn write(&mut self, plan: &Plan, now: Timestamp) {
        if self.write_after.is_some_and(|at| at <= now) {
            self.write_after = None;
        }
        if self.writing || self.write_after.is_some() || self.gone || self.farewell != Farewell::No {
            return;
        }
        let status = self.status(plan, now);
        if self.is_written(&status) {
            return;
        }
        self.writing = true;
        let (context, pod, base) = (self.context.clone(), self.desired.key.clone(), self.desired.revision);
        self.jobs.spawn(async move {
            let result = context.cluster.write_pod_status(&pod, Some(base), status.clone()).await;
            Done::Wrote(Box::new((status, result)))
        });
    }

    /// The API has it, or has made of it what it makes of it.
    fn is_written(&self, status: &Value) -> bool {
        let api = self.api_status();
        api == *status || self.written.as_ref().is_some_and(|(sent, got)| sent == status && *got == api)
    }

    pub(super) fn wrote(&mut self, sent: Value, result: Result<Arc<Record>, Status>) {
        match result {
            Ok(record) => {
                self.writing = false;
                self.write_delay = 0;
                self.renew(&record);
                self.written = Some((sent, self.api_status()));
            }
            Err(error) if matches!(error.reason, Reason::Conflict | Reason::NotFound) => {
                let (context, pod) = (self.context.clone(), self.desired.key.clone());
                self.jobs.spawn(async move { Done::Reread(context.cluster.pod(&pod).await) });
            }
            Err(error) => self.write_later(&error),
        }
    }

    pub(super) fn reread(&mut self, result: Result<Option<Arc<Record>>, Status>) {
        match result {
            Ok(Some(record)) => {
                self.writing = false;
                if record.revision <= self.desired.revision {
                    // Not the revision was the conflict: do not ask again at once.
                    self.write_after = Some(after(self.context.clock.now(), Duration::from_secs(1)));
                }
                self.renew(&record);
            }
            Ok(None) => {
                self.writing = false;
                self.gone = true;
            }
            Err(error) => self.write_later(&error),
        }
    }

    fn write_later(&mut self, error: &Status) {
        tracing::warn!(%error, pod = %self.desired.key, "can't write a pod's status");
        self.writing = false;
        self.write_delay = self.write_delay.saturating_mul(2).clamp(1, LONGEST_WRITE);
        self.write_after = Some(after(self.context.clock.now(), Duration::from_secs(self.write_delay.into())));
    }

    /// Once nothing is left of a deleted pod and its last status is written, its object may go.
    pub(super) fn say_farewell(&mut self, plan: &Plan) {
        let leaving = self.gone || self.desired.deletion.is_some();
        if !leaving || !self.torn_down || self.writing {
            return;
        }
        let told = self.gone || self.farewell != Farewell::No || {
            self.is_written(&self.status(plan, self.context.clock.now()))
        };
        if told {
            self.farewell_steps();
        }
    }
}
