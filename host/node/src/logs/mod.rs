//! Container logs as files: lines in CRI's format, cut and rotated by size, read back across the cuts.

mod cri;
pub(crate) mod files;
mod notices;
mod reader;
mod writer;

/// The access log of the node's proxy, below the folder of all logs.
pub const ACCESS: &str = "proxy/access.log";

pub use cri::{Record, Source};
pub use notices::{Gone, Listener, News, Notices};
pub use reader::{LogQuery, read};
pub use writer::{Limit, LogWriter};
