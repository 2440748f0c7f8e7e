//! The files of one log: `x.log` is written, `x.log.1` was cut last, higher numbers are older.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// The file with this age; 0 is the one being written.
pub fn aged(path: &Path, age: u32) -> PathBuf {
    if age == 0 {
        return path.to_owned();
    }
    let mut name = path.as_os_str().to_owned();
    name.push(format!(".{age}"));
    PathBuf::from(name)
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

/// Opens all files of a log, oldest first. A cut in between shows as the same file twice, which is left out.
pub fn open_all(path: &Path) -> io::Result<Vec<File>> {
    let mut files = Vec::new();
    let mut seen = Vec::new();
    for age in 0.. {
        match File::open(aged(path, age)) {
            Ok(file) => {
                let inode = file.metadata()?.ino();
                if !seen.contains(&inode) {
                    seen.push(inode);
                    files.push(file);
                }
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                if age > 0 {
                    break;
                }
            }
            Err(error) => return Err(error),
        }
    }
    files.reverse();
    Ok(files)
}

/// The file that follows `file`, once that was cut. `None`: it is still the newest.
pub fn after(path: &Path, file: &File) -> io::Result<Option<File>> {
    let inode = file.metadata()?.ino();
    let mut newer = None;
    for age in 0.. {
        match File::open(aged(path, age)) {
            Ok(found) if found.metadata()?.ino() == inode => return Ok(newer),
            Ok(found) => newer = Some(found),
            Err(error) if error.kind() == io::ErrorKind::NotFound && age == 0 => {}
            // Cut so often that ours is gone: go on with the oldest.
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(newer),
            Err(error) => return Err(error),
        }
    }
    Ok(newer)
}
