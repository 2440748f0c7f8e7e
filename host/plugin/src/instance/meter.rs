//! How long a guest has run, in ticks of the engine's clock at which it was seen running. Ticks that pass while it waits
//! (for a durable write, a file, a timer) or while the machine runs something else are not its own: many of them
//! together look like one. So a busy host does not make a good plugin miss its deadline, as a stopwatch would.

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Waiting has a bound too, so that a guest asleep or a host call that hangs does not hold a call for ever.
const WAIT: Duration = Duration::from_secs(60);

/// The count of one instance.
pub(crate) struct Meter {
    deadline: Duration,
    /// The deadline in ticks.
    allowed: u64,
    /// Ticks seen in this call.
    seen: AtomicU64,
    /// The guest has just begun or come back from waiting: the next tick may be one that passed meanwhile.
    rested: AtomicBool,
    /// It has just been asked to let others have the thread, which is no waiting.
    asked: AtomicBool,
    /// When the call was armed.
    armed: Mutex<Instant>,
}

/// Ends a guest that ran too long. Travels through wasmtime as the error of the epoch's callback.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("deadline passed")]
pub(crate) struct Overrun;

impl Meter {
    pub(crate) fn new(deadline: Duration, tick: Duration) -> Self {
        let allowed = deadline.as_nanos().div_ceil(tick.as_nanos().max(1)).max(1);
        Self {
            deadline,
            allowed: u64::try_from(allowed).unwrap_or(u64::MAX),
            seen: AtomicU64::new(0),
            rested: AtomicBool::new(true),
            asked: AtomicBool::new(false),
            armed: Mutex::new(Instant::now()),
        }
    }

    pub(crate) fn deadline(&self) -> Duration {
        self.deadline
    }

    /// Arms the deadline for a new call.
    pub(crate) fn arm(&self) {
        self.seen.store(0, Relaxed);
        self.rested.store(true, Relaxed);
        self.asked.store(false, Relaxed);
        *self.armed.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
    }

    /// How long this call may still take, all waiting included.
    pub(crate) fn left(&self) -> Duration {
        let armed = *self.armed.lock().unwrap_or_else(PoisonError::into_inner);
        (self.deadline + WAIT).saturating_sub(armed.elapsed())
    }

    /// Asked from inside the guest at a tick: may it go on? If so it lets others have the thread, and goes on later.
    pub(crate) fn check(&self) -> Result<(), Overrun> {
        self.asked.store(true, Relaxed);
        if self.rested.swap(false, Relaxed) {
            return Ok(());
        }
        let seen = self.seen.fetch_add(1, Relaxed) + 1;
        if seen >= self.allowed { Err(Overrun) } else { Ok(()) }
    }

    /// Drives a call. A pause that did not come from `check` is one in which the guest waits.
    pub(crate) async fn drive<R>(&self, call: impl Future<Output = wasmtime::Result<R>>) -> wasmtime::Result<R> {
        let mut call = pin!(call);
        let metered = poll_fn(|cx| {
            let polled = call.as_mut().poll(cx);
            if polled.is_pending() && !self.asked.swap(false, Relaxed) {
                self.rested.store(true, Relaxed);
            }
            polled
        });
        match tokio::time::timeout(self.deadline + WAIT, metered).await {
            Ok(result) => result,
            Err(_) => Err(Overrun.into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TICK: Duration = Duration::from_millis(5);

    fn ticks(meter: &Meter) -> usize {
        (0..100).take_while(|_| meter.check().is_ok()).count()
    }

    #[test]
    fn a_deadline_is_a_number_of_ticks() {
        for (deadline, allowed) in [(1, 1), (5, 1), (6, 2), (50, 10)] {
            let meter = Meter::new(Duration::from_millis(deadline), TICK);
            // The first tick of a call may have begun before it and is free.
            assert_eq!(ticks(&meter), allowed, "{deadline} ms");
            meter.arm();
            assert!(meter.left() > WAIT && meter.left() <= WAIT + meter.deadline());
            assert_eq!(ticks(&meter), allowed, "each call has its own");
        }
    }

    #[tokio::test]
    async fn waiting_is_free_and_running_is_not() {
        let meter = Meter::new(Duration::from_millis(50), TICK);
        meter.arm();
        let waiting = meter.drive(async {
            for _ in 0..50 {
                // As at a tick: the guest is asked, yields, and later waits for something of the host.
                meter.check()?;
                tokio::task::yield_now().await;
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
            Ok(())
        });
        waiting.await.unwrap();
        meter.arm();
        let running = meter.drive(async {
            for _ in 0..50 {
                meter.check()?;
                tokio::task::yield_now().await;
            }
            Ok(())
        });
        assert!(running.await.unwrap_err().downcast_ref::<Overrun>().is_some());
    }
}
