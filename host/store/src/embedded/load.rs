//! From a directory to a store in memory that is ready for writes.

use std::sync::Arc;

use bytes::Bytes;
use gantry_model::key::Resource;
use gantry_model::{Key, Meta, Record};
use serde::Deserialize;

use super::Options;
use super::codec::{self, Entry};
use super::database::{Database, Disk};
use super::directory::Directory;
use crate::Event;
use crate::memory::{Log, Memory};

/// A store that was read.
pub(super) struct Loaded {
    pub(super) memory: Arc<Memory>,
    pub(super) log: Log,
    pub(super) disk: Box<dyn Disk>,
    /// Holds the directory for as long as the database is open.
    pub(super) directory: Option<Directory>,
}

/// Opens the directory and reads all of it. The error says what is wrong and what to do.
pub(super) fn load(options: &Options) -> Result<Loaded, String> {
    let mut directory = Directory::open(&options.path)?;
    let database = open(&mut directory)?;
    let floor = database.floor().map_err(damaged)?.ok_or_else(|| damaged("the database lost its content".into()))?;
    let memory = Arc::new(Memory::default());
    memory.begin(floor);
    let mut log = Log::new(options.log_events, options.log_bytes);
    let content = database
        .read(|revision, bytes| {
            // A number is never left out, so after the floor a gap is a loss.
            if revision > floor && revision != memory.revision() + 1 {
                return Err(format!("revision {} is missing", memory.revision() + 1));
            }
            let entry = codec::decode(bytes).ok_or_else(|| format!("revision {revision} is not whole"))?;
            take_in(&memory, &mut log, floor, revision, entry);
            Ok(())
        })
        .map_err(damaged)?;
    if memory.revision() < directory.reached() {
        let (end, reached) = (memory.revision(), directory.reached());
        return Err(damaged(format!("the database ends at revision {end}, and {reached} had been reached")));
    }
    directory.mark(memory.revision())?;
    let database = shrink(options, &mut directory, database, content);
    // What does not count only wastes space; the next start tries again.
    directory.sweep().unwrap_or_else(|e| tracing::warn!("{e}"));
    Ok(Loaded { memory, log, disk: Box::new(database), directory: Some(directory) })
}

fn open(directory: &mut Directory) -> Result<Database, String> {
    if let Some(path) = directory.current() {
        return Database::open(&path).map_err(damaged);
    }
    let n = directory.next();
    let left = directory.database(n);
    if left.exists() && !Database::open(&left).and_then(|left| left.is_empty()).map_err(damaged)? {
        return Err(damaged("meta.json is missing".into()));
    }
    let path = directory.cleared(n)?;
    let database = Database::create(&path)?;
    directory.switch(n)?;
    Ok(database)
}

/// Rewrites a database that is mostly dead space. When that fails the old one goes on.
fn shrink(options: &Options, directory: &mut Directory, old: Database, content: u64) -> Database {
    let size = old.size().unwrap_or(0);
    if size < options.rewrite_bytes || size / options.rewrite_ratio.max(1) < content {
        return old;
    }
    match rewrite(directory, &old) {
        Ok(new) => {
            tracing::info!(before = size, after = new.size().unwrap_or(0), "rewrote the database");
            new
        }
        Err(e) => {
            tracing::warn!("can't rewrite the database, which wastes space: {e}");
            old
        }
    }
}

fn rewrite(directory: &mut Directory, old: &Database) -> Result<Database, String> {
    let n = directory.next();
    let path = directory.cleared(n)?;
    let new = old.copy_to(&path)?;
    directory.switch(n)?;
    Ok(new)
}

fn take_in(memory: &Memory, log: &mut Log, floor: u64, revision: u64, entry: Entry) {
    let resident = memory.resident(&Resource::new(&entry.group, &entry.plural));
    let place = Key::new(resident.resource().clone(), &entry.namespace, &entry.name);
    let previous = memory.get(&place);
    // All states of an object share the text of its key.
    let key = previous.as_ref().map_or(place, |record| record.key.clone());
    let (meta, json) = (meta(&entry.json), Bytes::from(entry.json));
    let record = Arc::new(Record { key, revision, meta, fields: entry.fields, json });
    if revision <= floor {
        memory.restore(record);
        return;
    }
    let event = Arc::new(Event { revision, record, previous, deleted: entry.deleted });
    memory.publish(&[(Arc::clone(&resident), Arc::clone(&event))], &[]);
    log.push((resident, event));
}

/// Reads only `metadata`, which is most of the time that opening takes.
fn meta(json: &[u8]) -> Meta {
    #[derive(Deserialize)]
    struct Head {
        metadata: Meta,
    }
    serde_json::from_slice(json).map(|head: Head| head.metadata).unwrap_or_default()
}

fn damaged(reason: String) -> String {
    format!("damaged: {reason}; restore the directory from a backup, or move it away to start with nothing")
}
