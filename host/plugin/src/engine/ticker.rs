//! The clock of deadlines: one thread that advances the engine's epoch while calls are under way, and sleeps otherwise.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Weak};
use std::thread::{self, Thread};
use std::time::Duration;

/// Quiet ticks after which the thread goes to sleep.
const LINGER: u32 = 200;

/// Hands out beats and keeps the thread.
pub(crate) struct Ticker {
    engine: wasmtime::Engine,
    shared: Arc<Shared>,
    thread: Thread,
}

struct Shared {
    calls: AtomicUsize,
    asleep: AtomicBool,
}

/// A call under way: the clock runs while one exists.
pub(crate) struct Beat(Arc<Shared>);

impl Ticker {
    pub(super) fn start(engine: wasmtime::Engine, tick: Duration) -> std::io::Result<Arc<Self>> {
        let shared = Arc::new(Shared { calls: AtomicUsize::new(0), asleep: AtomicBool::new(false) });
        let (weak, clock) = (Arc::downgrade(&shared), engine.clone());
        let handle = thread::Builder::new().name("plugin-epoch".to_owned()).spawn(move || run(&weak, &clock, tick))?;
        Ok(Arc::new(Self { engine, shared, thread: handle.thread().clone() }))
    }

    pub(crate) fn engine(&self) -> &wasmtime::Engine {
        &self.engine
    }

    pub(crate) fn beat(&self) -> Beat {
        self.shared.calls.fetch_add(1, SeqCst);
        if self.shared.asleep.load(SeqCst) {
            self.thread.unpark();
        }
        Beat(self.shared.clone())
    }
}

impl Drop for Ticker {
    fn drop(&mut self) {
        self.thread.unpark();
    }
}

impl Drop for Beat {
    fn drop(&mut self) {
        self.0.calls.fetch_sub(1, SeqCst);
    }
}

/// Ends when the ticker and all beats are gone.
fn run(shared: &Weak<Shared>, engine: &wasmtime::Engine, tick: Duration) {
    let mut quiet = 0;
    loop {
        thread::sleep(tick);
        let Some(shared) = shared.upgrade() else { return };
        engine.increment_epoch();
        quiet = if shared.calls.load(SeqCst) > 0 { 0 } else { quiet + 1 };
        if quiet < LINGER {
            continue;
        }
        // `asleep` is set before the last look at `calls`, and `beat` does it the other way round: one of the two sees
        // the other. A wakeup that comes early is kept by `park`.
        shared.asleep.store(true, SeqCst);
        let idle = shared.calls.load(SeqCst) == 0;
        let watch = Arc::downgrade(&shared);
        drop(shared);
        if idle {
            thread::park();
        }
        quiet = 0;
        match watch.upgrade() {
            Some(shared) => shared.asleep.store(false, SeqCst),
            None => return,
        }
    }
}
