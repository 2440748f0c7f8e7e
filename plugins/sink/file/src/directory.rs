//! The directory: open files, appending, setting aside, removing the oldest.

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

/// Files kept open. Opening one again costs little; a handle per container of a large node does not.
const MOST_OPEN: usize = 64;
const SUFFIX: &str = ".jsonl";

/// A file that is being appended to.
struct Open {
    file: File,
    /// Its length, as far as this instance knows.
    length: u64,
    /// When it was last used, in batches.
    used: u64,
}

/// A change that can be taken back: the file and its length before.
pub struct Appended {
    name: String,
    before: u64,
}

/// The directory.
#[derive(Default)]
pub struct Directory {
    path: PathBuf,
    open: BTreeMap<String, Open>,
    batches: u64,
}

impl Directory {
    /// Checks that the directory is there.
    pub fn new(path: &Path) -> io::Result<Self> {
        fs::read_dir(path)?;
        Ok(Directory { path: path.to_owned(), ..Directory::default() })
    }

    /// Appends to a file, which is set aside first if it would outgrow `limit`.
    pub fn append(&mut self, name: &str, lines: &[u8], limit: u64) -> io::Result<Appended> {
        if self.current(name)?.length.saturating_add(lines.len() as u64) > limit {
            self.set_aside(name)?;
        }
        let open = self.current(name)?;
        let before = open.length;
        match open.file.write_all(lines) {
            Ok(()) => {
                open.length += lines.len() as u64;
                Ok(Appended { name: name.to_string(), before })
            }
            Err(error) => {
                self.undo(&Appended { name: name.to_string(), before });
                Err(error)
            }
        }
    }

    /// Waits until the disk has what was appended.
    pub fn sync(&mut self, appended: &Appended) -> io::Result<()> {
        match self.open.get(&appended.name) {
            Some(open) => open.file.sync_data(),
            None => Ok(()),
        }
    }

    /// Takes an append back. If even that fails, the lines will be there twice after the batch has come again, which
    /// "at least once" allows.
    pub fn undo(&mut self, appended: &Appended) {
        let Some(open) = self.open.remove(&appended.name) else { return };
        if let Err(error) = open.file.set_len(appended.before) {
            gantry_sdk::warn!("{}: records of a failed batch stay in the file: {error}", appended.name);
        }
    }

    /// Counts a batch, and closes files that were not used for longest.
    pub fn end_batch(&mut self) {
        self.batches += 1;
        while self.open.len() > MOST_OPEN {
            let oldest = self.open.iter().min_by_key(|(_, open)| open.used).map(|(name, _)| name.clone());
            let Some(oldest) = oldest else { return };
            self.open.remove(&oldest);
        }
    }

    /// Removes the oldest files until `keep` are left: of one name, or of all.
    pub fn trim(&self, only: Option<&str>, keep: usize) -> io::Result<()> {
        let mut files = self.files()?;
        files.retain(|file| only.is_none_or(|name| stem(file) == Some(name)));
        // By name is by age: days sort by date, and a number before the suffix sorts before the suffix alone.
        files.sort_unstable();
        let surplus = files.len().saturating_sub(keep);
        for file in files.iter().take(surplus).filter(|file| !self.is_open(file)) {
            fs::remove_file(self.path.join(file))?;
        }
        Ok(())
    }

    /// The file, open at its end. One that somebody else changed or removed is opened anew.
    fn current(&mut self, name: &str) -> io::Result<&mut Open> {
        let path = self.path.join(format!("{name}{SUFFIX}"));
        let length = fs::metadata(&path).map(|meta| meta.len()).ok();
        if self.open.get(name).is_some_and(|open| Some(open.length) != length) {
            self.open.remove(name);
        }
        let open = match self.open.remove(name) {
            Some(open) => open,
            None => Open { used: 0, ..open(&path)? },
        };
        let open = self.open.entry(name.to_string()).or_insert(open);
        open.used = self.batches;
        Ok(open)
    }

