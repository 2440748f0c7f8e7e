//! One log as one sink reads it: from file to file, record by record.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, Seek, SeekFrom};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use gantry_plugin::family::Label;

use super::batch::Parcel;
use super::join::{Joiner, LONGEST};
use super::place::Place;
use crate::logs::files::{self, FileId};
use crate::logs::{Gone, Record};

/// Read of one log before others have their turn.
const TURN: u64 = 256 * 1024;
/// No record of this node's writer is as long.
const RECORD: u64 = 64 * 1024;
/// How long a file may not be found before somebody else must have removed it.
const MISSING: Duration = Duration::from_secs(2);
/// How long the start of a line waits for its rest, once all that there is was read.
const JOIN: Duration = Duration::from_secs(3);
/// And while there is always more to read: an output that never ends its line must not hold the place back for ever.
const JOIN_BUSY: Duration = Duration::from_secs(30);
/// Parts of lines are joined up to this much while all logs together hold too many.
const PRESSED: usize = 16 * 1024;

/// A log, and how far it was read.
pub struct Cursor {
    /// The file that is being written.
    log: Arc<Path>,
    origin: Vec<Label>,
    /// All before it was read.
    place: Place,
    /// All before it was given out, and its fate decided.
    done: Place,
    joiner: Joiner,
    /// Bytes after `place`.
    pub behind: u64,
    /// It waits for its turn.
    pub queued: bool,
    /// Nothing will be written any more: what waits for its rest waits in vain.
    pub ending: bool,
    /// What is left of it will not be read.
    pub given_up: bool,
    /// Since when its file is not to be found.
    missing: Option<Instant>,
    /// Records in between were lost: what waits must not be joined with what comes.
    broken: bool,
}

/// What came of a turn.
#[derive(Debug, PartialEq, Eq)]
pub enum Turn {
    /// There may be more.
    More,
    /// All that is there was read.
    AtEnd,
    /// The file is not to be found; it is looked for again.
    Missing,
}

impl Cursor {
    /// A log to be read from a place on.
    pub fn new(log: Arc<Path>, origin: Vec<Label>, place: Place) -> Self {
        Self {
            log,
            origin,
            place,
            done: place,
            joiner: Joiner::at(&place),
            behind: 0,
            queued: false,
            ending: false,
            given_up: false,
            missing: None,
            broken: false,
        }
    }

    /// A log of which only what comes from now on is wanted. Nobody but a proxy that goes on writes it at this moment.
    pub fn at_end(log: Arc<Path>, origin: Vec<Label>, now: u64) -> io::Result<Self> {
        let mut place = Place { time: now, ..Place::default() };
        for file in files::open_all(&log)?.into_iter().rev() {
            if let Some(id) = FileId::of(&file)? {
                let (lines, length) = files::count(&file)?;
                let torn = torn(&file, length)?;
                place = Place { file: Some(id), offset: length - torn, lines, ..place };
                break;
            }
        }
        Ok(Self::new(log, origin, place))
    }

    /// Up to where it was given out and decided.
    pub fn done(&self) -> Place {
        self.done
    }

    /// Notes that all before a place was decided.
    pub fn settle(&mut self, place: Place) {
        self.done = place;
    }

    /// Whether all that was written is decided, as far as is known.
    pub fn is_finished(&self) -> bool {
        self.given_up
            || (!self.queued
                && self.behind == 0
                && self.missing.is_none()
                && self.joiner.waits_since().is_none()
                && self.done == self.place)
    }

    /// When it wants to be read even if nothing is written: the start of a line waits for its rest, or the file is missing.
    pub fn wants_turn_at(&self) -> Option<Instant> {
        let waits = || self.joiner.waits_since().map(|since| since + JOIN);
        self.missing.map(|since| since + MISSING).or_else(waits).filter(|_| !self.given_up)
    }

    /// It could not be read: tries again after a while.
    pub fn failed(&mut self) {
        self.missing = Some(Instant::now());
    }

    /// Bytes of unfinished lines that are kept.
    pub fn held(&self) -> usize {
        self.joiner.held()
    }

    /// A file of the log will be removed. Answers how many of its records were not read.
    pub fn lose(&mut self, gone: &Gone) -> u64 {
        let (lines, bytes) = match self.place.file {
            Some(file) if file == gone.file => (self.place.lines, self.place.offset),
            None => (0, 0),
            // An older one, which was read.
            Some(_) => return 0,
        };
        self.place = self.place.without_file();
        self.behind = self.behind.saturating_sub(gone.bytes.saturating_sub(bytes));
        self.missing = None;
        let lost = gone.lines.saturating_sub(lines);
        self.broken |= lost > 0;
        lost
    }

