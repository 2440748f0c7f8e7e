//! How long to wait after failures.

use std::time::Duration;

use rand::Rng;

/// Doubling waits with a bound.
#[derive(Clone, Copy, Debug)]
pub struct Backoff {
    /// After the first failure.
    pub first: Duration,
    /// Never more than this.
    pub most: Duration,
}

impl Backoff {
    /// For keys of a loop: Kubernetes' controllers begin at 5 ms and stop at 1,000 s; here the end is five minutes, since
    /// an operator who mends a plugin does not wait longer.
    pub const KEYS: Self = Self { first: Duration::from_millis(10), most: Duration::from_secs(300) };

    /// For a loop's own connections: watches, a plugin that is away.
    pub const LOOPS: Self = Self { first: Duration::from_millis(50), most: Duration::from_secs(10) };

    /// The shortest wait that a plugin may ask for: what comes after a first failure. With less it would spin.
    pub const FLOOR: Duration = Self::KEYS.first;

    /// The wait that a plugin asked for, in milliseconds.
    pub fn asked(millis: u64) -> Duration {
        Duration::from_millis(millis).max(Self::FLOOR)
    }

    /// The wait after so many failures in a row, with up to a fifth more at random so that keys that failed together
    /// do not come back together.
    pub fn after(&self, failures: u32) -> Duration {
        let doubled = self.first.saturating_mul(1_u32.checked_shl(failures.saturating_sub(1)).unwrap_or(u32::MAX));
        doubled.min(self.most).mul_f64(1.0 + rand::rng().random_range(0.0..0.2))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_plugin_makes_the_host_spin() {
        for (asked, wait) in [(0, 10), (9, 10), (11, 11), (u64::MAX, u128::from(u64::MAX))] {
            assert_eq!(Backoff::asked(asked).as_millis(), wait);
        }
    }

    #[test]
    fn waits_double_up_to_the_bound() {
        let backoff = Backoff { first: Duration::from_millis(10), most: Duration::from_secs(1) };
        for (failures, least) in [(1, 10), (2, 20), (5, 160), (8, 1000), (100, 1000)] {
            let wait = backoff.after(failures).as_millis();
            assert!((least..=least * 6 / 5).contains(&wait), "{failures}: {wait}");
        }
    }
}
