//! The control plane's parts, put together.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use gantry_api::server::Metrics;
use gantry_api::{Authenticator, Limits, Options, Pki, Server, Tokens};
use gantry_control::objects::PluginObjects;
use gantry_control::plugins::{self, Refused};
use gantry_control::ranges::Ranges;
use gantry_control::recorder::Recorder;
use gantry_control::{
    admission, bootstrap, definitions, events, gc, namespaces, nodes, ranges, reconcile, recorder, scheduling,
};
use gantry_link::Hub;
use gantry_model::{Kinds, core};
use gantry_node::cluster::{Cluster, Local};
use gantry_node::records::Outlet;
use gantry_objects::Objects;
use gantry_objects::admission::Rule;
use gantry_plugin::family::load_balancer;
use gantry_plugin::family::network::NodeInfo;
use gantry_plugin::{Bundle, Engine, EngineOptions, Loaded};
use gantry_store::{Sled, Store};
use ipnet::IpNet;
use tokio::task::JoinSet;

use crate::node::Upstream;
use crate::{files, identity, kinds, records, reviewers};

/// Keys in one call of a controller.
const BATCH: usize = 16;
/// How long Events are kept after they last said something; as Kubernetes' default.
const EVENTS: Duration = Duration::from_secs(3600);
/// Calls of a controller under way when the bundle does not say.
const CONCURRENCY: u32 = 2;

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
    loaded: Vec<Arc<Loaded>>,
    loops: JoinSet<()>,
    reconcilers: Vec<reconcile::Handle>,
    scheduler: scheduling::Handle,
    records: records::Records,
    /// Keeps deadlines ticking.
    _engine: Engine,
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
        let Plugins { loaded, refused, reviews } = load(&engine, &bundle, &settings, &objects, &recorder).await?;
        definitions::load(&objects);
        let ranges = give_ranges(&mut loops, &bundle, &settings, &objects, &recorder)?;
        reviewers::start(&mut loops, &bundle, &loaded, &refused, &reviews, &objects, ranges);
        let scheduler = schedule(&loaded, &objects, &recorder);
        let reconcilers = loaded.iter().filter_map(|p| reconciler(p, &objects, &recorder)).collect();
        let records = records::Records::start(&loaded, &objects);
        start_loops(&mut loops, &objects, &recorder, settings.node_grace);
        let options = plugins::Options {
            bundle: bundle.name.clone(),
            loaded: loaded.clone(),
            refused,
            reviews,
            objects: objects.clone(),
            recorder: recorder.clone(),
        };
        loops.spawn(plugins::run(options));
        Ok(Self { objects, store, recorder, loaded, loops, reconcilers, scheduler, records, _engine: engine })
    }

    /// The objects, for a node in the same process.
    pub fn cluster(&self) -> Arc<dyn Cluster> {
        Arc::new(Local::new(self.objects.clone()))
    }

    /// What a node in the same process gets.
    pub fn upstream(&self, cluster_ranges: Vec<String>) -> Upstream {
        Upstream { cluster: self.cluster(), plugins: self.loaded.clone(), outlets: self.outlets(), cluster_ranges }
    }

    /// The plugins that run.
    pub fn loaded(&self) -> &[Arc<Loaded>] {
        &self.loaded
    }

    /// Where log lines of nodes are handed over.
    pub fn outlets(&self) -> Vec<Arc<dyn Outlet>> {
        self.records.outlets()
    }

    /// Stops the loops, then the store.
    pub async fn stop(mut self) {
        for reconciler in self.reconcilers {
            reconciler.stop().await;
        }
        self.scheduler.stop().await;
        self.records.stop().await;
        drop(self.recorder);
        self.loops.shutdown().await;
        self.store.close().await;
    }
}

/// What a bundle came to.
#[derive(Default)]
struct Plugins {
    loaded: Vec<Arc<Loaded>>,
    refused: Vec<Refused>,
    /// Which writes they review.
    reviews: reviewers::Rules,
}

async fn load(
    engine: &Engine,
    bundle: &Bundle,
    settings: &Settings,
    objects: &Objects,
    recorder: &Recorder,
) -> Result<Plugins> {
    let loads = bundle.plugins.iter().map(|entry| {
        let seen = PluginObjects::new(objects.clone(), recorder.clone(), &entry.name);
        engine.load_one(entry, &settings.folders, Arc::new(seen))
    });
    let mut plugins = Plugins::default();
    for outcome in futures::future::join_all(loads).await {
        match outcome {
            Ok(plugin) => {
                let name = plugin.name().to_owned();
                let rules = match try_out(&plugin).await {
                    Ok(rules) => rules,
                    Err(why) if plugin.entry().required => {
                        bail!("bundle {}: plugin {name}: {why}", settings.bundle.display());
                    }
                    Err(why) => {
                        tracing::warn!(plugin = name, why, "running without a plugin");
                        plugins.refused.push(Refused { name, why });
                        continue;
                    }
                };
                plugins.reviews.insert(name, rules);
                plugins::forget(objects, plugin.name());
                kinds::declare(objects.kinds(), &plugin)?;
                tracing::info!(plugin = plugin.name(), version = plugin.version(), digest = plugin.digest(), "loaded");
                plugins.loaded.push(Arc::new(plugin));
            }
            Err(error) if error.required => bail!("bundle {}: {error}", settings.bundle.display()),
            Err(error) => {
                tracing::warn!(%error, "running without a plugin");
                plugins.refused.push(Refused { name: error.plugin.clone(), why: error.to_string() });
            }
        }
    }
    Ok(plugins)
}

