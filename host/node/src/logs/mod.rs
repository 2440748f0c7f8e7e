//! Container logs as files: lines in CRI's format, cut and rotated by size, read back across the cuts.

mod cri;
mod files;
mod reader;
mod writer;

pub use cri::{Record, Source};
pub use reader::{LogQuery, read};
pub use writer::{Limit, LogWriter};
