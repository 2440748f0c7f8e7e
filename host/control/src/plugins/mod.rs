//! Plugins as objects: one `Plugin` for each of the bundle, with its health, and one that stays for each that was taken
//! out but whose kinds still have objects.

mod idle;
mod object;

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use gantry_model::kind::Origin;
use gantry_model::status::Reason;
use gantry_model::{Kind, Record, Status, core};
use gantry_objects::admission::Rule;
use gantry_objects::{DeleteOptions, Objects, Patch, Subresource, WriteOptions};
use gantry_plugin::Loaded;
use gantry_store::Range;
use serde_json::{Value, json};
use tokio::task::JoinSet;

use crate::recorder::{self, Recorder, Severity};

const MANAGER: &str = "gantry-plugins";
const GROUP: &str = "gantry.dev";
/// A plugin that traps a thousand times a second is not written a thousand times a second.
const PACE: Duration = Duration::from_secs(1);
/// How old the number of calls in a status may be.
const CALLS: Duration = Duration::from_secs(30);

/// A plugin that the bundle names and that is not loaded.
#[derive(Clone, Debug)]
pub struct Refused {
    /// Its name.
    pub name: String,
    /// Why.
    pub why: String,
}

/// What a bundle came to.
pub struct Options {
    /// The bundle's name.
    pub bundle: String,
    /// Plugins that run.
    pub loaded: Vec<Arc<Loaded>>,
    /// Plugins that do not, and need not.
    pub refused: Vec<Refused>,
    /// Which writes the plugins that run review, by plugin.
    pub reviews: HashMap<String, Vec<Rule>>,
    /// The objects.
    pub objects: Objects,
    /// For faults, and for objects that nobody acts on.
    pub recorder: Recorder,
}

/// Declares again the kinds of plugins that ran before: their objects stay readable when a plugin is taken out of the
/// bundle. Called before the bundle's own plugins declare theirs.
pub fn restore(objects: &Objects) {
    let Some(kind) = objects.kinds().by_kind(GROUP, "Plugin") else { return };
    let range = Range { resource: kind.resource(), namespace: None, after: None, limit: 0 };
    for record in objects.store().list(&range).records {
        for kind in declared(&record) {
            if objects.kinds().by_kind(&kind.group, &kind.kind).is_none() {
                objects.kinds().insert(kind);
            }
        }
    }
}

/// The kinds that a plugin declared when it ran last.
fn declared(plugin: &Record) -> Vec<Kind> {
    let declared = plugin.value().pointer(object::DECLARED).cloned().unwrap_or_default();
    serde_json::from_value(declared).unwrap_or_default()
}

/// Which writes a plugin reviewed when it ran last. They are not let through unseen because it can't be loaded now.
pub fn remembered(objects: &Objects, plugin: &str) -> Vec<Rule> {
    let kind = objects.kinds().by_kind(GROUP, "Plugin");
    let record = kind.and_then(|kind| objects.get(&kind, "", plugin).ok());
    let rules = record.and_then(|record| record.value().pointer(object::REVIEWS).cloned());
    rules.and_then(|rules| serde_json::from_value(rules).ok()).unwrap_or_default()
}

/// Forgets the kinds of one plugin, because it declares them anew.
pub fn forget(objects: &Objects, plugin: &str) {
    objects.kinds().remove(&Origin::Plugin(plugin.to_owned()));
    core::await_plugins(objects.kinds());
}

/// Writes the Plugin and Bundle objects, keeps them up to date, and tells about objects that nobody acts on. Runs for
/// ever.
pub async fn run(options: Options) {
    let options = Arc::new(options);
    let Some(kind) = options.objects.kinds().by_kind(GROUP, "Plugin") else { return };
    let keeper = Arc::new(Keeper { options: options.clone(), kind });
    keeper.all().await;
    let mut tasks = JoinSet::new();
    for plugin in &options.loaded {
        tasks.spawn(keeper.clone().follow(plugin.clone()));
    }
    tasks.spawn(idle::run(options));
    while tasks.join_next().await.is_some() {}
}

struct Keeper {
    options: Arc<Options>,
    kind: Arc<Kind>,
}

impl Keeper {
    async fn all(&self) {
        for plugin in &self.options.loaded {
            self.write(plugin.name(), object::spec(&self.options.bundle, plugin), self.status(plugin)).await;
        }
        for Refused { name, why } in &self.options.refused {
            let status = json!({"phase": "Failed", "message": why});
            self.write(name, json!({"bundle": self.options.bundle}), status).await;
        }
        self.absent().await;
        self.bundle().await;
    }

    fn status(&self, plugin: &Loaded) -> Value {
        let reviews = self.options.reviews.get(plugin.name()).map_or(&[][..], Vec::as_slice);
        object::status(plugin, reviews)
    }

