//! `gantry bundle check`: everything that can be known about a bundle before it runs.

use std::fmt;
use std::path::PathBuf;

use super::load::{Prepared, failed, fits};
use super::{Engine, LoadError};
use crate::bundle::{Bundle, Entry};

/// What a check found.
#[derive(Debug)]
pub struct Report {
    /// The bundle's name.
    pub bundle: String,
    /// One for each plugin, in the bundle's order.
    pub plugins: Vec<PluginReport>,
}

/// What a check found about one plugin.
#[derive(Debug)]
pub struct PluginReport {
    /// Its name in the bundle.
    pub name: String,
    /// What it is, if it can be loaded.
    pub outcome: Result<Summary, LoadError>,
    /// What an operator may want to know: grants asked for and not given.
    pub notes: Vec<String>,
}

/// A plugin that can be loaded.
#[derive(Clone, Debug)]
pub struct Summary {
    /// Its version.
    pub version: String,
    /// Its digest.
    pub digest: String,
    /// Its file.
    pub file: PathBuf,
    /// Its families' names.
    pub families: Vec<&'static str>,
}

impl Engine {
    /// Links and checks everything without making an instance. Blocks while it compiles.
    pub fn check(&self, bundle: &Bundle, folders: &[PathBuf]) -> Report {
        let plugins = bundle.plugins.iter().map(|entry| self.check_one(entry, folders)).collect();
        Report { bundle: bundle.name.clone(), plugins }
    }

    fn check_one(&self, entry: &Entry, folders: &[PathBuf]) -> PluginReport {
        let prepared = self.prepare(entry, folders).and_then(|prepared| match fits(&prepared) {
            Ok(()) => Ok(prepared),
            Err(cause) => Err(failed(entry, Some(&prepared.file), cause)),
        });
        let notes = prepared.as_ref().map_or(Vec::new(), |p| p.grants.withheld());
        PluginReport { name: entry.name.clone(), outcome: prepared.map(summary), notes }
    }
}

fn summary(prepared: Prepared) -> Summary {
    Summary {
        version: prepared.manifest.version,
        digest: prepared.digest,
        file: prepared.file,
        families: prepared.manifest.families.iter().map(|family| family.name()).collect(),
    }
}

impl Report {
    /// Whether every plugin that is required can be loaded.
    pub fn ok(&self) -> bool {
        self.plugins.iter().all(|p| p.outcome.as_ref().err().is_none_or(|e| !e.required))
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for plugin in &self.plugins {
            match &plugin.outcome {
                Ok(s) => {
                    writeln!(f, "ok       {} {} ({}) {}", plugin.name, s.version, s.families.join(", "), s.digest)?
                }
                Err(error) if error.required => writeln!(f, "refused  {error}")?,
                Err(error) => writeln!(f, "without  {error}")?,
            }
            for note in &plugin.notes {
                writeln!(f, "note     {}: {note}", plugin.name)?;
            }
        }
        Ok(())
    }
}
