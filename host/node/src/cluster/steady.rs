//! A feed that goes on.

use tracing::debug;

use super::{PodEvent, PodFeed};
use crate::pauses::Pauses;

/// A feed with patience: after an error it asks again with growing pauses, and what comes next is a snapshot.
pub(crate) struct Steady {
    feed: Box<dyn PodFeed>,
    /// Of what, for messages.
    what: &'static str,
    pauses: Pauses,
}

impl Steady {
    /// Over a feed of objects that are called so.
    pub(crate) fn new(what: &'static str, feed: Box<dyn PodFeed>) -> Self {
        Self { feed, what, pauses: Pauses::of_work() }
    }

    /// The next changes; waits as long as it takes.
    pub(crate) async fn next(&mut self) -> Vec<PodEvent> {
        loop {
            match self.feed.next().await {
                Ok(events) => {
                    self.pauses.reset();
                    return events;
                }
                Err(error) => {
                    debug!(what = self.what, %error, "a feed of objects broke off; it starts again");
                    self.pauses.wait().await;
                }
            }
        }
    }

    /// Hands over all that comes, until nobody takes it any more.
    pub(crate) async fn tell<T>(mut self, to: tokio::sync::mpsc::Sender<T>, kind: impl Fn(Vec<PodEvent>) -> T) {
        while to.send(kind(self.next().await)).await.is_ok() {}
    }
}
