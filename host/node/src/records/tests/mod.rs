//! Logs written by a real writer, read by a reader or shipped by a service to sinks that the tests play.

mod reading;
mod shipping;

use std::path::{Path, PathBuf};

use crate::logs::{Limit, LogWriter, Notices};

/// A folder of logs with one container's.
struct Logs {
    dir: tempfile::TempDir,
    notices: Notices,
}

impl Logs {
    fn new() -> Self {
        let logs = Self { dir: tempfile::tempdir().unwrap(), notices: Notices::default() };
        std::fs::create_dir_all(logs.pod().join("app")).unwrap();
        logs
    }

    fn root(&self) -> PathBuf {
        self.dir.path().join("logs")
    }

    fn state(&self) -> PathBuf {
        self.dir.path().join("records")
    }

    fn pod(&self) -> PathBuf {
        self.root().join("shop_web_u-1")
    }

    fn log(&self, attempt: u32) -> PathBuf {
        self.pod().join("app").join(format!("{attempt}.log"))
    }

    fn writer(&self, path: &Path, bytes: u64, files: u32) -> LogWriter {
        LogWriter::new(path, Limit { bytes, files }).telling(self.notices.clone())
    }
}