    /// Counts what was not read, and reads no more.
    pub fn give_up(&mut self) -> io::Result<u64> {
        if std::mem::replace(&mut self.given_up, true) {
            return Ok(0);
        }
        self.behind = 0;
        self.unread()?.iter().map(|file| files::count(file).map(|(lines, _)| lines)).sum()
    }

    /// Finds out how many bytes are after the place.
    pub fn measure(&mut self) -> io::Result<()> {
        let sizes = self.unread()?.into_iter().map(|file| file.metadata().map(|meta| meta.len()));
        let all: u64 = sizes.sum::<io::Result<u64>>()?;
        self.behind = all.saturating_sub(self.place.offset);
        Ok(())
    }

    /// The file that the place is in, at the place, and those after it.
    fn unread(&mut self) -> io::Result<Vec<File>> {
        let Some(first) = self.open()? else { return Ok(Vec::new()) };
        let id = FileId::of(&first)?;
        let mut files = files::open_all(&self.log)?;
        let at = files.iter().position(|file| FileId::of(file).is_ok_and(|found| found == id));
        let newer = files.split_off(at.map_or(files.len(), |at| at + 1));
        Ok(std::iter::once(first).chain(newer).collect())
    }

    /// Reads on into a parcel. `pressed`: unfinished lines take too much memory already.
    pub fn read(&mut self, parcel: &mut Parcel, pressed: bool) -> io::Result<Turn> {
        if self.given_up {
            return Ok(Turn::AtEnd);
        }
        let (origin, before) = (parcel.origin(&self.origin), parcel.batch.records.len());
        if std::mem::take(&mut self.broken) {
            self.joiner.flush(&mut |line| parcel.add(origin, line));
        }
        let turn = self.read_files(parcel, origin, pressed)?;
        let at_end = turn == Turn::AtEnd;
        if at_end {
            self.behind = 0;
        }
        let patience = if at_end { JOIN } else { JOIN_BUSY };
        let waited = self.joiner.waits_since().is_some_and(|since| since.elapsed() >= patience);
        if waited || (at_end && self.ending) {
            self.joiner.flush(&mut |line| parcel.add(origin, line));
        }
        if parcel.batch.records.len() == before {
            parcel.batch.origins.pop();
        }
        // Also where nothing came out: what was no record need not be read again.
        self.place = Place { inside: self.joiner.settled(self.place).inside, ..self.place };
        parcel.places.push((self.log.clone(), self.joiner.settled(self.place)));
        Ok(turn)
    }

    fn read_files(&mut self, parcel: &mut Parcel, origin: u32, pressed: bool) -> io::Result<Turn> {
        let Some(file) = self.open()? else {
            return Ok(if self.missing.is_some() { Turn::Missing } else { Turn::AtEnd });
        };
        let mut file = BufReader::with_capacity(64 * 1024, file);
        let mut times = Times::default();
        let (mut read, mut line) = (0, Vec::new());
        while read < TURN && !parcel.is_full() {
            line.clear();
            let mut size = take(&mut file, &mut line)?;
            if !line.ends_with(b"\n") {
                let Some((next, id)) = self.next(file.get_ref())? else { return Ok(Turn::AtEnd) };
                // More may have been written between the last read and the cut.
                size += take(&mut file, &mut line)?;
                if !line.ends_with(b"\n") {
                    self.advance(parcel, size, 0);
                    self.place = self.place.start_of(id);
                    file = BufReader::with_capacity(64 * 1024, next);
                    continue;
                }
            }
            match Record::parse(line.strip_suffix(b"\n").unwrap_or(&line)) {
                Some(record) => self.put(&record, &mut times, parcel, origin, pressed),
                None => metrics::counter!("gantry_log_malformed_total").increment(1),
            }
            self.advance(parcel, size, 1);
            read += size;
        }
        Ok(Turn::More)
    }

    fn put(&mut self, record: &Record, times: &mut Times, parcel: &mut Parcel, origin: u32, pressed: bool) {
        let time = times.of(record);
        let longest = if pressed { PRESSED } else { LONGEST };
        self.joiner.put(record, time, &self.place, longest, &mut |line| parcel.add(origin, line));
        self.place.time = time;
    }

