//! How long a guest has run. Counted while its future is being polled and only then: what it waits for (a durable
//! write, a file, a timer) passes outside of a poll and is the host's time.

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

/// Waiting has a bound too, so that a guest asleep or a host call that hangs does not hold a call for ever.
const WAIT: Duration = Duration::from_secs(60);

/// The stopwatch of one instance.
pub(crate) struct Meter {
    deadline: Duration,
    epoch: Instant,
    /// Nanoseconds spent in polls that ended.
    spent: AtomicU64,
    /// Nanoseconds from `epoch` to the begin of the poll that runs.
    entered: AtomicU64,
}

/// Ends a guest that ran too long. Travels through wasmtime as the error of the epoch's callback.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("deadline passed")]
pub(crate) struct Overrun;

impl Meter {
    pub(crate) fn new(deadline: Duration) -> Self {
        Self { deadline, epoch: Instant::now(), spent: AtomicU64::new(0), entered: AtomicU64::new(0) }
    }

    pub(crate) fn deadline(&self) -> Duration {
        self.deadline
    }

    /// Arms the deadline for a new call.
    pub(crate) fn arm(&self) {
        self.spent.store(0, Relaxed);
        self.entered.store(self.now(), Relaxed);
    }

    /// Asked from inside the guest at every tick: may it go on?
    pub(crate) fn check(&self) -> Result<(), Overrun> {
        let running = self.now().saturating_sub(self.entered.load(Relaxed));
        let spent = Duration::from_nanos(self.spent.load(Relaxed).saturating_add(running));
        if spent >= self.deadline { Err(Overrun) } else { Ok(()) }
    }

    /// Drives a call, with the watch running whenever the guest does.
    pub(crate) async fn drive<R>(&self, call: impl Future<Output = wasmtime::Result<R>>) -> wasmtime::Result<R> {
        let mut call = pin!(call);
        let metered = poll_fn(|cx| {
            self.entered.store(self.now(), Relaxed);
            let polled = call.as_mut().poll(cx);
            let running = self.now().saturating_sub(self.entered.load(Relaxed));
            self.spent.fetch_add(running, Relaxed);
            polled
        });
        match tokio::time::timeout(self.deadline + WAIT, metered).await {
            Ok(result) => result,
            Err(_) => Err(Overrun.into()),
        }
    }

    fn now(&self) -> u64 {
        u64::try_from(self.epoch.elapsed().as_nanos()).unwrap_or(u64::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn counts_polls_and_not_waiting() {
        let meter = Meter::new(Duration::from_millis(100));
        meter.arm();
        let waited = meter.drive(async {
            tokio::time::sleep(Duration::from_millis(150)).await;
            Ok(())
        });
        waited.await.unwrap();
        assert!(meter.check().is_ok(), "waiting is not charged");
        meter.arm();
        let begin = Instant::now();
        while begin.elapsed() < Duration::from_millis(101) {
            std::hint::spin_loop();
        }
        assert!(meter.check().is_err(), "running is charged");
        meter.arm();
        assert!(meter.check().is_ok(), "each call has its own");
    }
}
