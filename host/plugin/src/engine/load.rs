//! From an entry of a bundle to a plugin: find, check, compile, link. No instance is made here.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use wasmtime::component::InstancePre;

use super::Engine;
use super::linker::{Reach, linker};
use crate::bundle::{self, Bundle, Entry, FileError, OnFault};
use crate::family::Objects;
use crate::grants::Effective;
use crate::host::{Host, Logger, Plugin};
use crate::http::Gate;
use crate::instance::Health;
use crate::loaded::{Linked, Loaded};
use crate::manifest::{self, Anatomy, Family, Manifest};

/// Memory of an instance when the bundle does not say.
const MEMORY: u64 = 128 << 20;
/// Deadline of a call when the bundle does not say.
const DEADLINE: Duration = Duration::from_secs(1);
/// Instances of a controller, and of a reviewer, when the bundle does not say.
const INSTANCES: u32 = 2;

/// A plugin of a bundle that can't be loaded.
#[derive(Debug, thiserror::Error)]
#[error("plugin {plugin}{}: {cause}", file.as_ref().map_or(String::new(), |f| format!(" ({})", f.display())))]
pub struct LoadError {
    /// Its name in the bundle.
    pub plugin: String,
    /// Its file, once found.
    pub file: Option<PathBuf>,
    /// Whether the bundle says that the control plane must not start without it.
    pub required: bool,
    /// Why.
    pub cause: Cause,
}

