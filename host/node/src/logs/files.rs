//! The files of one log: `x.log` is written, `x.log.1` was cut last, higher numbers are older.

use std::fs::{self, File};
use std::hash::Hasher;
use std::io::{self, Read};
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};

use fnv::FnvHasher;
use serde::{Deserialize, Serialize};

/// How much of a file's first record tells it from others.
const HEAD: usize = 256;

/// Which file this is, whatever its name. Inodes are used again, so how the file begins counts too: a record's time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct FileId {
    inode: u64,
    head: u64,
}

impl FileId {
    /// Of an open file; `None` while its first record is not whole.
    pub fn of(file: &File) -> io::Result<Option<Self>> {
        let head = head(file)?;
        let inode = file.metadata()?.ino();
        Ok((!head.is_empty()).then(|| Self { inode, head: hash(&head) }))
    }
}

/// The beginning of the first record; empty while that is not whole.
pub fn head(file: &File) -> io::Result<Vec<u8>> {
    let mut head = vec![0; HEAD];
    let read = file.read_at(&mut head, 0)?;
    head.truncate(read);
    match head.iter().position(|b| *b == b'\n') {
        Some(end) => head.truncate(end),
        None if read < HEAD => head.clear(),
        None => {}
    }
    Ok(head)
}

/// FNV: the same in every version of this program, since positions are kept on disk.
fn hash(bytes: &[u8]) -> u64 {
    let mut hasher = FnvHasher::default();
    hasher.write(bytes);
    hasher.finish()
}

/// Records in a file from here on, and bytes.
pub fn count(mut file: &File) -> io::Result<(u64, u64)> {
    let (mut lines, mut bytes) = (0, 0);
    let mut block = vec![0; 64 * 1024];
    loop {
        let read = file.read(&mut block)?;
        if read == 0 {
            return Ok((lines, bytes));
        }
        bytes += read as u64;
        lines += block.get(..read).unwrap_or_default().iter().filter(|b| **b == b'\n').count() as u64;
    }
}

/// Removes a log: the file being written and all that were cut.
pub fn remove_all(path: &Path) -> io::Result<()> {
    let (mut age, mut missing) = (0, 0);
    while missing < 2 {
        match fs::remove_file(aged(path, age)) {
            Ok(()) => missing = 0,
            Err(error) if error.kind() == io::ErrorKind::NotFound => missing += 1,
            Err(error) => return Err(error),
        }
        age += 1;
    }
    Ok(())
}

/// The file with this age; 0 is the one being written.
pub fn aged(path: &Path, age: u32) -> PathBuf {
    if age == 0 {
        return path.to_owned();
    }
    let mut name = path.as_os_str().to_owned();
    name.push(format!(".{age}"));
    PathBuf::from(name)
}

/// The file that the next [`rotate`] removes.
pub fn next_to_go(path: &Path, keep: u32) -> PathBuf {
    aged(path, keep.max(1) - 1)
}

/// Makes every file one older and drops those beyond `keep` files in all.
pub fn rotate(path: &Path, keep: u32) -> io::Result<()> {
    let oldest = keep.max(1) - 1;
    if oldest == 0 {
        return fs::remove_file(path);
    }
    for age in (0..oldest).rev() {
        match fs::rename(aged(path, age), aged(path, age + 1)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
    }
    Ok(())
}

/// Opens the files of a log, the newest first. While they are renamed one of them may be between two names, but not two:
/// a single missing name is not the end. Renamed ones may come twice.
struct Opened<'a> {
    path: &'a Path,
    age: u32,
    missing: u32,
}

impl<'a> Opened<'a> {
    fn of(path: &'a Path) -> Self {
        Self { path, age: 0, missing: 0 }
    }

    fn next(&mut self) -> io::Result<Option<(File, u64)>> {
        while self.missing < 2 {
            let file = File::open(aged(self.path, self.age));
            self.age += 1;
            match file {
                Ok(file) => {
                    self.missing = 0;
                    let inode = file.metadata()?.ino();
                    return Ok(Some((file, inode)));
                }
                Err(error) if error.kind() == io::ErrorKind::NotFound => self.missing += 1,
                Err(error) => return Err(error),
            }
        }
        Ok(None)
    }
}

/// Opens all files of a log, oldest first. A cut in between shows as the same file twice, which is left out.
pub fn open_all(path: &Path) -> io::Result<Vec<File>> {
    let (mut files, mut seen) = (Vec::new(), Vec::new());
    let mut opened = Opened::of(path);
    while let Some((file, inode)) = opened.next()? {
        if !seen.contains(&inode) {
            seen.push(inode);
            files.push(file);
        }
    }
    files.reverse();
    Ok(files)
}

/// The file that follows `file`, once that was cut. `None`: it is still the newest.
pub fn after(path: &Path, file: &File) -> io::Result<Option<File>> {
    let inode = file.metadata()?.ino();
    let mut newer = None;
    let mut opened = Opened::of(path);
    while let Some((found, number)) = opened.next()? {
        if number == inode {
            return Ok(newer);
        }
        newer = Some(found);
    }
    // Cut so often that ours is gone: go on with the oldest.
    Ok(newer)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_between_two_names_hides_no_others() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("0.log");
        for age in [0, 2, 3] {
            fs::write(aged(&path, age), format!("{age}")).unwrap();
        }
        let text = |mut file: File| {
            let mut text = String::new();
            file.read_to_string(&mut text).unwrap();
            text
        };
        let all: Vec<_> = open_all(&path).unwrap().into_iter().map(text).collect();
        assert_eq!(all, ["3", "2", "0"]);
        let oldest = File::open(aged(&path, 3)).unwrap();
        assert_eq!(after(&path, &oldest).unwrap().map(text), Some("2".to_owned()));
        let middle = File::open(aged(&path, 2)).unwrap();
        assert_eq!(after(&path, &middle).unwrap().map(text), Some("0".to_owned()));
        remove_all(&path).unwrap();
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
    }
}