    fn advance(&mut self, parcel: &mut Parcel, bytes: u64, lines: u64) {
        self.place.offset += bytes;
        self.place.lines += lines;
        self.behind = self.behind.saturating_sub(bytes);
        parcel.covered += bytes;
    }

    /// The file after this one, once it has a record.
    fn next(&self, file: &File) -> io::Result<Option<(File, FileId)>> {
        let Some(next) = files::after(&self.log, file)? else { return Ok(None) };
        Ok(FileId::of(&next)?.map(|id| (next, id)))
    }

    /// Opens the file that the place is in, at the place; `None`: there is nothing to read, or (`missing`) the file can't
    /// be found.
    fn open(&mut self) -> io::Result<Option<File>> {
        let Some(wanted) = self.place.file else { return self.open_first() };
        // Mostly it is the one being written.
        let mut file = File::open(&self.log).ok();
        if file.as_ref().map(FileId::of).transpose()?.flatten() != Some(wanted) {
            let is_wanted = |file: &File| FileId::of(file).is_ok_and(|id| id == Some(wanted));
            file = files::open_all(&self.log)?.into_iter().find(is_wanted);
        }
        if let Some(file) = file {
            self.missing = None;
            return self.at_place(file).map(Some);
        }
        // Its writer may be renaming it now, or its word that the file goes may still wait to be heard.
        if self.missing.get_or_insert_with(Instant::now).elapsed() < MISSING {
            return Ok(None);
        }
        tracing::warn!(log = %self.log.display(), "the file that was being read is gone; going on with the next");
        metrics::counter!("gantry_log_files_missing_total").increment(1);
        self.missing = None;
        self.broken = true;
        self.place = self.place.without_file();
        self.open_first()
    }

    /// The oldest file with a record that was not read.
    fn open_first(&mut self) -> io::Result<Option<File>> {
        for file in files::open_all(&self.log)? {
            let Some(id) = FileId::of(&file)? else { continue };
            let head = files::head(&file)?;
            let begins = Record::parse(&head).map(|record| Times::default().of(&record));
            if self.place.time == 0 || begins.is_none_or(|begins| begins >= self.place.time) {
                self.place = self.place.start_of(id);
                return Ok(Some(file));
            }
        }
        Ok(None)
    }

    fn at_place(&mut self, mut file: File) -> io::Result<File> {
        let mut last = [0];
        let offset = self.place.offset;
        let whole = match offset.checked_sub(1) {
            None => true,
            Some(at) => file.read_at(&mut last, at)? == 1 && last == [b'\n'],
        };
        if !whole {
            tracing::warn!(log = %self.log.display(), "the log was cut short by somebody; reading the file again");
            self.place = Place { offset: 0, lines: 0, ..self.place };
        }
        file.seek(SeekFrom::Start(self.place.offset))?;
        Ok(file)
    }
}

/// Reads on to the end of a record or of what is there; answers how many bytes. What is too long for a record becomes
/// something that is none, without being kept.
fn take(file: &mut BufReader<File>, line: &mut Vec<u8>) -> io::Result<u64> {
    let mut size = file.by_ref().take(RECORD).read_until(b'\n', line)? as u64;
    while size >= RECORD && !line.ends_with(b"\n") {
        line.clear();
        let more = file.by_ref().take(RECORD).read_until(b'\n', line)? as u64;
        if more == 0 {
            break;
        }
        size += more;
        if line.ends_with(b"\n") {
            *line = b"-\n".to_vec();
        }
    }
    Ok(size)
}

/// Bytes after the last whole record.
fn torn(file: &File, length: u64) -> io::Result<u64> {
    let mut tail = vec![0; usize::try_from(length.min(RECORD)).unwrap_or_default()];
    let from = length - tail.len() as u64;
    file.read_exact_at(&mut tail, from)?;
    let whole = tail.iter().rposition(|b| *b == b'\n').map_or(0, |at| at + 1);
    Ok((tail.len() - whole) as u64)
}

/// Records that arrived together have the same time, which then is read once.
#[derive(Default)]
struct Times {
    text: String,
    nanos: u64,
}

impl Times {
    fn of(&mut self, record: &Record) -> u64 {
        if self.text != record.time {
            record.time.clone_into(&mut self.text);
            self.nanos = record.at().and_then(|at| u64::try_from(at.as_nanosecond()).ok()).unwrap_or_default();
        }
        self.nanos
    }
}
