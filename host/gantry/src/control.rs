//! The control plane's parts, put together.

use std::net::{SocketAddr, SocketAddrV4};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use gantry_api::dialect::Locals;
use gantry_api::server::{Metrics, Readiness};
use gantry_api::{Authenticator, Limits, Options, Pki, Server, Tokens};
use gantry_control::ranges::Ranges;
use gantry_control::recorder::Recorder;
use gantry_control::{bootstrap, definitions, events, gc, namespaces, nodes, plugins, ranges, recorder};
use gantry_link::Hub;
use gantry_model::{Kinds, core};
use gantry_node::cluster::{Cluster, Local};
use gantry_node::logs::Notices;
use gantry_node::proxy::apart::Keeper;
use gantry_node::records::Outlet;
use gantry_objects::Objects;
use gantry_plugin::{Bundle, Engine, EngineOptions, Loaded};
use gantry_store::{Sled, Store};
use ipnet::IpNet;
use tokio::task::JoinSet;

use crate::dialects::{self, Dialects};
use crate::loading::Plugins;
use crate::local::Desk;
use crate::node::{Asked, Upstream};
use crate::running::Running;
use crate::{files, identity};

/// How long Events are kept after they last said something; as Kubernetes' default.
const EVENTS: Duration = Duration::from_secs(3600);

/// What a control plane is made from.
pub struct Settings {
    /// All state.
    pub data: PathBuf,
    /// The bundle's file.
    pub bundle: PathBuf,
    /// Folders with components.
    pub folders: Vec<PathBuf>,
    /// Silence after which a node is not ready.
    pub node_grace: Duration,
    /// Addresses of pods, as nodes get them.
    pub ranges: ranges::Options,
}

/// A running control plane.
pub struct Control {
    objects: Objects,
    store: Arc<dyn Store>,
    recorder: Recorder,
    settings: Settings,
    /// Those that no plugin has a part in.
    loops: JoinSet<()>,
    ranges: Ranges,
    /// What nodes see whole because of the plugins that run.
    opened: identity::Opened,
    /// `None` only while one takes over from another.
    running: Option<Running>,
    /// From when the API is served.
    dialects: Option<Dialects>,
    /// Dialects that pods ask on their nodes.
    locals: Locals,
    engine: Engine,
}

impl Control {
    /// Opens the store, loads the plugins and starts the loops.
    pub async fn start(settings: Settings) -> Result<Self> {
        let bundle = Bundle::read(&settings.bundle)?;
        let engine = Engine::new(EngineOptions::new(settings.data.clone()))?;
        let path = settings.data.join("store");
        let store = tokio::task::spawn_blocking(move || Sled::open(gantry_store::Options::new(path))).await??;
        let store: Arc<dyn Store> = Arc::new(store);
        let kinds = Kinds::default();
        core::register(&kinds);
        let objects = Objects::new(store.clone(), kinds);
        let (recorder, events) = recorder::recorder(&objects);
        let mut loops = JoinSet::new();
        loops.spawn(events);
        bootstrap::run(&objects).await.context("can't make the first namespaces")?;
        plugins::restore(&objects);
        let loaded = Plugins::load(&engine, &bundle, &settings.folders, &objects, &recorder).await;
        let plugins = loaded.with_context(|| format!("bundle {}", settings.bundle.display()))?;
        plugins.declare(&[], &objects)?;
        let seen = seen_by_nodes(&plugins);
        definitions::load(&objects);
        let ranges = give_ranges(&mut loops, &plugins.loaded, &settings, &objects, &recorder)?;
        let running = Some(Running::start(&bundle, plugins, &objects, &recorder, &ranges));
        start_loops(&mut loops, &objects, &recorder, settings.node_grace);
        let opened = identity::Opened::default();
        let (dialects, locals) = (None, Locals::default());
        let control =
            Self { objects, store, recorder, settings, loops, ranges, opened, running, dialects, locals, engine };
        control.opened.set(seen);
        Ok(control)
    }

