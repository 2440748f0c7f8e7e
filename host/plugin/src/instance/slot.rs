//! A place for one instance. Calls take the instance out and put it back when they end well, so one that trapped, or
//! whose caller went away in the middle, is never entered again.

use std::future::Future;
use std::sync::Arc;
use std::time::Instant;

use wasmtime::component::InstancePre;
use wasmtime::{PoolConcurrencyLimitError, Store, UpdateDeadline, WasmBacktrace};

use super::health::Call;
use super::meter::{Meter, Overrun};
use crate::engine::{Beat, Ticker};
use crate::family;
use crate::family::network::{Operation, plan_family};
use crate::fault::{Fault, Finding};
use crate::host::{Host, Plugin};

/// Ticks between two looks at the meter.
const TICKS: u64 = 1;

/// A world of the contract, as bindgen makes it.
pub(crate) trait World: Send + Sync + 'static {
    /// Ready to be instantiated.
    type Pre: Send + Sync;
    /// The exports of an instance.
    type Exports: Send + Sync;
    /// Whether its instances may write objects where the bundle grants it.
    const WRITES: bool;
    /// Finds the exports.
    fn pre(pre: InstancePre<Host>) -> wasmtime::Result<Self::Pre>;
    /// Makes an instance.
    fn instantiate(
        pre: &Self::Pre,
        store: &mut Store<Host>,
    ) -> impl Future<Output = wasmtime::Result<Self::Exports>> + Send;
}

/// What a slot needs to make instances.
pub(crate) struct Recipe<W: World> {
    pub plugin: Arc<Plugin>,
    pub pre: W::Pre,
    pub ticker: Arc<Ticker>,
}

/// A place for one instance.
pub(crate) struct Slot<W: World> {
    recipe: Arc<Recipe<W>>,
    instance: Option<Instance<W>>,
}

/// A live instance.
pub(crate) struct Instance<W: World> {
    pub store: Store<Host>,
    pub exports: Arc<W::Exports>,
    pub meter: Arc<Meter>,
    memory: u64,
}

impl<W: World> Drop for Instance<W> {
    fn drop(&mut self) {
        self.store.data().plugin.health.instance_gone(self.memory);
    }
}

/// A call that is under way.
pub(crate) struct Running<W: World> {
    pub instance: Instance<W>,
    site: Arc<Call>,
    began: Instant,
    _beat: Beat,
}

impl<W: World> Slot<W> {
    pub(crate) fn new(recipe: Arc<Recipe<W>>) -> Self {
        Self { recipe, instance: None }
    }

    pub(crate) fn plugin(&self) -> &Arc<Plugin> {
        &self.recipe.plugin
    }

    /// Forgets the instance.
    pub(crate) fn clear(&mut self) {
        self.instance = None;
    }

    /// Whether there is an instance.
    pub(crate) fn filled(&self) -> bool {
        self.instance.is_some()
    }

    /// Makes an instance if there is none. The deadline of `call` holds for this too: start functions run here.
    pub(crate) async fn fill(&mut self, call: &'static str) -> family::Call<()> {
        let plugin = &self.recipe.plugin;
        // A pause is for making instances: one that lives has done no wrong. A halt is for all.
        if self.instance.is_some() && !plugin.health.halted() {
            return Ok(());
        }
        plugin.health.admit().map_err(|finding| fault(plugin, call, finding))?;
        let site = plugin.health.site(call);
        let began = Instant::now();
        let beat = self.recipe.ticker.beat();
        match self.recipe.make().await {
            Ok(instance) => {
                self.instance = Some(instance);
                drop(beat);
                Ok(())
            }
            Err(finding) => {
                let fault = fault(plugin, call, finding);
                plugin.health.fault(&site, began.elapsed(), &fault);
                Err(fault)
            }
        }
    }

    /// Takes the instance for a call and arms its deadline. Only after `fill`.
    pub(crate) fn begin(&mut self, call: &'static str) -> family::Call<Running<W>> {
        let plugin = &self.recipe.plugin;
        let Some(mut instance) = self.instance.take() else {
            return Err(unavailable(plugin, call, "it has no instance: reset comes first"));
        };
        instance.meter.arm();
        instance.store.set_epoch_deadline(TICKS);
        instance.store.data_mut().limits.take_refused();
        let site = plugin.health.site(call);
        Ok(Running { instance, site, began: Instant::now(), _beat: self.recipe.ticker.beat() })
    }

    /// Ends a call: an answer puts the instance back, anything else becomes a fault.
    pub(crate) fn end<R>(&mut self, running: Running<W>, result: wasmtime::Result<R>) -> family::Call<R> {
        let Running { mut instance, site, began, .. } = running;
        let plugin = &self.recipe.plugin;
        match result {
            Ok(answer) => {
                let used = instance.store.data().limits.used();
                plugin.health.memory_moved(instance.memory, used);
                instance.memory = used;
                plugin.health.success(&site, began.elapsed());
                self.instance = Some(instance);
                Ok(answer)
            }
            Err(error) => {
                let fault = fault(plugin, site.name, finding(&mut instance.store, &error));
                drop(instance);
                plugin.health.fault(&site, began.elapsed(), &fault);
                Err(fault)
            }
        }
    }