/// Why a plugin can't be loaded.
#[derive(Debug, thiserror::Error)]
pub enum Cause {
    /// No such file, or not the one that the bundle means.
    #[error(transparent)]
    File(#[from] FileError),
    /// It is no plugin, or one of another contract.
    #[error(transparent)]
    Manifest(#[from] manifest::Error),
    /// Another plugin.
    #[error("its manifest says that it is {0}")]
    Name(String),
    /// It imports what it is not granted.
    #[error("imports {import}: {why}")]
    Import {
        /// `wasi:sockets/tcp@0.2.6`
        import: String,
        /// What to do.
        why: &'static str,
    },
    /// A capability that the bundle gives can't be given.
    #[error("wasi: {0}")]
    Wasi(String),
    /// The way out that the bundle describes can't be had.
    #[error("http: {0}")]
    Http(String),
    /// It does not compile.
    #[error("does not compile: {0}")]
    Compile(String),
    /// It does not fit the contract.
    #[error("does not fit the contract: {0}")]
    Link(String),
    /// It refuses its configuration or grants, or fails over them.
    #[error("{0}")]
    Trial(String),
}

/// What could be found out about a plugin before it ran.
pub(super) struct Prepared {
    pub file: PathBuf,
    pub digest: String,
    pub manifest: Manifest,
    pub grants: Effective,
    pub directories: Vec<(String, PathBuf)>,
    pub http: Option<Arc<Gate>>,
    pub reach: Reach,
    pub pre: InstancePre<Host>,
}

impl Engine {
    /// Loads every plugin of a bundle, in the bundle's order. One that fails does not keep others from loading.
    pub async fn load(
        &self,
        bundle: &Bundle,
        folders: &[PathBuf],
        objects: Arc<dyn Objects>,
    ) -> Vec<Result<Loaded, LoadError>> {
        let loads = bundle.plugins.iter().map(|entry| self.load_one(entry, folders, objects.clone()));
        futures::future::join_all(loads).await
    }

    /// Loads one plugin. Loading the same entry again gives a second plugin that shares nothing with the first: how a
    /// new version is brought up beside the one in use.
    pub async fn load_one(
        &self,
        entry: &Entry,
        folders: &[PathBuf],
        objects: Arc<dyn Objects>,
    ) -> Result<Loaded, LoadError> {
        let (engine, entry, folders) = (self.clone(), entry.clone(), folders.to_vec());
        let blocking = tokio::task::spawn_blocking(move || {
            let prepared = engine.prepare(&entry, &folders)?;
            engine.finish(&entry, prepared, objects)
        });
        match blocking.await {
            Ok(result) => result,
            Err(panic) => std::panic::resume_unwind(panic.into_panic()),
        }
    }

    /// Everything that can be checked without an instance.
    pub(super) fn prepare(&self, entry: &Entry, folders: &[PathBuf]) -> Result<Prepared, LoadError> {
        let file = bundle::find(entry, folders).map_err(|e| failed(entry, None, e))?;
        self.prepare_file(entry, &file).map_err(|cause| failed(entry, Some(&file), cause))
    }

    fn prepare_file(&self, entry: &Entry, file: &Path) -> Result<Prepared, Cause> {
        let (bytes, digest) = bundle::read_pinned(entry, file)?;
        let anatomy = Anatomy::read(&bytes)?;
        let manifest = Manifest::of(&anatomy)?;
        if manifest.name != entry.name {
            return Err(Cause::Name(manifest.name));
        }
        let grants = Effective::new(manifest.asks.clone(), entry.given(&manifest.asks));
        let directories = self.directories(entry, &grants)?;
        let http = way_out(entry, &grants)?;
        let reach = Reach::new(&manifest.families, &grants);
        for import in anatomy.imports {
            if let Some(why) = reach.refusal(&import) {
                return Err(Cause::Import { import, why });
            }
        }
        let wasmtime = &self.inner.wasmtime;
        let component = self.inner.cache.component(wasmtime, &digest, &bytes).map_err(|e| Cause::Compile(chain(&e)))?;
        let pre = linker(wasmtime, reach)
            .and_then(|linker| linker.instantiate_pre(&component))
            .map_err(|e| Cause::Link(chain(&e)))?;
        Ok(Prepared { file: file.to_owned(), digest, manifest, grants, directories, http, reach, pre })
    }

    /// Host directories for the granted `filesystem:NAME`.
    fn directories(&self, entry: &Entry, grants: &Effective) -> Result<Vec<(String, PathBuf)>, Cause> {
        let mut out = Vec::new();
        for capability in grants.wasi() {
            if capability == "sockets" {
                continue;
            }
            let Some(name) = capability.strip_prefix("filesystem:") else {
                return Err(Cause::Wasi(format!("this host can't grant {capability:?}")));
            };
            let Some(template) = entry.wasi.directories.get(name) else {
                return Err(Cause::Wasi(format!(
                    "{capability} is granted, but the bundle's wasi.directories does not say which directory {name} is"
                )));
            };
            let data = self.inner.options.data_dir.display().to_string();
            out.push((name.to_owned(), PathBuf::from(template.replace("{data}", &data))));
        }
        match entry.wasi.directories.keys().find(|name| !out.iter().any(|(granted, _)| granted == *name)) {
            Some(extra) => {
                Err(Cause::Wasi(format!("directory {extra} is named, but filesystem:{extra} is not granted")))
            }
            None => Ok(out),
        }
    }

    fn finish(&self, entry: &Entry, prepared: Prepared, objects: Arc<dyn Objects>) -> Result<Loaded, LoadError> {
        let fail = |cause| failed(entry, Some(&prepared.file), cause);
        for (name, path) in &prepared.directories {
            std::fs::create_dir_all(path)
                .map_err(|e| fail(Cause::Wasi(format!("directory {name}: can't make {}: {e}", path.display()))))?;
        }
        let manifest = prepared.manifest;
        let plugin = Arc::new(Plugin {
            name: manifest.name.clone(),
            version: manifest.version.clone(),
            config: serde_json::Value::Object(entry.config.clone()).to_string(),
            grants: prepared.grants,
            objects,
            directories: prepared.directories,
            sockets: prepared.reach.sockets,
            http: prepared.http,
            memory: entry.memory.map_or(MEMORY, |size| size.bytes()),
            tick: self.inner.options.tick,
            deadline: entry.deadline_ms.map_or(DEADLINE, Duration::from_millis),
            logger: Arc::new(Logger::new(&manifest.name, &manifest.version)),
            health: Health::new(&manifest.name, self.inner.options.faults, entry.on_fault == OnFault::Halt),
        });
        let linked = link(&manifest.families, &prepared.pre, &plugin, self)
            .map_err(|e| failed(entry, Some(&prepared.file), Cause::Link(chain(&e))))?;
        tracing::info!(plugin = manifest.name, version = manifest.version, digest = prepared.digest, "plugin loaded");
        let instances = entry.instances.unwrap_or(INSTANCES);
        Ok(Loaded::new(plugin, manifest, prepared.digest, prepared.file, entry.clone(), linked, instances))
    }
}

/// The way to the granted endpoints. Settings for a way that nobody may go are a mistake.
fn way_out(entry: &Entry, grants: &Effective) -> Result<Option<Arc<Gate>>, Cause> {
    let (endpoints, settings) = (grants.http(), entry.http.clone());
    match (endpoints.is_empty(), settings) {
        (true, None) => Ok(None),
        (true, Some(_)) => Err(Cause::Http("the bundle says how, but grants no endpoint (grants.http)".to_owned())),
        (false, settings) => {
            let gate = Gate::new(&entry.name, endpoints, &settings.unwrap_or_default()).map_err(Cause::Http)?;
            Ok(Some(Arc::new(gate)))
        }
    }
}

/// Finds each family's exports.
fn link(
    families: &BTreeSet<Family>,
    pre: &InstancePre<Host>,
    plugin: &Arc<Plugin>,
    engine: &Engine,
) -> wasmtime::Result<Linked> {
    let mut linked = Linked::default();
    for family in families {
        linked.add(*family, pre.clone(), plugin.clone(), engine.inner.ticker.clone())?;
    }
    Ok(linked)
}

/// Whether the exports are what each family must have; for a check without a plugin.
pub(super) fn fits(prepared: &Prepared) -> Result<(), Cause> {
    let mut families = prepared.manifest.families.iter();
    families.try_for_each(|f| Linked::probe(*f, prepared.pre.clone())).map_err(|e| Cause::Link(chain(&e)))
}

pub(super) fn failed(entry: &Entry, file: Option<&Path>, cause: impl Into<Cause>) -> LoadError {
    LoadError {
        plugin: entry.name.clone(),
        file: file.map(Path::to_owned),
        required: entry.required,
        cause: cause.into(),
    }
}

/// An error and what caused it, on one line.
fn chain(error: &wasmtime::Error) -> String {
    format!("{error:#}").replace('\n', " ")
}
