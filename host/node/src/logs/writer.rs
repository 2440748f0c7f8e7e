//! Turns bytes of a process's outputs into records of a file.

use std::fs::{File, OpenOptions};
use std::io::{self, Seek, SeekFrom, Write};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Arc;

use jiff::Timestamp;

use super::cri::{Prefix, Source};
use super::files::{self, FileId};
use super::notices::{Gone, Notices};

/// The longest text of one record: what the CRI format's readers expect.
const RECORD: usize = 16 * 1024;

/// When a log is cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limit {
    /// Bytes after which the file is cut; 0: never.
    pub bytes: u64,
    /// Files that are kept, the one being written included.
    pub files: u32,
}

/// Writes one log. Blocking; never fails for good: what can't be written is counted and said later.
pub struct LogWriter {
    path: Arc<Path>,
    limit: Limit,
    notices: Notices,
    file: Option<File>,
    /// Bytes of whole records in the file.
    good: u64,
    lost: u64,
    out: Vec<u8>,
    pending: [Vec<u8>; 2],
}

impl LogWriter {
    /// Goes on at the end of the file, if there is one.
    pub fn new(path: &Path, limit: Limit) -> Self {
        Self {
            path: path.into(),
            limit,
            notices: Notices::default(),
            file: None,
            good: 0,
            lost: 0,
            out: Vec::new(),
            pending: [Vec::new(), Vec::new()],
        }
    }

    /// Tells of what it writes and of files that it removes.
    pub fn telling(mut self, notices: Notices) -> Self {
        self.notices = notices;
        self
    }

    /// Takes what a process wrote. The end of an unfinished line waits for its rest or for [`flush`](Self::flush).
    pub fn append(&mut self, source: Source, bytes: &[u8]) {
        let prefix = Prefix::new(Timestamp::now(), source);
        let [out, err] = &mut self.pending;
        let pending = match source {
            Source::Stdout => out,
            Source::Stderr => err,
        };
        let mut rest = bytes;
        while let Some(at) = rest.iter().position(|b| *b == b'\n') {
            let (line, tail) = rest.split_at(at);
            if pending.is_empty() {
                put(&prefix, &mut self.out, line);
            } else {
                pending.extend_from_slice(line);
                put(&prefix, &mut self.out, pending);
                pending.clear();
            }
            rest = tail.get(1..).unwrap_or_default();
        }
        pending.extend_from_slice(rest);
        while pending.len() >= RECORD {
            let tail = pending.split_off(RECORD);
            prefix.put(&mut self.out, false, pending);
            *pending = tail;
        }
        self.store();
    }

    /// Whether the start of an unfinished line waits.
    pub fn is_pending(&self) -> bool {
        self.pending.iter().any(|p| !p.is_empty())
    }

    /// Writes the starts of unfinished lines as partial records, so that they are seen and survive.
    pub fn flush(&mut self) {
        let now = Timestamp::now();
        for (source, pending) in [Source::Stdout, Source::Stderr].into_iter().zip(&mut self.pending) {
            if !pending.is_empty() {
                Prefix::new(now, source).put(&mut self.out, false, pending);
                pending.clear();
            }
        }
        self.store();
    }

    /// Writes what is formatted, cutting the file where the limit falls.
    fn store(&mut self) {
        let out = std::mem::take(&mut self.out);
        let mut rest = out.as_slice();
        while !rest.is_empty() {
            let cut = self.room(rest);
            let (now, later) = rest.split_at(cut);
            if let Err(Short { kept, error }) = self.write(now) {
                self.lose(now.get(kept..).unwrap_or_default(), &error);
            }
            rest = later;
        }
        self.out = out;
        self.out.clear();
        self.out.shrink_to(256 * 1024);
    }

    /// How many of these bytes go into the current file: whole records, at least one.
    fn room(&self, bytes: &[u8]) -> usize {
        if self.limit.bytes == 0 {
            return bytes.len();
        }
        let room = usize::try_from(self.limit.bytes.saturating_sub(self.good)).unwrap_or(usize::MAX);
        if bytes.len() <= room {
            return bytes.len();
        }
        let whole = bytes.get(..room).and_then(|b| b.iter().rposition(|b| *b == b'\n'));
        let first = || bytes.iter().position(|b| *b == b'\n');
        whole.or_else(first).map_or(bytes.len(), |at| at + 1)
    }

    fn write(&mut self, bytes: &[u8]) -> Result<(), Short> {
        let size = bytes.len() as u64;
        if self.file.is_some() && self.limit.bytes > 0 && self.good > 0 && self.good + size > self.limit.bytes {
            self.file = None;
            self.tell_of_the_oldest();
            files::rotate(&self.path, self.limit.files)?;
        }
        let note = (self.lost > 0).then(|| {
            let mut note = Vec::new();
            let text = format!("[{} lines of this log are lost: they could not be written]", self.lost);
            Prefix::new(Timestamp::now(), Source::Stderr).put(&mut note, true, text.as_bytes());
            note
        });
        if self.file.is_none() {
            let (file, good) = open(&self.path)?;
            self.good = good;
            self.file = Some(file);
        }
        let Some(file) = &mut self.file else { return Ok(()) };
        if let Some(note) = note {
            self.good += put_whole(file, self.good, &note).map_err(|short| Short { kept: 0, ..short })?;
            self.lost = 0;
        }
        let put = put_whole(file, self.good, bytes);
        let kept = put.as_ref().map_or_else(|short| short.kept as u64, |kept| *kept);
        self.good += kept;
        self.notices.grown(&self.path, kept);
        put.map(drop)
    }

