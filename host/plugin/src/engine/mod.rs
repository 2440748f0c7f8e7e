//! Loading: from a bundle and folders of components to plugins that can be called.

mod cache;
mod check;
mod linker;
mod load;
mod settings;
mod ticker;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

pub use check::{PluginReport, Report, Summary};
pub use load::{Cause, LoadError};
pub(crate) use ticker::{Beat, Ticker};

use crate::instance::FaultPolicy;

/// How the engine works.
#[derive(Clone, Debug)]
pub struct EngineOptions {
    /// Where compiled code is kept; `None`: compiled at every start.
    pub cache_dir: Option<PathBuf>,
    /// What `{data}` stands for in a bundle's directories.
    pub data_dir: PathBuf,
    /// How often a running guest is looked at: the grain of deadlines.
    pub tick: Duration,
    /// Instances of all plugins together.
    pub max_instances: u32,
    /// How faults are answered.
    pub faults: FaultPolicy,
}

impl EngineOptions {
    /// The usual ones, with everything kept below `data_dir`.
    pub fn new(data_dir: PathBuf) -> Self {
        Self {
            cache_dir: Some(data_dir.join("cache/plugins")),
            data_dir,
            tick: Duration::from_millis(5),
            max_instances: 64,
            faults: FaultPolicy::default(),
        }
    }
}

/// Why there is no engine.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    /// wasmtime refused the settings: this machine lacks something that they need.
    #[error("the WebAssembly engine can't start: {0}")]
    Settings(String),
    /// The thread that watches deadlines.
    #[error("the engine's timer thread can't start")]
    Ticker(#[source] std::io::Error),
}

/// Loads and runs plugins. Cheap to clone.
#[derive(Clone)]
pub struct Engine {
    inner: Arc<Inner>,
}

struct Inner {
    options: EngineOptions,
    wasmtime: wasmtime::Engine,
    ticker: Arc<Ticker>,
    cache: cache::Cache,
}

impl Engine {
    /// Starts an engine. Nothing is loaded yet.
    pub fn new(options: EngineOptions) -> Result<Self, EngineError> {
        let wasmtime =
            wasmtime::Engine::new(&settings::config(&options)).map_err(|e| EngineError::Settings(format!("{e:#}")))?;
        let ticker = Ticker::start(wasmtime.clone(), options.tick).map_err(EngineError::Ticker)?;
        let cache = cache::Cache::new(options.cache_dir.clone(), &wasmtime);
        Ok(Self { inner: Arc::new(Inner { options, wasmtime, ticker, cache }) })
    }
}
