use std::cell::RefCell;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::Arc;

use anyhow::{Context, Result, anyhow};
use gantry_plugin::bundle::digest;
use gantry_plugin::manifest::Anatomy;
use gantry_plugin::{Bundle, Call, Engine, EngineOptions, Loaded, Manifest};
use gantry_sdk::{Config, Error, Value, serde_json};
use tempfile::TempDir;
use tokio::runtime::{Builder, Runtime};

use crate::objects::Hosted;

/// A component, and the folders that it gets.
pub struct Component {
    /// What it says about itself.
    pub manifest: Manifest,
    bytes: Vec<u8>,
    directories: Vec<(String, PathBuf)>,
    /// The endpoint that it may ask, and how; else the thread's `testing::Host` answers.
    http: Option<(String, toml::Table)>,
}

impl Component {
    /// Reads a component's file.
    pub fn read(file: impl AsRef<Path>) -> Result<Self> {
        let file = file.as_ref();
        let bytes = std::fs::read(file).with_context(|| format!("can't read {}", file.display()))?;
        let manifest = Anatomy::read(&bytes).and_then(|anatomy| Manifest::of(&anatomy));
        let manifest = manifest.with_context(|| format!("{} is no plugin", file.display()))?;
        Ok(Self { manifest, bytes, directories: Vec::new(), http: None })
    }

    /// Gives it a folder of this machine behind `/NAME`.
    #[must_use]
    pub fn directory(mut self, name: impl Into<String>, path: impl Into<PathBuf>) -> Self {
        self.directories.push((name.into(), path.into()));
        self
    }

    /// Lets it ask a server over HTTP, as the bundle's `[plugin.http]` says, instead of the thread's `testing::Host`.
    #[must_use]
    pub fn http(mut self, endpoint: impl Into<String>, settings: toml::Table) -> Self {
        self.http = Some((endpoint.into(), settings));
        self
    }
}

/// The component that this thread's adapters stand for, in an engine of its own.
pub struct Stage {
    runtime: Runtime,
    engine: Engine,
    component: Component,
    /// What `{http}` in a configuration stands for: the one endpoint that is granted.
    endpoint: String,
    folder: TempDir,
}

thread_local! {
    static CURRENT: RefCell<Option<Rc<Stage>>> = const { RefCell::new(None) };
}

/// Ends the stage of this thread.
#[must_use = "the stage is there as long as this is"]
pub struct Curtain(());

impl Drop for Curtain {
    fn drop(&mut self) {
        CURRENT.with(|current| current.take());
    }
}

impl Stage {
    /// Puts a component on this thread's stage.
    pub fn set(component: Component) -> Result<Curtain> {
        // One thread for guest and host: the objects that a guest asks for are those of the thread's `testing::Host`.
        let runtime = Builder::new_current_thread().enable_all().build()?;
        let folder = tempfile::tempdir()?;
        let engine = Engine::new(EngineOptions::new(folder.path().join("data")))?;
        std::fs::write(folder.path().join(format!("{}.wasm", component.manifest.name)), &component.bytes)?;
        let endpoint = match &component.http {
            Some((endpoint, _)) => endpoint.clone(),
            None => crate::http::serve(&runtime)?,
        };
        let stage = Stage { runtime, engine, component, endpoint, folder };
        CURRENT.with(|current| current.replace(Some(Rc::new(stage))));
        Ok(Curtain(()))
    }

    /// This thread's. Panics without one.
    pub(crate) fn current() -> Rc<Self> {
        CURRENT.with(|current| current.borrow().clone()).expect("no component is on stage: call `Stage::set` first")
    }

    /// Loads the component as a bundle with this configuration would; its compiled code is kept from the first time.
    pub(crate) fn load(&self, config: &Config) -> Result<Loaded, Error> {
        self.try_load(config).map_err(|e| Error::invalid(format!("{e:#}")))
    }

    fn try_load(&self, config: &Config) -> Result<Loaded> {
        let bundle = Bundle::parse(&self.bundle(config)?, Path::new("contract.toml"))?;
        let folders = [self.folder.path().to_owned()];
        let loading = self.engine.load(&bundle, &folders, Arc::new(Hosted));
        let loaded = self.runtime.block_on(loading).pop().ok_or_else(|| anyhow!("nothing was loaded"))?;
        Ok(loaded?)
    }

    fn bundle(&self, config: &Config) -> Result<String> {
        let config: Value = config.parse().map_err(|e| anyhow!("{e}"))?;
        let config: Value = serde_json::from_str(&config.to_string().replace("{http}", &self.endpoint))?;
        let directories: toml::Table = self
            .component
            .directories
            .iter()
            .map(|(name, path)| (name.clone(), toml::Value::from(path.display().to_string())))
            .collect();
        let mut plugin = toml::Table::new();
        plugin.insert("name".to_owned(), self.component.manifest.name.clone().into());
        plugin.insert("digest".to_owned(), digest(&self.component.bytes).into());
        plugin.insert("grants".to_owned(), self.grants());
        if let Some((_, settings)) = &self.component.http {
            plugin.insert("http".to_owned(), settings.clone().into());
        }
        plugin.insert("config".to_owned(), toml::Value::try_from(config).context("a configuration is TOML")?);
        if !directories.is_empty() {
            plugin.insert(
                "wasi".to_owned(),
                toml::Table::from_iter([("directories".to_owned(), directories.into())]).into(),
            );
        }
        let mut bundle = toml::Table::new();
        bundle.insert("name".to_owned(), "contract".into());
        bundle.insert("plugin".to_owned(), vec![toml::Value::from(plugin)].into());
        Ok(toml::to_string(&bundle)?)
    }

    fn grants(&self) -> toml::Value {
        if self.component.manifest.asks.http.is_empty() {
            return "asked".into();
        }
        let endpoints = toml::Value::Array(vec![self.endpoint.clone().into()]);
        toml::Table::from_iter([("asked".to_owned(), true.into()), ("http".to_owned(), endpoints)]).into()
    }

    /// Waits for a call. A fault is never an answer: it ends the test.
    pub(crate) fn call<T>(&self, call: impl Future<Output = Call<T>>) -> T {
        match self.runtime.block_on(call) {
            Ok(answer) => answer,
            Err(fault) => panic!("{fault}"),
        }
    }
}

/// An instance behind a family's trait: nothing before it was configured.
pub(crate) fn configured<T>(instance: &mut Option<T>) -> Result<&mut T, Error> {
    instance.as_mut().ok_or_else(|| Error::internal("called before `configure`"))
}
