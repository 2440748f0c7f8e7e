//! How far one sink has got, on disk: written whole beside the old file, synced, and put in its place, so that a crash
//! leaves the one or the other.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::place::Place;
use crate::whole;

/// Of the file. A newer one is refused: it may mean something else.
const VERSION: u32 = 1;

/// Why positions can't be used.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// They can't be read or written, or the logs can't.
    #[error("{path}: {error}")]
    Files {
        /// Which file.
        path: PathBuf,
        /// Why.
        error: io::Error,
    },
    /// A later version of this program wrote them.
    #[error(
        "{path} has format {found}, and this program knows up to {VERSION}: start the newer program, or remove the file \
             to ship again all logs that are there"
    )]
    Newer {
        /// Which file.
        path: PathBuf,
        /// What it says.
        found: u32,
    },
}

/// By the path of the log below the folder of all logs.
pub type Places = BTreeMap<PathBuf, Place>;

#[derive(Serialize, Deserialize)]
struct Saved {
    version: u32,
    #[serde(default)]
    logs: Places,
}

/// The file.
#[derive(Clone, Debug, Default)]
pub struct Positions {
    path: PathBuf,
}

impl Positions {
    /// Of a sink.
    pub fn of(folder: &Path, sink: &str) -> Self {
        let safe = |c: char| if c.is_ascii_alphanumeric() || c == '-' || c == '.' { c } else { '_' };
        let name: String = sink.chars().map(safe).collect();
        Self { path: folder.join(format!("{name}.json")) }
    }

    /// Where the file lies.
    pub fn folder(&self) -> &Path {
        self.path.parent().unwrap_or(&self.path)
    }

    /// What was written last; `None`: nothing ever was.
    pub fn load(&self) -> Result<Option<Places>, Error> {
        let bytes = match fs::read(&self.path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            bytes => bytes.map_err(|error| self.failed(error))?,
        };
        match serde_json::from_slice::<Saved>(&bytes) {
            Ok(saved) if saved.version > VERSION => Err(Error::Newer { path: self.path.clone(), found: saved.version }),
            Ok(saved) => Ok(Some(saved.logs)),
            Err(error) => {
                // Only somebody else or a broken disk does that. Better twice than never.
                tracing::warn!(%error, file = %self.path.display(), "positions can't be read; shipping all logs again");
                Ok(Some(Places::new()))
            }
        }
    }

    /// Writes; durable when it returns.
    pub fn save(&self, places: Places) -> Result<(), Error> {
        let saved = Saved { version: VERSION, logs: places };
        let bytes = serde_json::to_vec(&saved).map_err(|error| self.failed(error.into()))?;
        whole::replace(&self.path, &bytes).map_err(|error| self.failed(error))
    }

    fn failed(&self, error: io::Error) -> Error {
        Error::Files { path: self.path.clone(), error }
    }
}