    /// Reads the bundle again, and runs what it says now. Its plugins are loaded and tried beside those that run; if a
    /// required one can't be had, nothing changes.
    pub async fn reload(&mut self) -> Result<()> {
        let file = self.settings.bundle.display();
        let bundle = Bundle::read(&self.settings.bundle)?;
        let loaded = Plugins::load(&self.engine, &bundle, &self.settings.folders, &self.objects, &self.recorder).await;
        let plugins = loaded.with_context(|| format!("bundle {file}"))?;
        if let Err(error) = plugins.declare(self.loaded(), &self.objects) {
            // Kinds of those that run on.
            plugins::restore(&self.objects);
            return Err(error);
        }
        let seen = seen_by_nodes(&plugins);
        let reviews = match self.running.take() {
            Some(running) => Some(running.stop().await),
            None => None,
        };
        self.running = Some(Running::start(&bundle, plugins, &self.objects, &self.recorder, &self.ranges));
        self.opened.set(seen);
        // Writes that wait for one of the old still get their verdict; then its workers end.
        if let Some(mut reviews) = reviews {
            reviews.detach_all();
        }
        // All else runs by the new bundle already, so that an address which is taken is no reason to go back.
        if let Err(error) = self.mount().await {
            tracing::error!(error = format!("{error:#}"), "a dialect can't be reached");
        }
        Ok(())
    }

    /// Lets callers reach the dialects that run now.
    async fn mount(&mut self) -> Result<()> {
        let loaded = self.loaded().to_vec();
        match &mut self.dialects {
            Some(dialects) => dialects.follow(&loaded).await,
            None => Ok(()),
        }
    }

    /// The objects, for a node in the same process.
    pub fn cluster(&self) -> Arc<dyn Cluster> {
        Arc::new(Local::new(self.objects.clone()))
    }

    /// What a node in the same process gets.
    pub fn upstream(&self, cluster_ranges: Vec<String>, proxy: Keeper, notices: Notices) -> Upstream {
        let (plugins, outlets) = (self.loaded().to_vec(), self.outlets());
        let absent = self.running.as_ref().map(|running| running.absent().to_vec()).unwrap_or_default();
        let asked = Asked { addresses: self.local(), answers: Arc::new(self.desk()) };
        Upstream { cluster: self.cluster(), plugins, absent, outlets, cluster_ranges, asked, notices, proxy }
    }

    /// Where what pods ask arrives.
    pub fn desk(&self) -> Desk {
        Desk::new(self.objects.clone(), self.locals.clone())
    }

    /// Where pods ask it on their nodes.
    pub fn local(&self) -> Vec<SocketAddrV4> {
        dialects::local(self.loaded())
    }

    /// The plugins that run.
    pub fn loaded(&self) -> &[Arc<Loaded>] {
        self.running.as_ref().map(Running::loaded).unwrap_or_default()
    }

    /// Where log lines of nodes are handed over.
    pub fn outlets(&self) -> Vec<Arc<dyn Outlet>> {
        self.running.as_ref().map(Running::outlets).unwrap_or_default()
    }

    /// Stops the loops, then the store.
    pub async fn stop(mut self) {
        if let Some(dialects) = self.dialects {
            dialects.stop().await;
        }
        if let Some(running) = self.running {
            running.stop().await;
        }
        drop(self.recorder);
        self.loops.shutdown().await;
        self.store.close().await;
    }
}

/// Starts giving ranges to nodes. What the plugins give out themselves is no pod's.
fn give_ranges(
    loops: &mut JoinSet<()>,
    plugins: &[Arc<Loaded>],
    settings: &Settings,
    objects: &Objects,
    recorder: &Recorder,
) -> Result<Ranges> {
    let mut options = settings.ranges.clone();
    let theirs = plugins.iter().flat_map(|plugin| plugin.ranges());
    options.reserved.extend(theirs.filter_map(|range| range.parse::<IpNet>().ok()));
    let ranges = Ranges::new(&options, objects)?;
    loops.spawn(ranges::run(objects.clone(), recorder.clone(), ranges.clone()));
    Ok(ranges)
}

