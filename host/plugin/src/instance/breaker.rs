//! When a plugin that failed may be tried again.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// How faults are answered. The first fault costs nothing: a new instance takes microseconds. After that the pauses
/// double.
#[derive(Clone, Copy, Debug)]
pub struct FaultPolicy {
    /// This many faults ...
    pub limit: usize,
    /// ... within this time mark the plugin degraded.
    pub window: Duration,
    /// The pause after the second fault in a row.
    pub first_pause: Duration,
    /// The longest pause.
    pub longest_pause: Duration,
}

impl Default for FaultPolicy {
    fn default() -> Self {
        Self {
            limit: 5,
            window: Duration::from_secs(60),
            first_pause: Duration::from_millis(100),
            longest_pause: Duration::from_secs(30),
        }
    }
}

/// The faults of one plugin.
pub(super) struct Breaker {
    policy: FaultPolicy,
    halts: bool,
    recent: VecDeque<Instant>,
    in_a_row: u32,
    until: Option<Instant>,
    halted: bool,
}

/// Why not now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Closed {
    /// Not for this long.
    For(Duration),
    /// Not before the bundle is loaded anew.
    Halted,
}

impl Breaker {
    pub(super) fn new(policy: FaultPolicy, halts: bool) -> Self {
        Self { policy, halts, recent: VecDeque::new(), in_a_row: 0, until: None, halted: false }
    }

    /// May it be called?
    pub(super) fn admit(&self, now: Instant) -> Result<(), Closed> {
        match self.until {
            _ if self.halted => Err(Closed::Halted),
            Some(until) if until > now => Err(Closed::For(until - now)),
            _ => Ok(()),
        }
    }

    pub(super) fn success(&mut self) {
        self.in_a_row = 0;
        self.until = None;
    }

    pub(super) fn fault(&mut self, now: Instant) {
        self.in_a_row = self.in_a_row.saturating_add(1);
        self.recent.push_back(now);
        if self.recent.len() > self.policy.limit {
            self.recent.pop_front();
        }
        self.until = self.in_a_row.checked_sub(2).map(|doublings| now + self.pause(doublings));
        self.halted |= self.halts && self.degraded(now);
    }

    fn pause(&self, doublings: u32) -> Duration {
        let factor = 2_u32.saturating_pow(doublings.min(20));
        self.policy.first_pause.saturating_mul(factor).min(self.policy.longest_pause)
    }

    /// Whether it failed too often lately.
    pub(super) fn degraded(&self, now: Instant) -> bool {
        let lately = |at: &&Instant| now.duration_since(**at) <= self.policy.window;
        self.halted || self.recent.iter().filter(lately).count() >= self.policy.limit
    }

    pub(super) fn halted(&self) -> bool {
        self.halted
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(n: u64) -> Duration {
        Duration::from_millis(n)
    }

    #[test]
    fn pauses_grow_and_success_ends_them() {
        let start = Instant::now();
        let mut breaker = Breaker::new(FaultPolicy::default(), false);
        let mut pauses = Vec::new();
        for _ in 0..5 {
            breaker.fault(start);
            pauses.push(breaker.admit(start).err());
        }
        let want = [None, Some(100), Some(200), Some(400), Some(800)].map(|p| p.map(|p| Closed::For(ms(p))));
        assert_eq!(pauses, want);
        assert!(breaker.degraded(start));
        assert_eq!(breaker.admit(start + ms(800)), Ok(()));
        breaker.success();
        assert_eq!(breaker.admit(start), Ok(()));
        assert!(breaker.degraded(start) && !breaker.degraded(start + ms(60_001)));
    }

    #[test]
    fn the_longest_pause_is_a_bound() {
        let start = Instant::now();
        let mut breaker = Breaker::new(FaultPolicy::default(), false);
        for _ in 0..200 {
            breaker.fault(start);
        }
        assert_eq!(breaker.admit(start), Err(Closed::For(ms(30_000))));
    }

    #[test]
    fn halts_when_the_bundle_says_so() {
        let start = Instant::now();
        let mut breaker = Breaker::new(FaultPolicy { limit: 2, ..FaultPolicy::default() }, true);
        breaker.fault(start);
        assert!(breaker.admit(start).is_ok() && !breaker.halted());
        breaker.fault(start);
        breaker.success();
        assert_eq!(breaker.admit(start + ms(1_000_000)), Err(Closed::Halted));
    }
}