    /// Counts what the next rotation removes, if anybody wants to know.
    fn tell_of_the_oldest(&self) {
        if !self.notices.heard() {
            return;
        }
        let Ok(file) = File::open(files::next_to_go(&self.path, self.limit.files)) else { return };
        if let (Ok(Some(id)), Ok((lines, bytes))) = (FileId::of(&file), files::count(&file)) {
            self.notices.gone(&Gone { log: self.path.clone(), file: id, lines, bytes });
        }
    }

    fn lose(&mut self, bytes: &[u8], error: &io::Error) {
        if self.lost == 0 {
            tracing::warn!(path = %self.path.display(), %error, "a log can't be written; its lines are lost");
        }
        self.lost += bytes.iter().filter(|b| **b == b'\n').count() as u64;
        self.file = None;
    }
}

/// A write that failed after some whole records.
struct Short {
    /// Bytes of these.
    kept: usize,
    error: io::Error,
}

impl From<io::Error> for Short {
    fn from(error: io::Error) -> Self {
        Self { kept: 0, error }
    }
}

/// Appends records; answers how many bytes. After a failure those stay that were written whole: a reader may have seen
/// them already. A torn one is taken back, since the next must start on a line of its own.
fn put_whole(file: &mut File, length: u64, bytes: &[u8]) -> Result<u64, Short> {
    let mut rest = bytes;
    let error = loop {
        if rest.is_empty() {
            return Ok(bytes.len() as u64);
        }
        match file.write(rest) {
            Ok(0) => break io::ErrorKind::WriteZero.into(),
            Ok(written) => rest = rest.get(written..).unwrap_or_default(),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => break error,
        }
    };
    let written = bytes.get(..bytes.len() - rest.len()).unwrap_or_default();
    let kept = written.iter().rposition(|b| *b == b'\n').map_or(0, |at| at + 1);
    file.set_len(length + kept as u64)?;
    Err(Short { kept, error })
}

/// Opens a log at its end, and answers how long it is. A record that a crash tore gets an end: the next one must not
/// become part of it.
fn open(path: &Path) -> io::Result<(File, u64)> {
    let mut file = OpenOptions::new().create(true).read(true).append(true).open(path)?;
    let length = file.seek(SeekFrom::End(0))?;
    let mut last = [b'\n'];
    if let Some(at) = length.checked_sub(1) {
        file.read_exact_at(&mut last, at)?;
    }
    if last != [b'\n'] {
        file.write_all(b"\n")?;
        return Ok((file, length + 1));
    }
    Ok((file, length))
}

impl Drop for LogWriter {
    fn drop(&mut self) {
        self.flush();
    }
}

/// A line, in as many records as it takes.
fn put(prefix: &Prefix, out: &mut Vec<u8>, line: &[u8]) {
    let mut rest = line;
    while rest.len() > RECORD {
        let (part, tail) = rest.split_at(RECORD);
        prefix.put(out, false, part);
        rest = tail;
    }
    prefix.put(out, true, rest);
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::logs::Record;

    fn records(path: &Path) -> Vec<(bool, usize)> {
        let bytes = fs::read(path).unwrap();
        let lines = bytes.split(|b| *b == b'\n').filter(|l| !l.is_empty());
        lines.map(|l| Record::parse(l).map(|r| (r.full, r.text.len())).unwrap()).collect()
    }

    #[test]
    fn lines_are_put_together_and_long_ones_are_cut() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("0.log");
        let mut writer = LogWriter::new(&path, Limit { bytes: 0, files: 1 });
        writer.append(Source::Stdout, b"one\ntw");
        writer.append(Source::Stderr, b"err\n");
        writer.append(Source::Stdout, b"o\n\n");
        writer.append(Source::Stdout, &[b'x'; RECORD + 5]);
        assert!(writer.is_pending());
        writer.append(Source::Stdout, b"\nend");
        writer.flush();
        assert!(!writer.is_pending());
        let want = [(true, 3), (true, 3), (true, 3), (true, 0), (false, RECORD), (true, 5), (false, 3)];
        assert_eq!(records(&path), want);
    }

    #[test]
    fn files_are_cut_between_records_and_only_so_many_kept() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("0.log");
        let mut writer = LogWriter::new(&path, Limit { bytes: 1000, files: 3 });
        for n in 0..200 {
            writer.append(Source::Stdout, format!("line {n:04}\n").as_bytes());
        }
        let mut lines = Vec::new();
        for age in [2, 1, 0] {
            let file = files::aged(&path, age);
            assert!(fs::metadata(&file).unwrap().len() <= 1000);
            lines.extend(records(&file));
        }
        assert!(!files::aged(&path, 3).exists());
        assert!(lines.len() > 30 && lines.iter().all(|l| *l == (true, 9)));
        // Another writer goes on where this one was, and one big piece is cut too.
        let mut again = LogWriter::new(&path, Limit { bytes: 1000, files: 3 });
        again.append(Source::Stdout, "some line\n".repeat(100).as_bytes());
        for age in 0..3 {
            assert!(fs::metadata(files::aged(&path, age)).unwrap().len() <= 1000);
        }
    }

    #[test]
    fn a_log_that_can_not_be_written_says_so_later() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("sub/0.log");
        let mut writer = LogWriter::new(&path, Limit { bytes: 0, files: 1 });
        writer.append(Source::Stdout, b"lost\nlost\n");
        fs::create_dir(dir.path().join("sub")).unwrap();
        writer.append(Source::Stdout, b"kept\n");
        let text = fs::read_to_string(&path).unwrap();
        assert!(text.contains("2 lines of this log are lost") && text.ends_with(" stdout F kept\n"), "{text}");
    }
}
