//! Pods whose binding was refused for themselves. Nothing that happens elsewhere makes the next try succeed, so they come
//! back by the clock, each at its own pace, and hold up nobody.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use gantry_model::Key;

/// The pods that wait for a moment.
#[derive(Default)]
pub(super) struct Held {
    until: BTreeSet<(Instant, Key)>,
}

impl Held {
    /// Not to be tried before this moment.
    pub(super) fn hold(&mut self, key: Key, until: Instant) {
        self.until.insert((until, key));
    }

    /// Those whose moment has come. They are held no more; some may be gone by now.
    pub(super) fn due(&mut self, now: Instant) -> Vec<Key> {
        let mut due = Vec::new();
        while self.until.first().is_some_and(|(until, _)| *until <= now) {
            due.extend(self.until.pop_first().map(|(_, key)| key));
        }
        due
    }

    /// How long until the next moment.
    pub(super) fn wait(&self, now: Instant) -> Option<Duration> {
        self.until.first().map(|(until, _)| until.saturating_duration_since(now))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use gantry_model::key::Resource;

    #[test]
    fn pods_come_back_in_the_order_of_their_moments() {
        let key = |name: &str| Key::new(Resource::new("", "pods"), "a", name);
        let (mut held, now) = (Held::default(), Instant::now());
        let at = |millis| now + Duration::from_millis(millis);
        for (name, millis) in [("late", 30), ("soon", 10), ("next", 20)] {
            held.hold(key(name), at(millis));
        }
        assert_eq!(held.wait(now), Some(Duration::from_millis(10)));
        assert!(held.due(at(9)).is_empty());
        assert_eq!(held.due(at(20)), [key("soon"), key("next")]);
        assert_eq!(held.wait(at(40)), Some(Duration::ZERO));
        assert_eq!((held.due(at(40)), held.wait(now)), (vec![key("late")], None));
    }
}