    /// An answer that breaks the contract: the instance goes, the plugin is marked.
    pub(crate) fn nonsense(&mut self, call: &'static str, what: String) -> Fault {
        self.clear();
        let plugin = &self.recipe.plugin;
        let fault = fault(plugin, call, Finding::Nonsense(what));
        plugin.health.fault(&plugin.health.site(call), std::time::Duration::ZERO, &fault);
        fault
    }

    /// Plans change a node, so what gives any must be granted plans of that family.
    pub(crate) fn planned<'a>(
        &mut self,
        call: &'static str,
        plans: impl Iterator<Item = &'a Vec<Operation>>,
    ) -> Result<(), Fault> {
        let grants = &self.plugin().grants;
        match plans.flatten().map(plan_family).find(|family| !grants.plan(family)) {
            Some(family) => {
                let what = format!("a plan, though the bundle does not grant plans of the family {family}");
                Err(self.nonsense(call, what))
            }
            None => Ok(()),
        }
    }
}

impl<W: World> Recipe<W> {
    async fn make(&self) -> Result<Instance<W>, Finding> {
        let host = Host::new(self.plugin.clone(), W::WRITES).map_err(|e| Finding::Unavailable(format!("{e:#}")))?;
        let meter = host.meter.clone();
        let mut store = Store::new(self.ticker.engine(), host);
        store.limiter(|host| &mut host.limits);
        store.set_epoch_deadline(TICKS);
        // A guest that runs on lets others have the thread at every tick.
        store.epoch_deadline_callback(|store| {
            store.data().meter.check()?;
            Ok(UpdateDeadline::Yield(TICKS))
        });
        meter.arm();
        let made = meter.drive(W::instantiate(&self.pre, &mut store)).await;
        match made {
            Ok(exports) => {
                let memory = store.data().limits.used();
                self.plugin.health.instance_made();
                self.plugin.health.memory_moved(0, memory);
                Ok(Instance { store, exports: Arc::new(exports), meter, memory })
            }
            Err(error) => Err(finding(&mut store, &error)),
        }
    }
}

/// Calls an export of a slot's instance: `call!(slot, "family.function", |exports, store| future)`.
macro_rules! call {
    ($slot:expr, $name:expr, |$exports:ident, $store:ident| $call:expr) => {{
        match $slot.begin($name) {
            Ok(mut running) => {
                let result = {
                    let $exports = running.instance.exports.clone();
                    let meter = running.instance.meter.clone();
                    let $store = &mut running.instance.store;
                    meter.drive($call).await
                };
                $slot.end(running, result)
            }
            Err(fault) => Err(fault),
        }
    }};
}
pub(crate) use call;

fn finding(store: &mut Store<Host>, error: &wasmtime::Error) -> Finding {
    if error.downcast_ref::<Overrun>().is_some() {
        let deadline = store.data().meter.deadline();
        return Finding::Deadline(u64::try_from(deadline.as_millis()).unwrap_or(u64::MAX));
    }
    if store.data_mut().limits.take_refused() {
        return Finding::Memory(store.data().limits.max());
    }
    if error.downcast_ref::<PoolConcurrencyLimitError>().is_some() {
        return Finding::Unavailable(format!("too many instances are alive: {error}"));
    }
    let log = store.data().lines.take();
    let backtrace = error.downcast_ref::<WasmBacktrace>().map(ToString::to_string).unwrap_or_default();
    Finding::Trap { message: panic_message(&log).unwrap_or_else(|| error.root_cause().to_string()), backtrace, log }
}

/// What the guest's panic hook printed: `... panicked at src/lib.rs:1:2:` and the message, on the same line or the next.
fn panic_message(log: &[String]) -> Option<String> {
    let at = log.iter().rposition(|line| line.contains("panicked at"))?;
    let line = log.get(at)?.trim();
    match log.get(at + 1) {
        Some(next) if line.ends_with(':') => Some(format!("{line} {}", next.trim())),
        _ => Some(line.to_owned()),
    }
}

pub(crate) fn unavailable(plugin: &Plugin, call: &str, why: &str) -> Fault {
    fault(plugin, call, Finding::Unavailable(why.to_owned()))
}

fn fault(plugin: &Plugin, call: &str, finding: Finding) -> Fault {
    Fault { plugin: plugin.name.clone(), version: plugin.version.clone(), call: call.to_owned(), finding }
}

#[cfg(test)]
mod tests {
    use super::panic_message;

    #[test]
    fn finds_what_a_panic_said() {
        let lines = |lines: &[&str]| lines.iter().map(|l| (*l).to_owned()).collect::<Vec<_>>();
        let table = [
            (
                lines(&["a", "thread 'main' panicked at src/lib.rs:3:9:", "no node 7", "note: run"]),
                Some("thread 'main' panicked at src/lib.rs:3:9: no node 7"),
            ),
            (lines(&["panicked at src/lib.rs:3:9: no node 7"]), Some("panicked at src/lib.rs:3:9: no node 7")),
            (lines(&["all is well"]), None),
        ];
        for (log, want) in table {
            assert_eq!(panic_message(&log).as_deref(), want);
        }
    }
}
