//! A bundle's plugins, loaded and tried before anything depends on them.

use std::path::PathBuf;
use std::sync::Arc;

use anyhow::{Result, bail};
use gantry_control::admission;
use gantry_control::objects::PluginObjects;
use gantry_control::plugins::{self, Refused};
use gantry_control::recorder::Recorder;
use gantry_objects::Objects;
use gantry_objects::admission::Rule;
use gantry_plugin::family::network::NodeInfo;
use gantry_plugin::family::{load_balancer, network_policy};
use gantry_plugin::{Bundle, Engine, Loaded};

use crate::{kinds, reviewers};

/// What a bundle came to.
#[derive(Default)]
pub struct Plugins {
    /// Those that run.
    pub loaded: Vec<Arc<Loaded>>,
    /// Those that do not, and need not.
    pub refused: Vec<Refused>,
    /// Which writes they review.
    pub reviews: reviewers::Rules,
}

impl Plugins {
    /// Loads every plugin, and tries it. Nothing is changed yet.
    pub async fn load(
        engine: &Engine,
        bundle: &Bundle,
        folders: &[PathBuf],
        objects: &Objects,
        recorder: &Recorder,
    ) -> Result<Self> {
        let loads = bundle.plugins.iter().map(|entry| {
            let seen = PluginObjects::new(objects.clone(), recorder.clone(), &entry.name);
            engine.load_one(entry, folders, Arc::new(seen))
        });
        let mut plugins = Self::default();
        for outcome in futures::future::join_all(loads).await {
            match outcome {
                Ok(plugin) => plugins.take(plugin).await?,
                Err(error) if error.required => return Err(error.into()),
                Err(error) => {
                    tracing::warn!(%error, "running without a plugin");
                    plugins.refused.push(Refused { name: error.plugin.clone(), why: error.to_string() });
                }
            }
        }
        Ok(plugins)
    }

    async fn take(&mut self, plugin: Loaded) -> Result<()> {
        let name = plugin.name().to_owned();
        match try_out(&plugin).await {
            Ok(rules) => {
                self.reviews.insert(name, rules);
                self.loaded.push(Arc::new(plugin));
            }
            Err(why) if plugin.entry().required => bail!("plugin {name}: {why}"),
            Err(why) => {
                tracing::warn!(plugin = name, why, "running without a plugin");
                self.refused.push(Refused { name, why });
            }
        }
        Ok(())
    }

    /// Declares their kinds. Those of a component that runs already are.
    pub fn declare(&self, running: &[Arc<Loaded>], objects: &Objects) -> Result<()> {
        for plugin in &self.loaded {
            let same = |other: &Arc<Loaded>| (other.name(), other.digest()) == (plugin.name(), plugin.digest());
            if running.iter().any(same) {
                continue;
            }
            plugins::forget(objects, plugin.name());
            kinds::declare(objects.kinds(), plugin)?;
            tracing::info!(plugin = plugin.name(), version = plugin.version(), digest = plugin.digest(), "loaded");
        }
        Ok(())
    }
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
    if let Some(mut policy) = plugin.network_policy()
        && let Ok(answer) = policy.reset(trial_policy_node()).await
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

/// The same for network policies.
fn trial_policy_node() -> network_policy::NodeInfo {
    let NodeInfo { name, addresses, cluster_ranges, .. } = trial_node();
    network_policy::NodeInfo { name, addresses, cluster_ranges }
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
