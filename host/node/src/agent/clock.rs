//! What time it is. Tests that run on tokio's paused clock get instants that move along with it.

use std::time::Duration;

use jiff::Timestamp;
use tokio::time::Instant;

/// A source of instants.
#[derive(Clone, Debug)]
pub enum Clock {
    /// The machine's.
    System,
    /// Tokio's, counted from a moment.
    Tokio {
        /// What it shows at `at`.
        base: Timestamp,
        /// When it shows `base`.
        at: Instant,
    },
}

impl Clock {
    /// A clock that follows tokio's.
    pub fn tokio(base: Timestamp) -> Self {
        Clock::Tokio { base, at: Instant::now() }
    }

    /// Now.
    pub fn now(&self) -> Timestamp {
        match self {
            Clock::System => Timestamp::now(),
            Clock::Tokio { base, at } => crate::time::after(*base, at.elapsed()),
        }
    }

    /// How long it is until then; zero when that is past.
    pub fn until(&self, then: Timestamp) -> Duration {
        crate::time::between(self.now(), then)
    }

    /// Waits until then.
    pub async fn sleep_until(&self, then: Timestamp) {
        tokio::time::sleep(self.until(then)).await;
    }
}
