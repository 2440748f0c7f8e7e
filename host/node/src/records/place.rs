//! How far a log was read.

use serde::{Deserialize, Serialize};

use crate::logs::files::FileId;

/// A place between two records of a log.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Place {
    /// The file, whatever its name has become; `None`: the oldest that begins at `time` or later.
    pub file: Option<FileId>,
    /// Bytes of it before the place.
    pub offset: u64,
    /// Records of it before the place.
    pub lines: u64,
    /// The time of the last record before the place, in nanoseconds since 1970.
    pub time: u64,
    /// Of standard output and standard error: the place is inside a line of which a part was given out.
    pub inside: [bool; 2],
}

impl Place {
    /// The start of a file, to go on with after this place.
    pub fn start_of(self, file: FileId) -> Self {
        Self { file: Some(file), offset: 0, lines: 0, ..self }
    }

    /// The same when its file is gone.
    pub fn without_file(self) -> Self {
        Self { file: None, offset: 0, lines: 0, ..self }
    }
}
