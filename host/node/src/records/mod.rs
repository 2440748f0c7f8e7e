//! Log lines of containers on their way to sinks.
//!
//! The log files are the buffer. Each [`Outlet`] (a sink) has a lane of its own, which reads the files at its own pace,
//! hands a batch over, and moves its positions only when the batch's fate is decided. So a slow sink costs no memory and
//! holds up nobody: it is behind in the files, until they are rotated away under it, and then it is counted what it
//! missed. Positions are kept per sink for the same reason: one file for all would move at the pace of the slowest, or
//! forget what that has not got.
//!
//! At least once: a batch that was accepted and whose positions were not yet written when the node was killed comes
//! again.

mod batch;
mod cursor;
mod join;
mod lane;
mod origin;
mod outlet;
mod place;
mod positions;
mod reader;
mod service;
#[cfg(test)]
mod tests;

pub use outlet::{Away, Batch, Fate, Outlet};
pub use positions::Error;
pub use service::{Handle, Options, start};
