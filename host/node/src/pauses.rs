//! Growing pauses between attempts.

use std::time::Duration;

use backon::{BackoffBuilder, ExponentialBuilder};

/// Pauses that double up to a bound, each longer by a random part of up to itself, so that what failed together does not
/// come back together.
#[derive(Debug)]
pub(crate) struct Pauses {
    plan: ExponentialBuilder,
    longest: Duration,
    next: <ExponentialBuilder as BackoffBuilder>::Backoff,
}

impl Pauses {
    /// For work on this node: short enough that nobody looks for what is wrong while it is mended already, and in the end
    /// long enough to cost nothing.
    pub(crate) fn of_work() -> Self {
        Self::between(Duration::from_millis(200), Duration::from_secs(30))
    }

    /// From the first to the longest, without the random part.
    pub(crate) fn between(first: Duration, longest: Duration) -> Self {
        let plan =
            ExponentialBuilder::new().with_min_delay(first).with_max_delay(longest).without_max_times().with_jitter();
        Self { plan, longest, next: plan.build() }
    }

    /// After a success: the next failure is the first again.
    pub(crate) fn reset(&mut self) {
        self.next = self.plan.build();
    }

    /// After what has worked for so long: longer than the longest pause is a success.
    pub(crate) fn worked(&mut self, time: Duration) {
        if time > self.longest {
            self.reset();
        }
    }

    /// How long to wait after this failure.
    pub(crate) fn next(&mut self) -> Duration {
        self.next.next().unwrap_or(self.longest)
    }

    /// Waits for it.
    pub(crate) async fn wait(&mut self) {
        tokio::time::sleep(self.next()).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_to_a_bound_and_begin_anew() {
        let (first, longest) = (Duration::from_millis(100), Duration::from_secs(1));
        let mut pauses = Pauses::between(first, longest);
        for step in 0..100 {
            let least = first.saturating_mul(1 << step.min(10)).min(longest);
            let pause = pauses.next();
            assert!(pause >= least && pause <= least * 2, "step {step}: {pause:?}");
        }
        pauses.worked(longest);
        assert!(pauses.next() >= longest);
        pauses.worked(longest * 2);
        assert!(pauses.next() <= first * 2);
    }
}