fn start_loops(loops: &mut JoinSet<()>, objects: &Objects, recorder: &Recorder, node_grace: Duration) {
    loops.spawn(gc::run(objects.clone()));
    loops.spawn(namespaces::run(objects.clone()));
    loops.spawn(events::run(objects.clone(), EVENTS));
    loops.spawn(definitions::run(objects.clone()));
    // Looked at often enough to add little to the grace: a look reads memory only.
    let every = (node_grace / 16).clamp(Duration::from_millis(250), Duration::from_secs(1));
    let patience = nodes::Options { grace: node_grace, every, ..nodes::Options::default() };
    loops.spawn(nodes::run(objects.clone(), recorder.clone(), patience));
}

/// What nodes see whole beyond what all nodes see: their network policies are about every pod, their names about what the
/// plugin for it wants to see.
fn seen_by_nodes(plugins: &Plugins) -> Vec<(String, String)> {
    let guards = plugins.loaded.iter().filter(|plugin| plugin.network_policy().is_some());
    let kinds = guards.flat_map(|plugin| &plugin.manifest().kinds);
    let mut all: Vec<_> = kinds.map(|kind| (kind.group.clone(), kind.plural.clone())).collect();
    if !all.is_empty() {
        all.push((String::new(), "pods".to_owned()));
    }
    all.extend(plugins.sources.iter().map(|(_, source)| (source.kind.group.clone(), source.plural.clone())));
    all
}

/// How the API is served.
pub struct Serving {
    /// Where.
    pub listen: SocketAddr,
    /// More names for the certificate.
    pub names: Vec<String>,
    /// The folder with keys and certificates.
    pub pki: PathBuf,
    /// Where the administrator's kubeconfig goes.
    pub kubeconfig: PathBuf,
    /// Bearer tokens.
    pub tokens: Option<PathBuf>,
    /// How long certificates of nodes are good for.
    pub node_certificates: Duration,
}

/// Starts the API, then writes the kubeconfig: whoever finds one can use it.
pub async fn serve(
    control: &mut Control,
    serving: &Serving,
    hub: &Hub,
    metrics: Metrics,
    readiness: Readiness,
) -> Result<gantry_api::Handle> {
    let mut names = serving.names.clone();
    if !serving.listen.ip().is_unspecified() {
        names.push(serving.listen.ip().to_string());
    }
    let pki = Pki::load_or_create(&serving.pki, &names)?;
    let tokens = serving.tokens.as_deref().map(Tokens::load).transpose()?;
    // The one of a file takes every bearer token for its own.
    let mut authenticators = vec![identity::authenticator(&control.objects)];
    authenticators.extend(tokens.map(|tokens| Arc::new(tokens) as Arc<dyn Authenticator>));
    let (tls, pki) = (pki.tls()?, Arc::new(pki));
    identity::start(&mut control.loops, &control.objects, pki.clone(), serving.node_certificates);
    let dialects = Dialects::new(pki.clone(), control.locals.clone());
    let shared = dialects.shared();
    control.dialects = Some(dialects);
    control.mount().await?;
    let server = Server::start(Options {
        listen: serving.listen,
        tls,
        objects: control.objects.clone(),
        authenticators,
        authorizers: vec![identity::authorizer(&control.objects, control.opened.clone())],
        streams: Arc::new(hub.clone()),
        metrics,
        readiness,
        dialects: shared,
        extra: hub.paths(),
        limits: Limits::default(),
    })
    .await?;
    files::write_private(&serving.kubeconfig, pki.kubeconfig(&server.url()))?;
    Ok(server)
}
