//! A bundle's plugins, loaded and tried before anything depends on them.

use std::path::PathBuf;
use std::sync::Arc;

use anyhow::{Result, bail, ensure};
use gantry_control::objects::PluginObjects;
use gantry_control::plugins::{self, Refused};
use gantry_control::recorder::Recorder;
use gantry_objects::Objects;
use gantry_plugin::family::discovery;
use gantry_plugin::{Bundle, Engine, Loaded};

use crate::trial::{self, Tried};
use crate::{dialects, kinds, reviewers};

/// What a bundle came to.
#[derive(Default)]
pub struct Plugins {
    /// Those that run.
    pub loaded: Vec<Arc<Loaded>>,
    /// Those that do not, and need not.
    pub refused: Vec<Refused>,
    /// Which writes they review.
    pub reviews: reviewers::Rules,
    /// Kinds that their parts on nodes see whole, and whose parts.
    pub sources: Vec<(String, discovery::Source)>,
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
        dialects::check(&plugins.loaded)?;
        Ok(plugins)
    }

    async fn take(&mut self, plugin: Loaded) -> Result<()> {
        let name = plugin.name().to_owned();
        match trial::run(&plugin).await {
            Ok(Tried { rules, sources, .. }) => {
                self.sources.extend(sources.into_iter().map(|source| (name.clone(), source)));
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
        self.check_sources(objects)
    }

    /// Grants name a kind, and nodes follow it by its plural: these must be of the same.
    fn check_sources(&self, objects: &Objects) -> Result<()> {
        for (plugin, source) in &self.sources {
            let discovery::Source { kind, plural, .. } = source;
            if let Some(known) = objects.kinds().by_kind(&kind.group, &kind.kind) {
                let (name, own) = (&kind.kind, &known.plural);
                ensure!(own == plural, "plugin {plugin} wants to see {plural} as {name}, whose plural is {own}");
            }
        }
        Ok(())
    }
}
