//! A component in the engine, without a host around it.

use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, Result, anyhow};
use async_trait::async_trait;
use gantry_plugin::family::objects::{Event, Query, Write, Written};
use gantry_plugin::family::{Error, ObjectRef};
use gantry_plugin::{Bundle, Engine, EngineOptions, Loaded, Objects, bundle::digest};

/// Loads it with all that its manifest asks for. `name` is the manifest's; compiled code is kept below `data`.
pub async fn load(name: &str, component: &Path, data: &Path) -> Result<Loaded> {
    let pin = digest(&std::fs::read(component).with_context(|| format!("can't read {}", component.display()))?);
    let text = format!(
        "name = \"bench\"\n[[plugin]]\nname = {name:?}\nsource = {component:?}\ndigest = \"{pin}\"\nmemory = \"256Mi\"\n\
         grants = \"asked\"\n"
    );
    let bundle = Bundle::parse(&text, Path::new("bench.toml"))?;
    let engine = Engine::new(EngineOptions::new(data.to_owned()))?;
    let loaded = engine.load(&bundle, &[], Arc::new(Nothing)).await.pop().context("nothing was loaded")??;
    // It keeps deadlines ticking, until this program ends.
    std::mem::forget(engine);
    Ok(loaded)
}

/// Neither the plugin failed nor did it refuse.
pub fn ours<T>(call: gantry_plugin::Call<Result<T, Error>>) -> Result<T> {
    call?.map_err(|error| anyhow!(error.message))
}

/// Objects for a plugin that asks for none.
struct Nothing;

#[async_trait]
impl Objects for Nothing {
    async fn get(&self, _: ObjectRef) -> Result<Vec<u8>, Error> {
        Ok(Vec::new())
    }
    async fn list(&self, _: Query) -> Result<Vec<u8>, Error> {
        Ok(Vec::new())
    }
    async fn apply(&self, _: Vec<Write>) -> Vec<Result<Written, Error>> {
        Vec::new()
    }
    async fn record_events(&self, _: Vec<Event>) {}
}
