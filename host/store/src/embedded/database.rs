//! The sled database. What sled 0.34 does badly is dealt with here and nowhere else: its flush is not an fsync, its own
//! flusher and its asynchronous flush are not used, its cache is kept small, and it may panic.

use std::fs::File;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::time::{Duration, Instant};

use super::{codec, directory};
use crate::Event;

/// Objects live in memory, so sled only needs the nodes that it is about to change.
const CACHE_BYTES: u64 = 16 << 20;
/// A copy is made in batches of about this size.
const COPY_BYTES: usize = 1 << 20;
/// Events up to this revision are no longer kept. Always there: a database without it was never whole.
const FLOOR: &[u8] = b"mfloor";

/// What makes a group of changes durable.
pub(super) trait Disk: Send {
    /// Writes the changes, and forgets what the evicted ones alone needed. All of it or nothing survives a crash; once
    /// this returns, all of it does.
    fn commit(&mut self, changes: &[&Event], evicted: &[&Event]) -> Result<(), String>;
}

/// An open database.
pub(super) struct Database {
    tree: sled::Db,
    file: File,
}

impl Database {
    /// Makes an empty database, durable.
    pub(super) fn create(path: &Path) -> Result<Self, String> {
        let database = Self::open(path)?;
        database.put_floor(0)?;
        database.sync()?;
        // sled does not sync its settings, and would refuse a torn file.
        for made in [&path.join("conf"), path, path.parent().unwrap_or(path)] {
            directory::sync(made).map_err(|e| e.to_string())?;
        }
        Ok(database)
    }

    /// Opens a database.
    pub(super) fn open(path: &Path) -> Result<Self, String> {
        let config = sled::Config::new().path(path).cache_capacity(CACHE_BYTES).flush_every_ms(None);
        let start = Instant::now();
        let tree = loop {
            match guarded(|| config.open()) {
                // Nobody else can have it, since the directory is locked: it is our own of a moment ago, which sled's
                // threads have not let go of yet.
                Err(e) if e.contains("could not acquire lock") && start.elapsed() < Duration::from_secs(5) => {
                    std::thread::sleep(Duration::from_millis(5));
                }
                other => break other?,
            }
        };
        let file = File::open(path.join("db")).map_err(|e| e.to_string())?;
        Ok(Self { tree, file })
    }

    /// Up to where events are no longer kept; `None` if the database is not one of ours or not whole.
    pub(super) fn floor(&self) -> Result<Option<u64>, String> {
        let floor = guarded(|| self.tree.get(FLOOR))?;
        Ok(floor.and_then(|bytes| bytes.as_ref().try_into().ok().map(u64::from_be_bytes)))
    }

    /// Whether there is no change in it.
    pub(super) fn is_empty(&self) -> Result<bool, String> {
        guarded(|| self.tree.scan_prefix(codec::prefix()).next().transpose()).map(|first| first.is_none())
    }

    /// Calls with the revision and the bytes of every entry, in order. Answers the size of the content.
    pub(super) fn read(&self, mut each: impl FnMut(u64, &[u8]) -> Result<(), String>) -> Result<u64, String> {
        let mut content = 0;
        let mut entry: Option<(u64, Vec<u8>)> = None;
        let mut chunks = self.tree.scan_prefix(codec::prefix());
        while let Some((key, value)) = guarded(|| chunks.next().transpose())? {
            content += (key.len() + value.len()) as u64;
            let (revision, chunk) = codec::parse_key(&key).ok_or("it has a key that this release does not know")?;
            if chunk == 0 {
                if let Some((revision, bytes)) = entry.replace((revision, value.to_vec())) {
                    each(revision, &bytes)?;
                }
            } else if let Some((_, bytes)) = entry.as_mut().filter(|(of, _)| *of == revision) {
                bytes.extend_from_slice(&value);
            } else {
                return Err(format!("revision {revision} is not whole"));
            }
        }
        if let Some((revision, bytes)) = entry {
            each(revision, &bytes)?;
        }
        Ok(content)
    }

    /// Bytes on disk.
    pub(super) fn size(&self) -> Result<u64, String> {
        guarded(|| self.tree.size_on_disk())
    }

    /// Copies all of it into a new database, durable.
    pub(super) fn copy_to(&self, path: &Path) -> Result<Self, String> {
        let copy = Self::create(path)?;
        let mut batch = sled::Batch::default();
        let mut bytes = 0;
        let mut all = self.tree.iter();
        while let Some((key, value)) = guarded(|| all.next().transpose())? {
            bytes += key.len() + value.len();
            batch.insert(key, value);
            if bytes > COPY_BYTES {
                guarded(|| copy.tree.apply_batch(std::mem::take(&mut batch)))?;
                copy.sync()?;
                bytes = 0;
            }
        }
        guarded(|| copy.tree.apply_batch(batch))?;
        copy.sync()?;
        Ok(copy)
    }

    fn put_floor(&self, floor: u64) -> Result<(), String> {
        guarded(|| self.tree.insert(FLOOR, &floor.to_be_bytes())).map(drop)
    }

    /// sled's flush hands everything to the kernel; the second step takes it to the disk.
    fn sync(&self) -> Result<(), String> {
        guarded(|| self.tree.flush())?;
        self.file.sync_data().map_err(|e| e.to_string())
    }
}

impl Disk for Database {
    fn commit(&mut self, changes: &[&Event], evicted: &[&Event]) -> Result<(), String> {
        let mut batch = sled::Batch::default();
        for event in changes {
            let encoded = codec::encode(&event.record, event.deleted);
            codec::chunks(&encoded, event.revision).for_each(|(key, bytes)| batch.insert(&key, bytes));
        }
        // The entry before an event is kept as long as the event is, so that a replay knows what the object was. Of an
        // object that lives, the newest entry stays for ever; a deletion's goes, together with the last one before it.
        for event in evicted {
            let gone = event.previous.iter().chain(event.deleted.then_some(&event.record));
            gone.flat_map(|record| codec::keys(record)).for_each(|key| batch.remove(&key));
        }
        if let Some(last) = evicted.last() {
            batch.insert(FLOOR, &last.revision.to_be_bytes());
        }
        guarded(|| self.tree.apply_batch(batch))?;
        self.sync()
    }
}

/// sled panics on some damage and some failures of the disk: that is an error like others.
fn guarded<T>(call: impl FnOnce() -> sled::Result<T>) -> Result<T, String> {
    match catch_unwind(AssertUnwindSafe(call)) {
        Ok(result) => result.map_err(|e| e.to_string()),
        Err(panic) => {
            let text = panic.downcast_ref::<String>().map(String::as_str);
            Err(text.or(panic.downcast_ref::<&str>().copied()).unwrap_or("sled panicked").to_owned())
        }
    }
}