    /// Plugins that ran once and are not in the bundle any more: removed, unless objects of their kinds are left.
    async fn absent(&self) {
        let range = Range { resource: self.kind.resource(), namespace: None, after: None, limit: 0 };
        let loaded = self.options.loaded.iter().map(|plugin| plugin.name());
        let named: HashSet<&str> = loaded.chain(self.options.refused.iter().map(|r| r.name.as_str())).collect();
        for record in self.options.objects.store().list(&range).records {
            let name = record.meta.name.as_str();
            if named.contains(name) {
                continue;
            }
            if self.in_use(&record) {
                let status = json!({"phase": "Absent", "message": "the bundle does not name this plugin: nobody acts on objects of its kinds"});
                self.write(name, json!({}), status).await;
            } else {
                self.remove(name).await;
            }
        }
    }

    /// Whether objects of the kinds that a plugin declared are left.
    fn in_use(&self, plugin: &Record) -> bool {
        let objects = &self.options.objects;
        declared(plugin).iter().any(|kind| {
            let theirs = objects.kinds().by_kind(&kind.group, &kind.kind).is_some_and(|now| now.origin == kind.origin);
            let range = Range { resource: kind.resource(), namespace: None, after: None, limit: 1 };
            theirs && !objects.store().list(&range).records.is_empty()
        })
    }

    /// Nothing is left of a plugin: its kinds go, and so does the object.
    async fn remove(&self, name: &str) {
        forget(&self.options.objects, name);
        match self.options.objects.delete(&self.kind, "", name, &DeleteOptions::default()).await {
            Err(error) if error.reason != Reason::NotFound => {
                tracing::warn!(plugin = name, %error, "can't remove a Plugin object");
            }
            _ => tracing::info!(plugin = name, "nothing is left of a plugin that the bundle does not name"),
        }
    }

    async fn bundle(&self) {
        let Some(kind) = self.options.objects.kinds().by_kind(GROUP, "Bundle") else { return };
        let (loaded, refused) = (&self.options.loaded, &self.options.refused);
        let plugins: Vec<Value> = loaded
            .iter()
            .map(|p| json!({"name": p.name(), "digest": p.digest()}))
            .chain(refused.iter().map(|r| json!({"name": r.name})))
            .collect();
        let message: Vec<String> = refused.iter().map(|r| format!("{}: {}", r.name, r.why)).collect();
        let status =
            json!({"ready": loaded.len(), "total": loaded.len() + refused.len(), "message": message.join("; ")});
        self.put(&kind, &self.options.bundle, json!({"plugins": plugins}), status).await;
    }

    async fn write(&self, name: &str, spec: Value, status: Value) {
        self.put(&self.kind, name, spec, status).await;
    }

    async fn put(&self, kind: &Kind, name: &str, spec: Value, status: Value) {
        if let Err(error) = put(&self.options.objects, kind, name, spec, status).await {
            tracing::warn!(plugin = name, %error, "can't write a {} object", kind.kind);
        }
    }

    /// Writes the health of one plugin whenever it changes, and tells about faults.
    async fn follow(self: Arc<Self>, plugin: Arc<Loaded>) {
        let mut changes = plugin.health_changes();
        let mut faults = plugin.health().faults;
        let mut told = 0;
        loop {
            // Calls change all the time: their number is written now and then.
            match tokio::time::timeout(CALLS, changes.changed()).await {
                Ok(Err(_)) => return,
                Ok(Ok(())) => {}
                Err(_) if plugin.health().calls == told => continue,
                Err(_) => {}
            }
            let health = plugin.health();
            told = health.calls;
            if let (true, Some((_, fault))) = (health.faults > faults, &health.last_fault) {
                faults = health.faults;
                if let Ok(record) = self.options.objects.get(&self.kind, "", plugin.name()) {
                    let about = recorder::about(&self.kind, &record);
                    self.options.recorder.tell(about, Severity::Warning, MANAGER, "PluginFault", fault.to_string());
                }
            }
            self.write(plugin.name(), json!({}), self.status(&plugin)).await;
            tokio::time::sleep(PACE).await;
        }
    }
}

async fn put(objects: &Objects, kind: &Kind, name: &str, spec: Value, status: Value) -> Result<(), Status> {
    let options = WriteOptions { manager: MANAGER.to_owned(), ..WriteOptions::default() };
    let object = json!({"apiVersion": kind.api_version(), "kind": kind.kind, "metadata": {"name": name}, "spec": spec});
    match objects.create(kind, "", object, &options).await {
        Err(e) if e.reason == Reason::AlreadyExists && spec != json!({}) => {
            objects.patch(kind, "", name, Patch::Merge(json!({"spec": spec})), &options).await?;
        }
        Err(e) if e.reason != Reason::AlreadyExists => return Err(e),
        _ => {}
    }
    let options = WriteOptions { subresource: Subresource::Status, ..options };
    objects.patch(kind, "", name, Patch::Merge(json!({"status": status})), &options).await.map(drop)
}