/// Whether a plugin can begin with its configuration and grants: what it would refuse later is refused at the start. A
/// fault is no answer; the loops try again and report it. Only what a plugin reviews must be known before the first write:
/// the answer.
async fn try_out(plugin: &Loaded) -> Result<Vec<Rule>, String> {
    let said = |error: gantry_plugin::family::Error| error.message;
    if let Some(controller) = plugin.controller()
        && let Ok(answer) = controller.describe().await
    {
        answer.map_err(said)?;
    }
    if let Some(mut scheduler) = plugin.scheduler()
        && let Ok(answer) = scheduler.reset().await
    {
        answer.map_err(said)?;
    }
    if let Some(mut network) = plugin.network()
        && let Ok(answer) = network.reset(trial_node(), Vec::new()).await
    {
        answer.map_err(said)?;
    }
    if let Some(mut balancer) = plugin.load_balancer()
        && let Ok(answer) = balancer.reset(trial_balancer_node()).await
    {
        answer.map_err(said)?;
    }
    match plugin.admission() {
        Some(admission) => admission::rules(&*admission).await.map_err(|error| error.to_string()),
        None => Ok(Vec::new()),
    }
}

/// The same for load balancers.
fn trial_balancer_node() -> load_balancer::NodeInfo {
    let NodeInfo { name, addresses, cluster_ranges, .. } = trial_node();
    load_balancer::NodeInfo { name, addresses, cluster_ranges }
}

/// A node that any network can serve: only the configuration is tried on it.
fn trial_node() -> NodeInfo {
    let range = vec!["10.64.0.0/24".to_owned()];
    NodeInfo {
        name: "trial".to_owned(),
        pod_ranges: range.clone(),
        cluster_ranges: range,
        addresses: vec!["192.0.2.1".to_owned()],
        mtu: 0,
    }
}

fn reconciler(plugin: &Arc<Loaded>, objects: &Objects, recorder: &Recorder) -> Option<reconcile::Handle> {
    let controller = plugin.controller()?;
    let concurrency = plugin.entry().instances.unwrap_or(CONCURRENCY);
    Some(reconcile::start(reconcile::Options {
        plugin: plugin.name().to_owned(),
        controller,
        objects: objects.clone(),
        recorder: recorder.clone(),
        concurrency: usize::try_from(concurrency).unwrap_or(1),
        batch: BATCH,
    }))
}

fn schedule(loaded: &[Arc<Loaded>], objects: &Objects, recorder: &Recorder) -> scheduling::Handle {
    let policies = loaded.iter().filter_map(|plugin| Some((plugin.name().to_owned(), plugin.scheduler()?)));
    scheduling::start(scheduling::Options::new(objects.clone(), recorder.clone(), policies.collect()))
}

/// Starts giving ranges to nodes. What is for Services is what the bundle's plugins are told in the option of that name.
fn give_ranges(
    loops: &mut JoinSet<()>,
    bundle: &Bundle,
    settings: &Settings,
    objects: &Objects,
    recorder: &Recorder,
) -> Result<Ranges> {
    let mut options = settings.ranges.clone();
    for entry in &bundle.plugins {
        let one = entry.config.get("service-range").into_iter();
        let all = entry.config.get("service-ranges").and_then(|ranges| ranges.as_array()).into_iter().flatten();
        options.reserved.extend(one.chain(all).filter_map(|range| range.as_str()?.parse::<IpNet>().ok()));
    }
    let ranges = Ranges::new(&options, objects)?;
    loops.spawn(ranges::run(objects.clone(), recorder.clone(), ranges.clone()));
    Ok(ranges)
}

fn start_loops(loops: &mut JoinSet<()>, objects: &Objects, recorder: &Recorder, node_grace: Duration) {
    loops.spawn(gc::run(objects.clone()));
    loops.spawn(namespaces::run(objects.clone()));
    loops.spawn(events::run(objects.clone(), EVENTS));
    loops.spawn(definitions::run(objects.clone()));
    let patience = nodes::Options { grace: node_grace, ..nodes::Options::default() };
    loops.spawn(nodes::run(objects.clone(), recorder.clone(), patience));
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
    let server = Server::start(Options {
        listen: serving.listen,
        tls,
        objects: control.objects.clone(),
        authenticators,
        authorizers: vec![identity::authorizer(&control.objects)],
        streams: Arc::new(hub.clone()),
        metrics,
        readiness: Arc::new(Vec::new),
        extra: hub.paths(),
        limits: Limits::default(),
    })
    .await?;
    files::write_private(&serving.kubeconfig, pki.kubeconfig(&server.url()))?;
    Ok(server)
}
