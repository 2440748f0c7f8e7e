//! All logs of a node as one sink reads them. Blocking; its owner calls it where that does no harm.

use std::collections::{HashMap, VecDeque};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use super::batch::Parcel;
use super::cursor::{Cursor, Turn};
use super::origin;
use super::place::Place;
use super::positions::Places;
use crate::logs::News;

/// Bytes of unfinished lines that all logs together may hold.
const HELD: usize = 4 * 1024 * 1024;

/// The logs, and who has a turn next.
#[derive(Default)]
pub struct Reader {
    root: PathBuf,
    node: String,
    cursors: HashMap<Arc<Path>, Cursor>,
    turns: VecDeque<Arc<Path>>,
}

impl Reader {
    /// The logs below `root`. Those with a place go on there, others begin at their start. Without any places this is
    /// the sink's first time: it gets what is written from now on. Nobody writes yet, but a proxy that goes on.
    pub fn open(root: &Path, node: &str, places: Option<Places>) -> io::Result<Self> {
        let mut reader = Self { root: root.to_owned(), node: node.to_owned(), ..Self::default() };
        let now = u64::try_from(jiff::Timestamp::now().as_nanosecond()).unwrap_or_default();
        for log in origin::logs(root)? {
            let log: Arc<Path> = log.into();
            let Some(labels) = origin::of(root, &log, node) else { continue };
            let Some(places) = &places else {
                reader.cursors.insert(log.clone(), Cursor::at_end(log, labels, now)?);
                continue;
            };
            let place = log.strip_prefix(root).ok().and_then(|below| places.get(below)).copied();
            let mut cursor = Cursor::new(log.clone(), labels, place.unwrap_or_default());
            cursor.measure()?;
            reader.cursors.insert(log.clone(), cursor);
            reader.queue(&log);
        }
        Ok(reader)
    }

    /// Takes note of what writers said. Answers how many records were lost.
    pub fn hear(&mut self, news: News) -> u64 {
        let mut lost = news.more_gone;
        for gone in &news.gone {
            lost += self.cursor(&gone.log.clone()).map_or(0, |cursor| cursor.lose(gone));
        }
        for (log, bytes) in news.grown {
            if let Some(cursor) = self.cursor(&log) {
                cursor.behind += bytes;
                self.queue(&log);
            }
        }
        lost
    }

    fn cursor(&mut self, log: &Arc<Path>) -> Option<&mut Cursor> {
        if !self.cursors.contains_key(log) {
            let labels = origin::of(&self.root, log, &self.node)?;
            self.cursors.insert(log.clone(), Cursor::new(log.clone(), labels, Place::default()));
        }
        self.cursors.get_mut(log)
    }

    fn queue(&mut self, log: &Arc<Path>) {
        if let Some(cursor) = self.cursors.get_mut(log)
            && !std::mem::replace(&mut cursor.queued, true)
        {
            self.turns.push_back(log.clone());
        }
    }

    /// Whether there may be something to read.
    pub fn is_ready(&self) -> bool {
        !self.turns.is_empty()
    }

    /// Reads a batch, log by log in turn.
    pub fn fill(&mut self) -> Parcel {
        let mut parcel = Parcel::default();
        let mut held: usize = self.cursors.values().map(Cursor::held).sum();
        while !parcel.is_full() {
            let Some(log) = self.turns.pop_front() else { break };
            let Some(cursor) = self.cursors.get_mut(&log) else { continue };
            cursor.queued = false;
            let before = cursor.held();
            match cursor.read(&mut parcel, held > HELD) {
                Ok(Turn::More) => self.queue(&log),
                Ok(Turn::AtEnd | Turn::Missing) => {}
                Err(error) => {
                    tracing::warn!(%error, log = %log.display(), "can't read a log");
                    cursor.failed();
                }
            }
            let now = self.cursors.get(&log).map_or(0, Cursor::held);
            held = (held + now).saturating_sub(before);
        }
        parcel
    }

    /// Notes that the fate of a parcel is decided.
    pub fn settle(&mut self, places: &[(Arc<Path>, Place)]) {
        for (log, place) in places {
            if let Some(cursor) = self.cursors.get_mut(log) {
                cursor.settle(*place);
            }
        }
    }

    /// What to write down.
    pub fn places(&self) -> Places {
        let begun = self.cursors.iter().filter(|(_, cursor)| cursor.done() != Place::default());
        let below =
            begun.filter_map(|(log, cursor)| Some((log.strip_prefix(&self.root).ok()?.to_owned(), cursor.done())));
        below.collect()
    }

    /// Queues logs with the start of a line that has waited for long enough. Answers when to come again.
    pub fn wake(&mut self, now: Instant) -> Option<Instant> {
        let waits = self.cursors.iter().filter(|(_, cursor)| !cursor.queued);
        let waits: Vec<_> = waits.filter_map(|(log, cursor)| Some((log.clone(), cursor.wants_turn_at()?))).collect();
        let mut next = None;
        for (log, at) in waits {
            match at <= now {
                true => self.queue(&log),
                false => next = Some(next.map_or(at, |next: Instant| next.min(at))),
            }
        }
        next
    }

    /// Bytes that were written and not yet read.
    pub fn behind(&self) -> u64 {
        self.cursors.values().map(|cursor| cursor.behind).sum()
    }

    /// Nothing is written below a path any more: reads what is there, also of logs that nobody told of.
    pub fn end(&mut self, path: &Path) -> io::Result<()> {
        for log in below(path)? {
            let log: Arc<Path> = log.into();
            if let Some(cursor) = self.cursor(&log) {
                cursor.ending = true;
                self.queue(&log);
            }
        }
        Ok(())
    }

    /// Whether all below a path is decided.
    pub fn is_finished(&self, path: &Path) -> bool {
        self.cursors.iter().filter(|(log, _)| log.starts_with(path)).all(|(_, cursor)| cursor.is_finished())
    }

    /// Reads no more of what is below a path. Answers how many records were not read.
    pub fn give_up(&mut self, path: &Path) -> u64 {
        let mut lost = 0;
        for (log, cursor) in self.cursors.iter_mut().filter(|(log, _)| log.starts_with(path)) {
            match cursor.give_up() {
                Ok(lines) => lost += lines,
                Err(error) => tracing::warn!(%error, log = %log.display(), "can't count what is lost of a log"),
            }
        }
        lost
    }

    /// Forgets what was below a path. Answers whether there was anything.
    pub fn forget(&mut self, path: &Path) -> bool {
        let before = self.cursors.len();
        self.cursors.retain(|log, _| !log.starts_with(path));
        self.turns.retain(|log| !log.starts_with(path));
        self.cursors.len() < before
    }
}

/// Logs at or below a path, which may be that of a log.
fn below(path: &Path) -> io::Result<Vec<PathBuf>> {
    if path.extension().is_some_and(|extension| extension == "log") {
        return Ok(vec![path.to_owned()]);
    }
    origin::logs(path)
}
