//! Mounts that are only noted; a bind mount is a link, so that what it shows can be read.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use crate::agent::volumes::Mounts;

#[derive(Default)]
pub struct FakeMounts {
    pub mounted: Mutex<BTreeMap<PathBuf, String>>,
}

impl Mounts for FakeMounts {
    fn tmpfs(&self, at: &Path, size: Option<u64>) -> io::Result<()> {
        assert!(at.is_dir(), "{} is no directory", at.display());
        self.mounted.lock().unwrap().insert(at.to_owned(), format!("tmpfs {size:?}"));
        Ok(())
    }

    fn bind(&self, from: &Path, to: &Path) -> io::Result<()> {
        let from = std::fs::canonicalize(from)?;
        assert_eq!(from.is_dir(), to.is_dir(), "{} and {} differ in type", from.display(), to.display());
        self.mounted.lock().unwrap().insert(to.to_owned(), from.display().to_string());
        Ok(())
    }

    fn is_mounted(&self, at: &Path) -> io::Result<bool> {
        Ok(self.mounted.lock().unwrap().contains_key(at))
    }

    fn unmount_below(&self, folder: &Path) -> io::Result<()> {
        self.mounted.lock().unwrap().retain(|at, _| !at.starts_with(folder));
        Ok(())
    }
}
