//! What writers of logs tell those who follow them: which log has grown, and which file is about to go. A follower is
//! woken by what happens, and costs nothing while nothing does.

use std::collections::HashMap;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use serde::{Deserialize, Serialize};
use tokio::sync::Notify;

use super::files::FileId;

/// Files that went and were not looked at yet. A follower looks within milliseconds; beyond this only their lines are
/// counted.
const MOST_GONE: usize = 1024;

/// Where writers tell. Clones tell the same listeners.
#[derive(Clone, Debug, Default)]
pub struct Notices(Arc<RwLock<Vec<Arc<Shared>>>>);

/// One follower's ear. Dropping it ends the listening.
pub struct Listener {
    notices: Notices,
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    news: Mutex<News>,
    wake: Notify,
}

/// What happened since a listener last asked.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct News {
    /// Logs that were written to, and how many bytes each got.
    pub grown: HashMap<Arc<Path>, u64>,
    /// Files that were removed to keep to the limit, in the order of their removal.
    pub gone: Vec<Gone>,
    /// Lines of further files that were removed.
    pub more_gone: u64,
}

/// A file that a writer removed.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Gone {
    /// The log that it was part of.
    pub log: Arc<Path>,
    /// Which file.
    pub file: FileId,
    /// Its records.
    pub lines: u64,
    /// Its size.
    pub bytes: u64,
}

impl News {
    /// Whether nothing happened.
    pub fn is_empty(&self) -> bool {
        self.grown.is_empty() && self.gone.is_empty() && self.more_gone == 0
    }
}

impl Notices {
    /// Listens from now on.
    pub fn listen(&self) -> Listener {
        let shared = Arc::new(Shared::default());
        self.0.write().unwrap_or_else(PoisonError::into_inner).push(shared.clone());
        Listener { notices: self.clone(), shared }
    }

    /// Whether anybody listens.
    pub fn heard(&self) -> bool {
        !self.0.read().unwrap_or_else(PoisonError::into_inner).is_empty()
    }

    /// A log got so many bytes.
    pub fn grown(&self, log: &Arc<Path>, bytes: u64) {
        self.tell(|news| *news.grown.entry(log.clone()).or_default() += bytes);
    }

    /// A file will be removed: said before it is, so that whoever misses it has the word already. (Of the proxy's log it is
    /// heard a moment later: it is another process.)
    pub fn gone(&self, gone: &Gone) {
        self.tell(|news| {
            if news.gone.len() < MOST_GONE {
                news.gone.push(gone.clone());
            } else {
                news.more_gone += gone.lines;
            }
        });
    }

    /// Says what somebody else was told.
    pub fn pass_on(&self, heard: &News) {
        self.tell(|news| {
            for (log, bytes) in &heard.grown {
                *news.grown.entry(log.clone()).or_default() += bytes;
            }
            let room = MOST_GONE.saturating_sub(news.gone.len());
            let (kept, more) = heard.gone.split_at(room.min(heard.gone.len()));
            news.gone.extend(kept.iter().cloned());
            news.more_gone += heard.more_gone + more.iter().map(|gone| gone.lines).sum::<u64>();
        });
    }

    fn tell(&self, change: impl Fn(&mut News)) {
        for shared in self.0.read().unwrap_or_else(PoisonError::into_inner).iter() {
            change(&mut shared.news.lock().unwrap_or_else(PoisonError::into_inner));
            shared.wake.notify_one();
        }
    }
}

impl Listener {
    /// Waits until something has happened.
    pub async fn wait(&self) {
        loop {
            let heard = self.shared.wake.notified();
            if !self.shared.news.lock().unwrap_or_else(PoisonError::into_inner).is_empty() {
                return;
            }
            heard.await;
        }
    }

    /// Takes what happened.
    pub fn take(&self) -> News {
        std::mem::take(&mut *self.shared.news.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        let mut all = self.notices.0.write().unwrap_or_else(PoisonError::into_inner);
        all.retain(|shared| !Arc::ptr_eq(shared, &self.shared));
    }
}
