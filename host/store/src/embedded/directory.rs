//! The data directory: who may use it, and which database in it counts.
//!
//! `lock` is held as long as the store is open. `meta.json` names the format and the database; it is replaced by a
//! rename, which is the one moment at which a fresh or rewritten database begins to count.

use std::fs::{self, DirBuilder, File, TryLockError};
use std::io::{self, Write};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

/// What this build writes, and the newest that it reads.
const FORMAT: u32 = 1;
const META: &str = "meta.json";

#[derive(Serialize, Deserialize)]
struct Meta {
    format: u32,
    database: u32,
    /// A revision that was surely reached.
    #[serde(default)]
    revision: u64,
}

/// A directory that this process has for itself.
pub(super) struct Directory {
    path: PathBuf,
    /// The number of the database that counts; `None` in a new directory.
    current: Option<u32>,
    reached: u64,
    _lock: File,
}

impl Directory {
    /// Makes the directory if need be, locks it and reads what is in it. The error says what is wrong and what to do.
    pub(super) fn open(path: &Path) -> Result<Self, String> {
        // The objects include secrets, so nobody else may read them.
        DirBuilder::new().recursive(true).mode(0o700).create(path).map_err(|e| format!("can't make it: {e}"))?;
        let lock = lock(path)?;
        let meta = match fs::read(path.join(META)) {
            Ok(bytes) => Some(parse(&bytes)?),
            Err(e) if e.kind() == io::ErrorKind::NotFound => None,
            Err(e) => return Err(format!("can't read {META}: {e}")),
        };
        let (current, reached) = (meta.as_ref().map(|m| m.database), meta.as_ref().map_or(0, |m| m.revision));
        let directory = Self { path: path.to_owned(), current, reached, _lock: lock };
        directory.check()?;
        Ok(directory)
    }

    /// Where the database that counts lies.
    pub(super) fn current(&self) -> Option<PathBuf> {
        self.current.map(|n| self.database(n))
    }

    /// The number of the database that is to come next.
    pub(super) fn next(&self) -> u32 {
        self.current.map_or(1, |n| n.wrapping_add(1))
    }

    /// Where the database of this number lies.
    pub(super) fn database(&self, n: u32) -> PathBuf {
        self.path.join(format!("db-{n}"))
    }

    /// The same with nothing there.
    pub(super) fn cleared(&self, n: u32) -> Result<PathBuf, String> {
        let path = self.database(n);
        remove(&path)?;
        Ok(path)
    }

    /// Lets the database of this number count from now on, whatever happens.
    pub(super) fn switch(&mut self, n: u32) -> Result<(), String> {
        self.replace_meta(Meta { format: FORMAT, database: n, revision: self.reached })?;
        self.current = Some(n);
        Ok(())
    }

    /// A revision that was surely reached. sled drops what comes after a damaged place without a word; a database that
    /// ends before this revision has lost something.
    pub(super) fn reached(&self) -> u64 {
        self.reached
    }

    /// Notes that this revision is durable. Not done for every write: it is a safeguard, not a record.
    pub(super) fn mark(&mut self, revision: u64) -> Result<(), String> {
        let Some(database) = self.current.filter(|_| revision != self.reached) else { return Ok(()) };
        self.replace_meta(Meta { format: FORMAT, database, revision })?;
        self.reached = revision;
        Ok(())
    }

    /// Removes the databases that do not count.
    pub(super) fn sweep(&self) -> Result<(), String> {
        for n in self.databases()? {
            if Some(n) != self.current {
                remove(&self.database(n))?;
            }
        }
        Ok(())
    }

    fn check(&self) -> Result<(), String> {
        match self.current() {
            Some(database) if !database.join("db").is_file() => {
                Err(format!("damaged: {} is missing; restore the directory from a backup", database.display()))
            }
            // Only a first start that was cut short leaves a database without a meta.json, and it is number 1.
            None if self.databases()?.iter().any(|n| *n != 1) => {
                Err(format!("damaged: {META} is missing; restore the directory from a backup"))
            }
            _ => Ok(()),
        }
    }

    fn databases(&self) -> Result<Vec<u32>, String> {
        let entries = fs::read_dir(&self.path).map_err(|e| format!("can't list it: {e}"))?;
        Ok(entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.strip_prefix("db-")?.parse().ok()).collect())
    }

    fn replace_meta(&self, meta: Meta) -> Result<(), String> {
        let write = || {
            let new = self.path.join("meta.json.new");
            let mut file = File::create(&new)?;
            file.write_all(&serde_json::to_vec(&meta)?)?;
            file.sync_all()?;
            fs::rename(&new, self.path.join(META))?;
            sync(&self.path)
        };
        write().map_err(|e: io::Error| format!("can't write {META}: {e}"))
    }
}

/// Makes a file, or the names in a directory, durable.
pub(super) fn sync(path: &Path) -> io::Result<()> {
    File::open(path)?.sync_all()
}

fn lock(path: &Path) -> Result<File, String> {
    let file = path.join("lock");
    let mut held = File::options()
        .create(true)
        .truncate(false)
        .read(true)
        .write(true)
        .open(&file)
        .map_err(|e| format!("can't open its lock file: {e}"))?;
    match crate::lock(&held) {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => {
            let holder = fs::read_to_string(&file).unwrap_or_default();
            return Err(format!(
                "process {} uses it; stop that one or choose another data directory",
                holder.trim().parse().map_or_else(|_| "of unknown number".to_owned(), |pid: u32| pid.to_string())
            ));
        }
        Err(TryLockError::Error(e)) => return Err(format!("can't lock it: {e}")),
    }
    // The number only helps the one who is refused.
    let _ = held.set_len(0).and_then(|()| held.write_all(std::process::id().to_string().as_bytes()));
    Ok(held)
}

fn parse(meta: &[u8]) -> Result<Meta, String> {
    let damaged = |e| format!("damaged: {META} can't be read ({e}); restore the directory from a backup");
    let value: serde_json::Value = serde_json::from_slice(meta).map_err(damaged)?;
    // The version is looked at first: a newer format may keep its other fields otherwise.
    match value.get("format").and_then(serde_json::Value::as_u64) {
        Some(format) if format > u64::from(FORMAT) => Err(format!(
            "its format is {format}, written by a newer release; this one reads up to {FORMAT}: start the newer release"
        )),
        _ => serde_json::from_value(value).map_err(damaged),
    }
}

fn remove(path: &Path) -> Result<(), String> {
    match fs::remove_dir_all(path) {
        Err(e) if e.kind() != io::ErrorKind::NotFound => Err(format!("can't remove {}: {e}", path.display())),
        _ => Ok(()),
    }
}
