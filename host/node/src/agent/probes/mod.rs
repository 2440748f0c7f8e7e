//! Probes of running containers: one task a probe, which says only what changed.

mod exec;
mod grpc;
pub mod http;
pub mod tcp;
#[cfg(test)]
mod tests;

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::api::core::v1::{Container, Probe};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use super::context::Context;
use crate::cluster::PodRef;

/// What a probe is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// The container has come up. The others wait for it.
    Startup,
    /// The container must be killed when it fails.
    Liveness,
    /// The container is to get traffic.
    Readiness,
}

impl Kind {
    /// As Events spell it.
    fn title(self) -> &'static str {
        match self {
            Kind::Startup => "Startup",
            Kind::Liveness => "Liveness",
            Kind::Readiness => "Readiness",
        }
    }

    /// In the middle of a sentence.
    pub fn word(self) -> &'static str {
        match self {
            Kind::Startup => "startup",
            Kind::Liveness => "liveness",
            Kind::Readiness => "readiness",
        }
    }

    /// The probe of a container.
    pub fn of(self, container: &Container) -> Option<&Probe> {
        match self {
            Kind::Startup => container.startup_probe.as_ref(),
            Kind::Liveness => container.liveness_probe.as_ref(),
            Kind::Readiness => container.readiness_probe.as_ref(),
        }
    }
}

/// What a probe has come to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Often enough good.
    Good,
    /// Often enough bad.
    Bad,
}

/// Whom probes speak to.
#[derive(Clone, Debug)]
pub struct Target<'a> {
    address: Option<IpAddr>,
    container: &'a Container,
}

impl<'a> Target<'a> {
    /// A container of a pod with this address.
    pub fn new(address: Option<IpAddr>, container: &'a Container) -> Self {
        Self { address, container }
    }

    /// The host: the given one or the pod's address.
    fn host(&self, given: Option<&str>) -> Result<String, String> {
        match (given.filter(|host| !host.is_empty()), self.address) {
            (Some(host), _) => Ok(host.to_owned()),
            (None, Some(address)) => Ok(address.to_string()),
            (None, None) => Err("the pod has no address".to_owned()),
        }
    }

    /// A port by number or by name.
    fn port(&self, port: &IntOrString) -> Result<u16, String> {
        let named = |name: &str| {
            let ports = self.container.ports.iter().flatten();
            let found = ports.into_iter().find(|port| port.name.as_deref() == Some(name));
            found.map(|port| port.container_port).or_else(|| name.parse().ok())
        };
        let number = match port {
            IntOrString::Int(number) => Some(*number),
            IntOrString::String(name) => named(name),
        };
        let number = number.and_then(|number| u16::try_from(number).ok()).filter(|number| *number != 0);
        number.ok_or_else(|| format!("couldn't find port {port:?} in container {}", self.container.name))
    }
}

/// Counts what a probe finds.
#[derive(Clone, Copy, Debug)]
pub struct Counter {
    success: u32,
    failure: u32,
    last: Option<bool>,
    run: u32,
}

impl Counter {
    /// With the probe's thresholds.
    pub fn new(probe: &Probe) -> Self {
        let at_least_one = |value: Option<i32>, default| {
            value.and_then(|value| u32::try_from(value).ok()).filter(|value| *value > 0).unwrap_or(default)
        };
        Self {
            success: at_least_one(probe.success_threshold, 1),
            failure: at_least_one(probe.failure_threshold, 3),
            last: None,
            run: 0,
        }
    }

    /// Counts one finding. Answers once enough of the same came in a row, and again with each more.
    pub fn count(&mut self, good: bool) -> Option<Verdict> {
        self.run = if self.last == Some(good) { self.run.saturating_add(1) } else { 1 };
        self.last = Some(good);
        let (enough, verdict) = if good { (self.success, Verdict::Good) } else { (self.failure, Verdict::Bad) };
        (self.run >= enough).then_some(verdict)
    }
}

/// A probe of one instance.
pub struct Prober {
    /// Shared.
    pub context: Arc<Context>,
    /// The pod.
    pub pod: PodRef,
    /// Its address.
    pub address: Option<IpAddr>,
    /// The container.
    pub container: Arc<Container>,
    /// The instance.
    pub id: String,
    /// What the probe is for.
    pub kind: Kind,
}

impl Prober {
    /// Probes until `tell` says that nobody listens. `tell` gets each verdict that differs from the one before.
    pub async fn run<F: Future<Output = bool>>(self, started: Duration, tell: impl Fn(Verdict) -> F) {
        let Some(probe) = self.kind.of(&self.container).cloned() else { return };
        let seconds = |value: Option<i32>, default: u64| {
            let value = value.and_then(|value| u64::try_from(value).ok());
            Duration::from_secs(value.filter(|value| *value > 0).unwrap_or(default))
        };
        let delay = Duration::from_secs(probe.initial_delay_seconds.and_then(|s| u64::try_from(s).ok()).unwrap_or(0));
        tokio::time::sleep(delay.saturating_sub(started)).await;
        let mut counter = Counter::new(&probe);
        let mut before = None;
        let mut tick = tokio::time::interval(seconds(probe.period_seconds, 10));
        tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            tick.tick().await;
            let found = self.probe(&probe, seconds(probe.timeout_seconds, 1)).await;
            if let Err(message) = &found {
                let message = format!("{} probe failed: {message}", self.kind.title());
                self.context.warn(&self.pod, Some(&self.container.name), "Unhealthy", message);
            }
            let verdict = counter.count(found.is_ok());
            if verdict.is_some() && verdict != before {
                before = verdict;
                if let Some(verdict) = verdict
                    && !tell(verdict).await
                {
                    return;
                }
            }
        }
    }

    async fn probe(&self, probe: &Probe, patience: Duration) -> Result<(), String> {
        let target = Target::new(self.address, &self.container);
        if let Some(exec) = &probe.exec {
            return exec::run(&*self.context.runtime, &self.id, exec, patience).await;
        }
        if let Some(get) = &probe.http_get {
            return http::get(&target, get, patience).await;
        }
        if let Some(tcp) = &probe.tcp_socket {
            return tcp::connect(&target, tcp.host.as_deref(), &tcp.port, patience).await;
        }
        match &probe.grpc {
            Some(action) => grpc::check(&target, action, patience).await,
            None => Err("the probe names no action".to_owned()),
        }
    }
}
