//! What runs by a bundle's plugins: loops that call controllers and schedulers, reviews, sinks.

use std::sync::Arc;

use gantry_control::ranges::Ranges;
use gantry_control::recorder::Recorder;
use gantry_control::{plugins, reconcile, scheduling};
use gantry_node::records::Outlet;
use gantry_objects::Objects;
use gantry_plugin::{Bundle, Loaded};
use tokio::task::JoinSet;

use crate::loading::Plugins;
use crate::{records, reviewers};

/// Keys in one call of a controller.
const BATCH: usize = 16;
/// Calls of a controller under way when the bundle does not say.
const CONCURRENCY: u32 = 2;

/// Plugins at work.
pub struct Running {
    loaded: Vec<Arc<Loaded>>,
    /// Plugins of the bundle that could not be had.
    absent: Vec<String>,
    reconcilers: Vec<reconcile::Handle>,
    scheduler: scheduling::Handle,
    records: records::Records,
    /// Keeps the Plugin objects.
    told: JoinSet<()>,
    /// Outlive the loops, so that no write is refused for want of a reviewer.
    reviews: JoinSet<()>,
}

impl Running {
    /// Starts every loop.
    pub fn start(bundle: &Bundle, plugins: Plugins, objects: &Objects, recorder: &Recorder, ranges: &Ranges) -> Self {
        let Plugins { loaded, refused, reviews: rules, .. } = plugins;
        let mut reviews = JoinSet::new();
        reviewers::start(&mut reviews, bundle, &loaded, &refused, &rules, objects, ranges.clone());
        let scheduler = schedule(&loaded, objects, recorder);
        let reconcilers = loaded.iter().filter_map(|p| reconciler(p, objects, recorder)).collect();
        let records = records::Records::start(&loaded, objects);
        let options = plugins::Options {
            bundle: bundle.name.clone(),
            loaded: loaded.clone(),
            refused,
            reviews: rules,
            objects: objects.clone(),
            recorder: recorder.clone(),
        };
        let absent = options.refused.iter().map(|refused| refused.name.clone()).collect();
        let mut told = JoinSet::new();
        told.spawn(plugins::run(options));
        Self { loaded, absent, reconcilers, scheduler, records, told, reviews }
    }

    /// The plugins.
    pub fn loaded(&self) -> &[Arc<Loaded>] {
        &self.loaded
    }

    /// Plugins of the bundle that could not be had.
    pub fn absent(&self) -> &[String] {
        &self.absent
    }

    /// Where log lines of nodes are handed over.
    pub fn outlets(&self) -> Vec<Arc<dyn Outlet>> {
        self.records.outlets()
    }

    /// Stops every loop but the reviews, which end when nobody can ask them any more, or with what this gives.
    pub async fn stop(mut self) -> JoinSet<()> {
        for reconciler in self.reconcilers {
            reconciler.stop().await;
        }
        self.scheduler.stop().await;
        self.records.stop().await;
        self.told.shutdown().await;
        self.reviews
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

/// A plugin that serves several names has tables for each.
fn schedule(loaded: &[Arc<Loaded>], objects: &Objects, recorder: &Recorder) -> scheduling::Handle {
    let policies = loaded.iter().flat_map(|plugin| {
        let named = move |name: &String| Some((name.clone(), plugin.name().to_owned(), plugin.scheduler()?));
        plugin.scheduler_names().iter().filter_map(named)
    });
    scheduling::start(scheduling::Options::serving(objects.clone(), recorder.clone(), policies))
}
