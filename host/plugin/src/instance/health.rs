//! How a plugin does: for the Plugin object, for metrics, and for deciding whether it may be called.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use metrics::{Counter, Gauge, Histogram};
use tokio::sync::watch;

use super::breaker::{Breaker, Closed, FaultPolicy};
use crate::fault::{Fault, Finding};

/// The calls that bring a new instance up.
const SETUP: [&str; 8] = [
    "admission.describe",
    "api.configure",
    "controller.describe",
    "scheduler.configure",
    "scheduler.sync",
    "network.configure",
    "network.restore",
    "sink.configure",
];

/// How a plugin does now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum State {
    /// Well.
    Ready,
    /// It failed often lately. Still tried, with pauses.
    Degraded,
    /// It failed too often and the bundle says `halt`.
    Halted,
}

/// A snapshot of a plugin's health.
#[derive(Clone, Debug)]
pub struct Report {
    /// How it does.
    pub state: State,
    /// Calls made since it was loaded.
    pub calls: u64,
    /// Calls that ended without an answer.
    pub faults: u64,
    /// The last of these, and when.
    pub last_fault: Option<(SystemTime, Fault)>,
    /// Instances alive.
    pub instances: u64,
    /// Bytes of linear memory that they have.
    pub memory_bytes: u64,
}

/// Shared by all instances of a plugin.
pub(crate) struct Health {
    plugin: String,
    inner: Mutex<Inner>,
    /// Grows with every fault and change of state.
    changes: watch::Sender<u64>,
    calls: AtomicU64,
    instances: AtomicU64,
    memory: AtomicU64,
    sites: Mutex<HashMap<&'static str, Arc<Call>>>,
    memory_gauge: Gauge,
    bytes_in: Counter,
    bytes_out: Counter,
}

struct Inner {
    breaker: Breaker,
    faults: u64,
    last_fault: Option<(SystemTime, Fault)>,
    state: State,
}

/// The metrics of one call.
pub(crate) struct Call {
    pub name: &'static str,
    /// Whether its success says that the plugin works. What every new instance goes through does not: one that traps
    /// at each real call would seem well each time it is made anew.
    proof: bool,
    calls: Counter,
    seconds: Histogram,
    faults: Counter,
}

impl Health {
    pub(crate) fn new(plugin: &str, policy: FaultPolicy, halts: bool) -> Self {
        let name = plugin.to_owned();
        let bytes = |direction: &'static str| metrics::counter!("gantry_plugin_bytes_total", "plugin" => name.clone(), "direction" => direction);
        let inner = Inner { breaker: Breaker::new(policy, halts), faults: 0, last_fault: None, state: State::Ready };
        Self {
            bytes_in: bytes("in"),
            bytes_out: bytes("out"),
            memory_gauge: metrics::gauge!("gantry_plugin_memory_bytes", "plugin" => name.clone()),
            plugin: name,
            inner: Mutex::new(inner),
            changes: watch::Sender::new(0),
            calls: AtomicU64::new(0),
            instances: AtomicU64::new(0),
            memory: AtomicU64::new(0),
            sites: Mutex::default(),
        }
    }

    /// The metrics of a call, made once.
    pub(crate) fn site(&self, name: &'static str) -> Arc<Call> {
        let mut sites = lock(&self.sites);
        sites.entry(name).or_insert_with(|| Arc::new(Call::new(&self.plugin, name))).clone()
    }

    /// Bytes that went into the guest.
    pub(crate) fn moved_in(&self, bytes: usize) {
        self.bytes_in.increment(bytes as u64);
    }

    /// Bytes that came out of the guest.
    pub(crate) fn moved_out(&self, bytes: usize) {
        self.bytes_out.increment(bytes as u64);
    }

    pub(crate) fn instance_made(&self) {
        self.instances.fetch_add(1, Relaxed);
    }

    pub(crate) fn instance_gone(&self, memory: u64) {
        self.instances.fetch_sub(1, Relaxed);
        self.memory_moved(memory, 0);
    }

    /// An instance that had `before` bytes has `after` now.
    pub(crate) fn memory_moved(&self, before: u64, after: u64) {
        if before != after {
            self.memory.fetch_add(after, Relaxed);
            let old = self.memory.fetch_sub(before, Relaxed);
            self.memory_gauge.set(old.saturating_sub(before) as f64);
        }
    }

    /// Whether an instance may be made or called now.
    pub(crate) fn admit(&self) -> Result<(), Finding> {
        let reason = match lock(&self.inner).breaker.admit(Instant::now()) {
            Ok(()) => return Ok(()),
            Err(Closed::For(pause)) => format!("it failed; tried again in {} ms", pause.as_millis().max(1)),
            Err(Closed::Halted) => "it failed too often and the bundle says halt; load the bundle again".to_owned(),
        };
        Err(Finding::Unavailable(reason))
    }

    pub(crate) fn halted(&self) -> bool {
        lock(&self.inner).breaker.halted()
    }

    pub(crate) fn success(&self, call: &Call, took: Duration) {
        self.calls.fetch_add(1, Relaxed);
        call.calls.increment(1);
        call.seconds.record(took);
        let mut inner = lock(&self.inner);
        if call.proof {
            inner.breaker.success();
        }
        self.settle(&mut inner);
    }

    pub(crate) fn fault(&self, call: &Call, took: Duration, fault: &Fault) {
        self.calls.fetch_add(1, Relaxed);
        call.calls.increment(1);
        call.seconds.record(took);
        call.faults.increment(1);
        tracing::error!(plugin = fault.plugin, version = fault.version, call = fault.call, "{}", fault.finding);
        if let Finding::Trap { backtrace, .. } = &fault.finding {
            tracing::debug!(plugin = fault.plugin, version = fault.version, "{backtrace}");
        }
        let mut inner = lock(&self.inner);
        inner.faults += 1;
        inner.breaker.fault(Instant::now());
        inner.last_fault = Some((SystemTime::now(), fault.clone()));
        self.settle(&mut inner);
        self.changes.send_modify(|n| *n += 1);
    }

    pub(crate) fn report(&self) -> Report {
        let mut inner = lock(&self.inner);
        self.settle(&mut inner);
        Report {
            state: inner.state.clone(),
            calls: self.calls.load(Relaxed),
            faults: inner.faults,
            last_fault: inner.last_fault.clone(),
            instances: self.instances.load(Relaxed),
            memory_bytes: self.memory.load(Relaxed),
        }
    }

    pub(crate) fn changes(&self) -> watch::Receiver<u64> {
        self.changes.subscribe()
    }

    fn settle(&self, inner: &mut Inner) {
        let state = match () {
            () if inner.breaker.halted() => State::Halted,
            () if inner.faults > 0 && inner.breaker.degraded(Instant::now()) => State::Degraded,
            () => State::Ready,
        };
        if state != inner.state {
            inner.state = state;
            self.changes.send_modify(|n| *n += 1);
        }
    }
}

impl Call {
    fn new(plugin: &str, name: &'static str) -> Self {
        let plugin = plugin.to_owned();
        Self {
            name,
            proof: !SETUP.contains(&name),
            calls: metrics::counter!("gantry_plugin_calls_total", "plugin" => plugin.clone(), "call" => name),
            seconds: metrics::histogram!("gantry_plugin_call_seconds", "plugin" => plugin.clone(), "call" => name),
            faults: metrics::counter!("gantry_plugin_faults_total", "plugin" => plugin, "call" => name),
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
