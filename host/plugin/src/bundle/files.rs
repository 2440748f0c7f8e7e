//! Finding components and knowing them by digest.

use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use super::Entry;

/// Why a component's bytes are not to be had.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    /// There is none.
    #[error("{source_name} is in none of the plugin folders ({folders})")]
    Missing {
        /// As the bundle names it.
        source_name: String,
        /// Where it was looked for.
        folders: String,
    },
    /// It can't be read.
    #[error("can't be read: {0}")]
    Read(std::io::Error),
    /// The bundle does not say which bytes are meant.
    #[error("the bundle has no digest for it: run `gantry bundle pin`")]
    Unpinned,
    /// Other bytes.
    #[error("has the digest {found}, the bundle says {wanted}: if the change is meant, run `gantry bundle pin`")]
    Mismatch {
        /// In the bundle.
        wanted: String,
        /// Of the file.
        found: String,
    },
}

/// `sha256:` and 64 hexadecimal digits.
pub fn digest(bytes: &[u8]) -> String {
    format!("sha256:{}", hex::encode(Sha256::digest(bytes)))
}

pub(super) fn check_digest(text: &str) -> Result<(), String> {
    let good = text
        .strip_prefix("sha256:")
        .is_some_and(|hex| hex.len() == 64 && hex.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f')));
    if good { Ok(()) } else { Err(format!("digest {text:?} is not sha256: and 64 lower-case hexadecimal digits")) }
}

/// The file of a plugin: the first folder that has it.
pub(crate) fn find(entry: &Entry, folders: &[PathBuf]) -> Result<PathBuf, FileError> {
    let source = entry.source();
    let candidates: Vec<PathBuf> =
        if source.is_absolute() { vec![source.clone()] } else { folders.iter().map(|dir| dir.join(&source)).collect() };
    candidates.into_iter().find(|path| path.is_file()).ok_or_else(|| FileError::Missing {
        source_name: source.display().to_string(),
        folders: folders.iter().map(|d| d.display().to_string()).collect::<Vec<_>>().join(", "),
    })
}

/// A plugin's bytes and their digest, checked against the bundle's.
pub(crate) fn read_pinned(entry: &Entry, file: &Path) -> Result<(Vec<u8>, String), FileError> {
    let wanted = entry.digest.clone().ok_or(FileError::Unpinned)?;
    let bytes = std::fs::read(file).map_err(FileError::Read)?;
    let found = digest(&bytes);
    if found == wanted { Ok((bytes, found)) } else { Err(FileError::Mismatch { wanted, found }) }
}
