//! Why the store said no. Each case is a decision for the caller.

use gantry_model::Key;

/// A failed store operation.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The write expected another revision: read again and decide again.
    #[error("{key} is at revision {current:?}, not at the one expected")]
    Conflict {
        /// What was to be written.
        key: Key,
        /// The revision in force, `None` when there is no object.
        current: Option<u64>,
    },
    /// A watch or list asks for a revision that is no longer kept: list anew.
    #[error("revision {asked} is compacted, the oldest kept is {oldest}")]
    Compacted {
        /// The revision asked for.
        asked: u64,
        /// The oldest one that can be resumed from.
        oldest: u64,
    },
    /// More writes wait than the store takes: try again later.
    #[error("the store's write queue is full")]
    Busy,
    /// The disk failed. Nothing was acknowledged; the store refuses writes from now on.
    #[error("the store failed: {0}")]
    Failed(String),
    /// The data directory can't be used (newer format, locked by another process, damaged).
    #[error("can't open the store at {path}: {reason}")]
    Open {
        /// The data directory.
        path: String,
        /// What is wrong and what to do.
        reason: String,
    },
}
