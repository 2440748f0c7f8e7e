//! What an operator may set.

use std::path::PathBuf;

use gantry_sdk::api::Quantity;
use gantry_sdk::{Error, Result};
use serde::Deserialize;

/// The plugin's configuration.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct Options {
    /// As the plugin sees it; the bundle says where on the node it lies.
    pub directory: PathBuf,
    /// What goes into one file.
    pub split: Split,
    /// A file is set aside before it grows beyond this.
    pub max_bytes: Quantity,
    /// Files kept.
    pub max_files: usize,
    /// When a batch counts as written.
    pub sync: Sync,
}

/// What goes into one file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Split {
    /// The records of a day, in UTC.
    #[default]
    Day,
    /// The records of a container, or of whatever else they are about.
    Origin,
}

/// When a batch counts as written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Sync {
    /// When the disk has it.
    #[default]
    Batch,
    /// When the kernel has it.
    Never,
}

impl Default for Options {
    fn default() -> Self {
        Options {
            directory: "/records".into(),
            split: Split::default(),
            max_bytes: Quantity::from("64Mi"),
            max_files: 32,
            sync: Sync::default(),
        }
    }
}

impl Options {
    /// The size limit in bytes; refuses options that can't work.
    pub fn limit(&self) -> Result<u64> {
        if self.max_files == 0 {
            return Err(Error::invalid("configuration: max-files must be at least 1"));
        }
        match self.max_bytes.value().map_err(|e| e.context("configuration: max-bytes"))? {
            0 => Err(Error::invalid("configuration: max-bytes must be more than 0")),
            bytes => Ok(bytes),
        }
    }
}
