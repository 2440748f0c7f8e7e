//! `gantry bundle`: looking at bundles before they run.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result};
use clap::{Args, Subcommand};
use gantry_plugin::bundle::Bundle;
use gantry_plugin::{Engine, EngineOptions};

use crate::cli::FAILED;

#[derive(Subcommand)]
pub enum BundleCommand {
    /// Say whether every plugin of a bundle can be loaded: found, of the pinned digest, of this contract, and importing
    /// no more than it is granted. Exits with 1 if a required one can't.
    Check(Files),
    /// Write the digests of the components that there are into a bundle.
    Pin(Pin),
}

#[derive(Args)]
pub struct Files {
    /// The bundle.
    pub bundle: PathBuf,
    /// Folders with components. By default the bundle's own.
    #[arg(long, value_name = "FOLDER")]
    pub plugins: Vec<PathBuf>,
}

#[derive(Args)]
pub struct Pin {
    #[command(flatten)]
    files: Files,
    /// Where to write it. By default the bundle itself; `-`: standard output.
    #[arg(long, short, value_name = "FILE")]
    output: Option<PathBuf>,
}

impl Files {
    fn folders(&self) -> Vec<PathBuf> {
        folders(&self.bundle, &self.plugins)
    }
}

/// Where components are looked for.
pub fn folders(bundle: &Path, given: &[PathBuf]) -> Vec<PathBuf> {
    match given {
        [] => bundle.parent().map(Path::to_owned).into_iter().collect(),
        given => given.to_vec(),
    }
}

impl BundleCommand {
    pub fn run(self) -> Result<ExitCode> {
        match self {
            Self::Check(files) => check(&files),
            Self::Pin(pin) => pin.run(),
        }
    }
}

fn check(files: &Files) -> Result<ExitCode> {
    let bundle = Bundle::read(&files.bundle)?;
    let engine = Engine::new(EngineOptions { cache_dir: None, ..EngineOptions::new(std::env::temp_dir()) })?;
    let report = engine.check(&bundle, &files.folders());
    print!("{report}");
    Ok(if report.ok() { ExitCode::SUCCESS } else { ExitCode::from(FAILED) })
}

impl Pin {
    fn run(self) -> Result<ExitCode> {
        let file = &self.files.bundle;
        let text = std::fs::read_to_string(file).with_context(|| format!("can't read {}", file.display()))?;
        let pinned = Bundle::pin(&text, file, &self.files.folders())?;
        match self.output.as_deref() {
            Some(path) if path == Path::new("-") => print!("{pinned}"),
            given => {
                let path = given.unwrap_or(file);
                std::fs::write(path, pinned).with_context(|| format!("can't write {}", path.display()))?;
            }
        }
        Ok(ExitCode::SUCCESS)
    }
}