    /// Gives the file its next number. What comes goes into a new one.
    fn set_aside(&mut self, name: &str) -> io::Result<()> {
        if self.open.remove(name).is_none_or(|open| open.length == 0) {
            return Ok(());
        }
        let files = self.files()?;
        let last = files.iter().filter(|file| stem(file) == Some(name)).filter_map(|file| number(file)).max();
        let aside = format!("{name}.{:06}{SUFFIX}", last.unwrap_or_default() + 1);
        fs::rename(self.path.join(format!("{name}{SUFFIX}")), self.path.join(aside))
    }

    /// Names of the files that are this plugin's, by their form.
    fn files(&self) -> io::Result<Vec<String>> {
        let entries = fs::read_dir(&self.path)?.collect::<io::Result<Vec<_>>>()?;
        let names = entries.iter().filter_map(|entry| entry.file_name().into_string().ok());
        Ok(names.filter(|name| stem(name).is_some()).collect())
    }

    fn is_open(&self, file: &str) -> bool {
        number(file).is_none() && stem(file).is_some_and(|name| self.open.contains_key(name))
    }
}

/// `2026-01-02` of `2026-01-02.000001.jsonl` and of `2026-01-02.jsonl`.
fn stem(file: &str) -> Option<&str> {
    let stem = file.strip_suffix(SUFFIX)?;
    match stem.split_once('.') {
        None => Some(stem),
        Some((name, number)) => number.bytes().all(|b| b.is_ascii_digit()).then_some(name),
    }
}

/// 1 of `2026-01-02.000001.jsonl`.
fn number(file: &str) -> Option<u64> {
    file.strip_suffix(SUFFIX)?.split_once('.')?.1.parse().ok()
}

/// Opens a file for appending, without the line that a crash may have cut short.
fn open(path: &Path) -> io::Result<Open> {
    let mut file = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path)?;
    let length = file.seek(SeekFrom::End(0))?;
    let whole = whole_lines(&mut file, length)?;
    if whole < length {
        gantry_sdk::warn!("{}: removed {} bytes of a line that was cut short", path.display(), length - whole);
        file.set_len(whole)?;
    }
    file.seek(SeekFrom::Start(whole))?;
    Ok(Open { file, length: whole, used: 0 })
}

/// The length up to and with the last end of a line.
fn whole_lines(file: &mut File, length: u64) -> io::Result<u64> {
    let mut block = [0; 4096];
    let mut end = length;
    while end > 0 {
        let start = end.saturating_sub(block.len() as u64);
        let size = usize::try_from(end - start).unwrap_or(block.len());
        let part = block.get_mut(..size).unwrap_or_default();
        file.seek(SeekFrom::Start(start))?;
        file.read_exact(part)?;
        if let Some(at) = part.iter().rposition(|byte| *byte == b'\n') {
            return Ok(start + at as u64 + 1);
        }
        end = start;
    }
    Ok(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_tell_stem_and_number() {
        for (file, expected) in [
            ("2026-01-02.jsonl", Some(("2026-01-02", None))),
            ("2026-01-02.000012.jsonl", Some(("2026-01-02", Some(12)))),
            ("notes.txt", None),
            ("a.b.jsonl", None),
        ] {
            assert_eq!(stem(file).map(|name| (name, number(file))), expected, "{file}");
        }
    }

    #[test]
    fn a_line_cut_short_goes_wherever_it_begins() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("x.jsonl");
        let long = "y".repeat(10_000);
        for (content, kept) in [("", 0), ("a\n", 2), ("a\nbc", 2), ("abc", 0), (&format!("{long}\n{long}"), 10_001)] {
            fs::write(&path, content).unwrap();
            assert_eq!(open(&path).unwrap().length, kept);
            assert_eq!(fs::metadata(&path).unwrap().len(), kept);
        }
    }
}
