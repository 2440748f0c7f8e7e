//! A batch in the making.

use std::path::Path;
use std::sync::Arc;

use gantry_plugin::family::Label;
use gantry_plugin::family::sink::{Batch, LogRecord, Origin};

use super::join::Line;
use super::place::Place;

/// The most that a batch holds, so that memory has a bound whatever the lines are like.
const RECORDS: usize = 8192;
const BYTES: usize = 1024 * 1024;

/// A batch, and where its logs are to go on once its fate is decided.
#[derive(Debug)]
pub struct Parcel {
    /// The batch.
    pub batch: Batch,
    /// Up to where it has each log.
    pub places: Vec<(Arc<Path>, Place)>,
    /// Bytes of its bodies.
    pub bytes: usize,
    /// Bytes of the logs that it stands for.
    pub covered: u64,
}

impl Default for Parcel {
    fn default() -> Self {
        let batch = Batch { origins: Vec::new(), records: Vec::new() };
        Self { batch, places: Vec::new(), bytes: 0, covered: 0 }
    }
}

impl Parcel {
    /// Whether no more should be put in.
    pub fn is_full(&self) -> bool {
        self.batch.records.len() >= RECORDS || self.bytes >= BYTES
    }

    /// Names an origin; its number is for [`Parcel::add`].
    pub fn origin(&mut self, attributes: &[Label]) -> u32 {
        self.batch.origins.push(Origin { attributes: attributes.to_vec() });
        u32::try_from(self.batch.origins.len() - 1).unwrap_or(u32::MAX)
    }

    /// Adds a line.
    pub fn add(&mut self, origin: u32, line: Line) {
        let label = |key: &str, value: &str| Label { key: key.to_owned(), value: value.to_owned() };
        let mut attributes = vec![label("log.iostream", line.source.name())];
        attributes.extend(line.part.name().map(|part| label("log.line.part", part)));
        self.bytes += line.body.len();
        self.batch.records.push(LogRecord {
            origin,
            time_unix_nano: line.time,
            // Nobody said.
            severity_number: 0,
            body: line.body,
            attributes,
        });
    }
}
