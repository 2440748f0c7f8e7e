//! How long things take and how often they fail. Seeded by the pod's name, so that a run can be repeated.

use std::hash::Hasher;
use std::time::Duration;

use fnv::FnvHasher;
use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};

/// A duration drawn anew every time: uniform around the middle.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Latency {
    /// The middle.
    pub typical: Duration,
    /// Up to this share more or less: 0.5 draws from half to one and a half times the middle.
    pub jitter: f64,
}

impl Latency {
    /// So many milliseconds, more or less.
    pub fn millis(typical: u64, jitter: f64) -> Self {
        Self { typical: Duration::from_millis(typical), jitter }
    }

    fn draw(self, rng: &mut SmallRng) -> Duration {
        let jitter = self.jitter.clamp(0.0, 1.0);
        self.typical.mul_f64(rng.random_range(1.0 - jitter..=1.0 + jitter))
    }
}

/// The behaviour of hollow pods.
#[derive(Clone, Debug, PartialEq)]
pub struct Model {
    /// Two runs with the same seed and the same pods do the same.
    pub seed: u64,
    /// From binding to all containers running.
    pub start: Latency,
    /// From the end of a pod's containers to the end of the pod; never more than its grace period.
    pub stop: Latency,
    /// Chance that a start fails at pulling the image; it is tried again later.
    pub pull_failure: f64,
    /// Until a failed pull is tried again.
    pub pull_retry: Latency,
    /// Chance that a pod that started will crash at some time.
    pub crash: f64,
    /// How long a crashing pod lives, and how long one runs that ends by itself (restartPolicy other than Always).
    pub life: Latency,
    /// Until a crashed container is started again.
    pub crash_backoff: Latency,
}

impl Default for Model {
    /// Healthy nodes with images at hand.
    fn default() -> Self {
        Self {
            seed: 0,
            start: Latency::millis(150, 0.5),
            stop: Latency::millis(100, 0.5),
            pull_failure: 0.0,
            pull_retry: Latency::millis(10_000, 0.2),
            crash: 0.0,
            life: Latency::millis(30_000, 0.9),
            crash_backoff: Latency::millis(10_000, 0.1),
        }
    }
}

/// What a hollow pod does next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// The image can't be pulled.
    FailPull,
    /// All containers run.
    Run,
    /// A container ends with an error and waits to be started again.
    Crash,
    /// Containers end well and stay ended.
    Finish,
    /// The pod was told to go, and its containers have ended.
    End,
    /// The same, and now it is gone.
    Vanish,
}

impl Model {
    /// What comes after `last` (`None`: the pod has just come) and when. `name` identifies the pod, `count` how many
    /// steps it has made.
    pub(super) fn next(&self, name: &str, count: u32, last: Option<Step>, ends: bool) -> Option<(Step, Duration)> {
        let rng = &mut self.rng(name, count);
        match last {
            None => Some(self.attempt(self.start, rng)),
            Some(Step::FailPull) => Some(self.attempt(self.pull_retry, rng)),
            Some(Step::Crash) => Some((Step::Run, self.crash_backoff.draw(rng))),
            Some(Step::Run) if rng.random_bool(self.crash.clamp(0.0, 1.0)) => Some((Step::Crash, self.life.draw(rng))),
            Some(Step::Run) if ends => Some((Step::Finish, self.life.draw(rng))),
            Some(Step::Run | Step::Finish | Step::End | Step::Vanish) => None,
        }
    }

    /// How long a pod takes to go.
    pub(super) fn stopping(&self, name: &str, count: u32, grace: Duration) -> Duration {
        self.stop.draw(&mut self.rng(name, count)).min(grace)
    }

    fn attempt(&self, delay: Latency, rng: &mut SmallRng) -> (Step, Duration) {
        let step = if rng.random_bool(self.pull_failure.clamp(0.0, 1.0)) { Step::FailPull } else { Step::Run };
        (step, delay.draw(rng))
    }

    fn rng(&self, name: &str, count: u32) -> SmallRng {
        // FNV: stable over builds, which std's hasher does not promise.
        let mut hasher = FnvHasher::default();
        hasher.write(&self.seed.to_le_bytes());
        hasher.write(name.as_bytes());
        hasher.write(&count.to_le_bytes());
        SmallRng::seed_from_u64(hasher.finish())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_does_the_same() {
        let model = Model { pull_failure: 0.5, crash: 0.5, ..Model::default() };
        let other = Model { seed: 1, ..model.clone() };
        let walk = |model: &Model| (0..200).map(|i| model.next(&format!("a/p{i}"), 0, None, false)).collect::<Vec<_>>();
        assert_eq!(walk(&model), walk(&model));
        assert_ne!(walk(&model), walk(&other));
    }

    #[test]
    fn steps_follow_each_other() {
        let never = Model::default();
        assert_eq!(never.next("a/b", 0, None, false).map(|s| s.0), Some(Step::Run));
        assert_eq!(never.next("a/b", 1, Some(Step::Run), false), None);
        assert_eq!(never.next("a/b", 1, Some(Step::Run), true).map(|s| s.0), Some(Step::Finish));
        let always = Model { pull_failure: 1.0, crash: 1.0, ..Model::default() };
        assert_eq!(always.next("a/b", 0, None, false).map(|s| s.0), Some(Step::FailPull));
        assert_eq!(always.next("a/b", 1, Some(Step::Run), true).map(|s| s.0), Some(Step::Crash));
        assert_eq!(always.next("a/b", 2, Some(Step::Crash), true).map(|s| s.0), Some(Step::Run));
    }

    #[test]
    fn latencies_stay_within_their_jitter() {
        let model = Model::default();
        for i in 0..500 {
            let (_, delay) = model.next(&format!("a/p{i}"), 0, None, false).unwrap();
            assert!((75..=225).contains(&delay.as_millis()), "{delay:?}");
            assert!(model.stopping("a/b", i, Duration::from_millis(60)) <= Duration::from_millis(60));
        }
    }
}
