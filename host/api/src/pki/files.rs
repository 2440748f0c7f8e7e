//! Certificate files on disk.

use std::fs;
use std::io::Write;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::Path;

use super::{Error, Pair};

pub(super) fn directory(dir: &Path) -> Result<(), Error> {
    fs::DirBuilder::new().recursive(true).mode(0o700).create(dir).map_err(|e| file(dir, e))
}

/// The pair `name.crt` and `name.key`; `None` when either is missing.
pub(super) fn read(dir: &Path, name: &str) -> Result<Option<Pair>, Error> {
    let certificate = read_one(&dir.join(format!("{name}.crt")))?;
    let key = read_one(&dir.join(format!("{name}.key")))?;
    Ok(certificate.zip(key).map(|(certificate, key)| Pair { certificate, key }))
}

/// Writes a pair: the key first, so that a crash in between never leaves a certificate without its key.
pub(super) fn keep(dir: &Path, name: &str, pair: Pair) -> Result<Pair, Error> {
    write(dir, &format!("{name}.key"), &pair.key)?;
    write(dir, &format!("{name}.crt"), &pair.certificate)?;
    Ok(pair)
}

pub(super) fn damaged(dir: &Path, name: &str, reason: rcgen::Error) -> Error {
    Error::Damaged { path: dir.join(format!("{name}.key")), reason: reason.to_string() }
}

fn read_one(path: &Path) -> Result<Option<String>, Error> {
    match fs::read_to_string(path) {
        Ok(text) => Ok(Some(text)),
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(e) => Err(file(path, e)),
    }
}

fn write(dir: &Path, name: &str, text: &str) -> Result<(), Error> {
    let path = dir.join(name);
    let aside = dir.join(format!(".{name}.new"));
    let result = fs::OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(&aside)
        .and_then(|mut f| f.write_all(text.as_bytes()).and_then(|()| f.sync_all()))
        .and_then(|()| fs::rename(&aside, &path));
    result.map_err(|e| file(&path, e))
}

fn file(path: &Path, source: std::io::Error) -> Error {
    Error::File { path: path.to_owned(), source }
}
