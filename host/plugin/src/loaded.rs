//! A loaded plugin: what the binary hands to the loops.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use tokio::sync::watch;
use wasmtime::component::InstancePre;

use crate::adapter::{
    AdmissionPool, ApiPool, ApiWorld, ControllerPool, DiscoveryInstance, LoadBalancerInstance, NetworkInstance,
    NetworkPolicyInstance, SchedulerInstance, SinkInstance, worlds,
};
use crate::bundle::Entry;
use crate::engine::Ticker;
use crate::family::{Admission, Api, Controller, Discovery, LoadBalancer, Network, NetworkPolicy, Scheduler, Sink};
use crate::grants::Effective;
use crate::host::{Host, Plugin};
use crate::instance::{Recipe, Report, World};
use crate::manifest::{Family, Manifest};

/// A plugin that was loaded. No instance exists until a family is asked for and called.
pub struct Loaded {
    plugin: Arc<Plugin>,
    manifest: Manifest,
    digest: String,
    file: PathBuf,
    entry: Entry,
    linked: Linked,
    controller: Option<Arc<dyn Controller>>,
    admission: Option<Arc<dyn Admission>>,
    api: Option<Arc<dyn Api>>,
}

/// The exports of each family that the plugin has.
#[derive(Default)]
pub(crate) struct Linked {
    admission: Option<Arc<Recipe<worlds::Admission>>>,
    api: Option<Arc<Recipe<ApiWorld>>>,
    controller: Option<Arc<Recipe<worlds::Controller>>>,
    discovery: Option<Arc<Recipe<worlds::Discovery>>>,
    scheduler: Option<Arc<Recipe<worlds::Scheduler>>>,
    load_balancer: Option<Arc<Recipe<worlds::LoadBalancer>>>,
    network: Option<Arc<Recipe<worlds::Network>>>,
    network_policy: Option<Arc<Recipe<worlds::NetworkPolicy>>>,
    sink: Option<Arc<Recipe<worlds::Sink>>>,
}

impl Linked {
    pub(crate) fn add(
        &mut self,
        family: Family,
        pre: InstancePre<Host>,
        plugin: Arc<Plugin>,
        ticker: Arc<Ticker>,
    ) -> wasmtime::Result<()> {
        match family {
            Family::Admission => self.admission = Some(recipe(pre, plugin, ticker)?),
            Family::Api => self.api = Some(recipe(pre, plugin, ticker)?),
            Family::Controller => self.controller = Some(recipe(pre, plugin, ticker)?),
            Family::Discovery => self.discovery = Some(recipe(pre, plugin, ticker)?),
            Family::Scheduler => self.scheduler = Some(recipe(pre, plugin, ticker)?),
            Family::LoadBalancer => self.load_balancer = Some(recipe(pre, plugin, ticker)?),
            Family::Network => self.network = Some(recipe(pre, plugin, ticker)?),
            Family::NetworkPolicy => self.network_policy = Some(recipe(pre, plugin, ticker)?),
            Family::Sink => self.sink = Some(recipe(pre, plugin, ticker)?),
        }
        Ok(())
    }

    /// Whether a component has a family's exports.
    pub(crate) fn probe(family: Family, pre: InstancePre<Host>) -> wasmtime::Result<()> {
        match family {
            Family::Admission => worlds::Admission::pre(pre).map(drop),
            Family::Api => ApiWorld::pre(pre).map(drop),
            Family::Controller => worlds::Controller::pre(pre).map(drop),
            Family::Discovery => worlds::Discovery::pre(pre).map(drop),
            Family::Scheduler => worlds::Scheduler::pre(pre).map(drop),
            Family::LoadBalancer => worlds::LoadBalancer::pre(pre).map(drop),
            Family::Network => worlds::Network::pre(pre).map(drop),
            Family::NetworkPolicy => worlds::NetworkPolicy::pre(pre).map(drop),
            Family::Sink => worlds::Sink::pre(pre).map(drop),
        }
    }
}

fn recipe<W: World>(
    pre: InstancePre<Host>,
    plugin: Arc<Plugin>,
    ticker: Arc<Ticker>,
) -> wasmtime::Result<Arc<Recipe<W>>> {
    Ok(Arc::new(Recipe { plugin, pre: W::pre(pre)?, ticker }))
}

