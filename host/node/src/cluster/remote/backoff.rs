//! Growing pauses between tries.

use std::time::Duration;

const FIRST: Duration = Duration::from_millis(250);
/// Short enough that a node is back soon after its server; with jitter, a thousand nodes then ask 200 times a second.
const LONGEST: Duration = Duration::from_secs(10);

/// Pauses that double, each cut by a random part of up to half, so that nodes which lost their server together do not
/// come back together.
#[derive(Debug)]
pub struct Backoff {
    next: Duration,
}

impl Default for Backoff {
    fn default() -> Self {
        Self { next: FIRST }
    }
}

impl Backoff {
    /// After a success.
    pub fn reset(&mut self) {
        self.next = FIRST;
    }

    /// How long to wait after this failure.
    pub fn pause(&mut self) -> Duration {
        let pause = self.next.mul_f64(rand::random_range(0.5..=1.0));
        self.next = (self.next * 2).min(LONGEST);
        pause
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_to_a_bound_and_begin_anew() {
        let mut backoff = Backoff::default();
        for step in 0..12 {
            let full = FIRST.saturating_mul(1 << step).min(LONGEST);
            let pause = backoff.pause();
            assert!(pause >= full / 2 && pause <= full, "step {step}: {pause:?}");
        }
        backoff.reset();
        assert!(backoff.pause() <= FIRST);
    }
}
