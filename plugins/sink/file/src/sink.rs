//! Batches into files.

use std::collections::BTreeMap;
use std::io;

use gantry_sdk::sink::{Batch, Outcome};
use gantry_sdk::{Config, Error, Result, Sink};

use crate::directory::{Appended, Directory};
use crate::line;
use crate::options::{Options, Split, Sync};

/// A full disk seldom empties within less.
const WAIT_FOR_SPACE_MS: u64 = 5_000;
/// Anything else needs a person.
const WAIT_FOR_REPAIR_MS: u64 = 30_000;

/// Writes records as JSON lines.
#[derive(Default)]
pub struct Files {
    options: Options,
    limit: u64,
    directory: Directory,
    /// The last complaint, so that it is logged once and not with every batch.
    trouble: Option<String>,
}

impl Sink for Files {
    fn configure(&mut self, config: Config) -> Result<()> {
        self.options = config.parse()?;
        self.limit = self.options.limit()?;
        let path = &self.options.directory;
        self.directory =
            Directory::new(path).map_err(|e| Error::from(e).context(format!("open {}", path.display())))?;
        Ok(())
    }

    fn write(&mut self, batch: Batch) -> Outcome {
        let lines = match self.lines(&batch) {
            Ok(lines) => lines,
            Err(error) => return Outcome::Rejected(error.message),
        };
        let outcome = self.store(&lines);
        self.directory.end_batch();
        match outcome {
            Ok(()) => {
                if self.trouble.take().is_some() {
                    gantry_sdk::info!("records are being written again");
                }
                Outcome::Accepted
            }
            Err(error) => self.later(&error),
        }
    }
}

impl Files {
    /// The batch's lines by file.
    fn lines(&self, batch: &Batch) -> Result<BTreeMap<String, Vec<u8>>> {
        let mut names: BTreeMap<u64, String> = BTreeMap::new();
        let mut files: BTreeMap<String, Vec<u8>> = BTreeMap::new();
        for record in &batch.records {
            let origin = batch.origins.get(record.origin as usize);
            let name = match self.options.split {
                Split::Day => names.entry(line::day(record)).or_insert_with_key(|day| line::day_name(*day)),
                Split::Origin => names.entry(u64::from(record.origin)).or_insert_with(|| line::origin_name(origin)),
            };
            if !files.contains_key(name) {
                files.insert(name.clone(), Vec::new());
            }
            if let Some(lines) = files.get_mut(name) {
                line::append(lines, record, origin)?;
            }
        }
        Ok(files)
    }

    /// All of it or, after a failure, nothing.
    fn store(&mut self, files: &BTreeMap<String, Vec<u8>>) -> io::Result<()> {
        let mut done = Vec::with_capacity(files.len());
        let stored = self.append(files, &mut done);
        if stored.is_err() {
            done.iter().for_each(|appended| self.directory.undo(appended));
            return stored;
        }
        // The records are safe; surplus files that can't be removed are only worth a line.
        if let Err(error) = self.trim(files) {
            gantry_sdk::warn!("old files stay: {error}");
        }
        Ok(())
    }

    fn append(&mut self, files: &BTreeMap<String, Vec<u8>>, done: &mut Vec<Appended>) -> io::Result<()> {
        for (name, lines) in files {
            done.push(self.directory.append(name, lines, self.limit)?);
        }
        if self.options.sync == Sync::Batch {
            for appended in done.iter() {
                self.directory.sync(appended)?;
            }
        }
        Ok(())
    }

    fn trim(&self, files: &BTreeMap<String, Vec<u8>>) -> io::Result<()> {
        match self.options.split {
            Split::Day => self.directory.trim(None, self.options.max_files),
            Split::Origin => files.keys().try_for_each(|name| self.directory.trim(Some(name), self.options.max_files)),
        }
    }

    fn later(&mut self, error: &io::Error) -> Outcome {
        let message = error.to_string();
        if self.trouble.as_ref() != Some(&message) {
            gantry_sdk::error!("records wait: {message}");
            self.trouble = Some(message);
        }
        let no_space = matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded);
        Outcome::RetryAfterMs(if no_space { WAIT_FOR_SPACE_MS } else { WAIT_FOR_REPAIR_MS })
    }
}
