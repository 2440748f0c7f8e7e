//! `gantry bundle`: looking at bundles before they run.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::{Context, Result};
use async_trait::async_trait;
use clap::{Args, Subcommand};
use gantry_plugin::bundle::{Bundle, Entry};
use gantry_plugin::family::objects::{Event, Query, Write, Written};
use gantry_plugin::family::{Error, ErrorCode, ObjectRef, RetryHint};
use gantry_plugin::{Cause, Engine, EngineOptions, LoadError, Objects};

use crate::cli::FAILED;
use crate::dialects::Mount;
use crate::trial;

#[derive(Subcommand)]
pub enum BundleCommand {
    /// Say whether a control plane would start with a bundle: every plugin is found, of the pinned digest, of this contract,
    /// imports no more than it is granted, is granted what it can't do without, takes its configuration, and wants no request that another one wants. Exits with 1
    /// if that is not so of a required one.
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
            Self::Check(files) => tokio::runtime::Runtime::new()?.block_on(check(&files)),
            Self::Pin(pin) => pin.run(),
        }
    }
}

/// Links and checks everything, then tries what could be linked, as a start would. Data is nobody's.
async fn check(files: &Files) -> Result<ExitCode> {
    let bundle = Bundle::read(&files.bundle)?;
    let data = tempfile::tempdir()?;
    let engine = Engine::new(EngineOptions::new(data.path().to_owned()))?;
    let mut report = engine.check(&bundle, &files.folders());
    let mut mounts = Vec::new();
    for plugin in &mut report.plugins {
        let Some(entry) = bundle.plugins.iter().find(|entry| entry.name == plugin.name) else { continue };
        if plugin.outcome.is_err() {
            continue;
        }
        match tried(&engine, entry, &files.folders(), &mounts).await {
            Ok(mount) => mounts.extend(mount),
            Err(error) => plugin.outcome = Err(error),
        }
    }
    print!("{report}");
    Ok(if report.ok() { ExitCode::SUCCESS } else { ExitCode::from(FAILED) })
}

async fn tried(
    engine: &Engine,
    entry: &Entry,
    folders: &[PathBuf],
    mounts: &[Mount],
) -> std::result::Result<Option<Mount>, LoadError> {
    let loaded = engine.load_one(entry, folders, Arc::new(Nowhere)).await?;
    let outcome = trial::run(&loaded).await.and_then(|tried| tried.faults.into_iter().next().map_or(Ok(()), Err));
    let mount = Mount::of(&loaded);
    let clash = mount.as_ref().and_then(|mount| mount.clash(mounts));
    let outcome = outcome.and_then(|()| clash.map_or(Ok(mount), Err));
    outcome.map_err(|why| LoadError {
        plugin: entry.name.clone(),
        file: Some(loaded.file().to_owned()),
        required: entry.required,
        cause: Cause::Trial(why),
    })
}

/// Objects where there is no control plane.
struct Nowhere;

fn nowhere() -> Error {
    let message = "there are no objects: the bundle is only checked".to_owned();
    Error { code: ErrorCode::Unavailable, message, retry: RetryHint::Never }
}

#[async_trait]
impl Objects for Nowhere {
    async fn get(&self, _: ObjectRef) -> std::result::Result<Vec<u8>, Error> {
        Err(nowhere())
    }

    async fn list(&self, _: Query) -> std::result::Result<Vec<u8>, Error> {
        Err(nowhere())
    }

    async fn apply(&self, writes: Vec<Write>) -> Vec<std::result::Result<Written, Error>> {
        writes.iter().map(|_| Err(nowhere())).collect()
    }

    async fn record_events(&self, _: Vec<Event>) {}
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