impl Loaded {
    pub(crate) fn new(
        plugin: Arc<Plugin>,
        manifest: Manifest,
        digest: String,
        file: PathBuf,
        entry: Entry,
        linked: Linked,
        instances: u32,
    ) -> Self {
        let controller = linked.controller.clone().map(|recipe| {
            let pool: Arc<dyn Controller> = Arc::new(ControllerPool::new(recipe, instances));
            pool
        });
        let admission = linked.admission.clone().map(|recipe| {
            let pool: Arc<dyn Admission> = Arc::new(AdmissionPool::new(recipe, instances));
            pool
        });
        let api = linked.api.clone().map(|recipe| {
            let pool: Arc<dyn Api> = Arc::new(ApiPool::new(recipe, instances));
            pool
        });
        Self { plugin, manifest, digest, file, entry, linked, controller, admission, api }
    }

    /// The plugin's name.
    pub fn name(&self) -> &str {
        &self.manifest.name
    }

    /// Its version.
    pub fn version(&self) -> &str {
        &self.manifest.version
    }

    /// `sha256:…` of the component.
    pub fn digest(&self) -> &str {
        &self.digest
    }

    /// The component's file.
    pub fn file(&self) -> &Path {
        &self.file
    }

    /// What it says about itself.
    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// What the bundle says about it.
    pub fn entry(&self) -> &Entry {
        &self.entry
    }

    /// The address ranges that it gives out of: the values of the options that its manifest names as such.
    pub fn ranges(&self) -> impl Iterator<Item = &str> {
        let values = self.manifest.range_options.iter().filter_map(|option| self.entry.config.get(option));
        values.flat_map(|value| match value {
            serde_json::Value::Array(all) => all.iter().filter_map(|one| one.as_str()).collect(),
            one => one.as_str().into_iter().collect::<Vec<_>>(),
        })
    }

    /// What it may do.
    pub fn grants(&self) -> &Effective {
        &self.plugin.grants
    }

    /// The plugin as a controller. Everyone gets the same pool of instances.
    pub fn controller(&self) -> Option<Arc<dyn Controller>> {
        self.controller.clone()
    }

    /// The plugin as a reviewer of writes. Everyone gets the same pool of instances.
    pub fn admission(&self) -> Option<Arc<dyn Admission>> {
        self.admission.clone()
    }

    /// The plugin as a dialect. Everyone gets the same pool of instances.
    pub fn api(&self) -> Option<Arc<dyn Api>> {
        self.api.clone()
    }

    /// Values of `spec.schedulerName` whose pods it places: the bundle's, or else the manifest's.
    pub fn scheduler_names(&self) -> &[String] {
        self.entry.scheduler_names.as_deref().unwrap_or(&self.manifest.scheduler_names)
    }

    /// The plugin as a placement policy. Each call gives another, with its own instance and tables.
    pub fn scheduler(&self) -> Option<Box<dyn Scheduler>> {
        let recipe = self.linked.scheduler.clone()?;
        Some(Box::new(SchedulerInstance::new(recipe)))
    }

    /// The plugin as a pod network. Each call gives another, with its own instance.
    pub fn network(&self) -> Option<Box<dyn Network>> {
        let recipe = self.linked.network.clone()?;
        Some(Box::new(NetworkInstance::new(recipe)))
    }

    /// The plugin as a load balancer of a node. Each call gives another, with its own instance and tables.
    pub fn load_balancer(&self) -> Option<Box<dyn LoadBalancer>> {
        let recipe = self.linked.load_balancer.clone()?;
        Some(Box::new(LoadBalancerInstance::new(recipe)))
    }

    /// The plugin as the network policies of a node. Each call gives another, with its own instance and tables.
    pub fn network_policy(&self) -> Option<Box<dyn NetworkPolicy>> {
        let recipe = self.linked.network_policy.clone()?;
        Some(Box::new(NetworkPolicyInstance::new(recipe)))
    }

    /// The plugin as a source of names of a node. Each call gives another, with its own instance and tables.
    pub fn discovery(&self) -> Option<Box<dyn Discovery>> {
        let recipe = self.linked.discovery.clone()?;
        Some(Box::new(DiscoveryInstance::new(recipe)))
    }

    /// The plugin as a destination of records. Each call gives another, with its own instance.
    pub fn sink(&self) -> Option<Box<dyn Sink>> {
        let recipe = self.linked.sink.clone()?;
        Some(Box::new(SinkInstance::new(recipe)))
    }

    /// How it does now.
    pub fn health(&self) -> Report {
        self.plugin.health.report()
    }

    /// Changes with every fault and every change of state; the value itself means nothing.
    pub fn health_changes(&self) -> watch::Receiver<u64> {
        self.plugin.health.changes()
    }
}
