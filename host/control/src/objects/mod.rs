//! What plugins ask of the host (`wit/objects.wit`), over the objects of this control plane. Grants are checked before
//! a call gets here.

mod answer;

use std::collections::HashMap;
use std::sync::Arc;

use async_trait::async_trait;
use futures::StreamExt;
use gantry_model::selector::{FieldSelector, LabelSelector};
use gantry_model::{Kind, Record};
use gantry_objects::{DeleteOptions, ListOptions, Objects, Patch, Preconditions, User, WriteOptions};
use gantry_plugin::family::objects::{
    Deletion, Event, EventType, Patch as PatchWrite, Precondition, Propagation, Query, Subresource, Write, Written,
};
use gantry_plugin::family::{Error, KindRef, ObjectRef};
use serde_json::Value;

use crate::recorder::{self, About, Recorder, Severity};

/// Writes of one `apply` under way at once.
const CONCURRENT_WRITES: usize = 64;

/// The objects as one plugin sees them.
pub struct PluginObjects {
    objects: Objects,
    recorder: Recorder,
    plugin: String,
    /// How reviewers see it.
    user: Arc<User>,
}

impl PluginObjects {
    /// For the plugin of this name, which becomes the field manager of its writes.
    pub fn new(objects: Objects, recorder: Recorder, plugin: &str) -> Self {
        let user = User { name: format!("gantry:plugin:{plugin}"), groups: vec!["gantry:plugins".to_owned()] };
        Self { objects, recorder, plugin: plugin.to_owned(), user: Arc::new(user) }
    }

    fn kind(&self, kind: &KindRef) -> Result<Arc<Kind>, Error> {
        let found = self.objects.kinds().by_kind(&kind.group, &kind.kind);
        found.ok_or_else(|| answer::invalid(format!("there is no kind {} in group {:?}", kind.kind, kind.group)))
    }

    fn options(&self, subresource: Subresource, require: Precondition) -> WriteOptions {
        WriteOptions {
            manager: self.plugin.clone(),
            user: Some(self.user.clone()),
            subresource: match subresource {
                Subresource::None => gantry_objects::Subresource::None,
                Subresource::Status => gantry_objects::Subresource::Status,
                Subresource::Scale => gantry_objects::Subresource::Scale,
            },
            preconditions: preconditions(require),
            ..WriteOptions::default()
        }
    }

    fn select(&self, query: &Query) -> Result<Vec<Arc<Record>>, Error> {
        let kind = self.kind(&query.kind)?;
        match query.owner.as_deref() {
            Some("") => {
                let namespace = Some(query.namespace.as_str()).filter(|namespace| !namespace.is_empty());
                narrowed(self.objects.store().orphans(&kind.resource(), namespace), &kind, query)
            }
            Some(uid) => narrowed(self.objects.store().owned(uid), &kind, query),
            None => self.list(&kind, query),
        }
    }

    fn list(&self, kind: &Kind, query: &Query) -> Result<Vec<Arc<Record>>, Error> {
        let options = ListOptions {
            namespace: (!query.namespace.is_empty()).then(|| query.namespace.clone()),
            label_selector: query.label_selector.clone(),
            field_selector: query.field_selector.clone(),
            limit: usize::try_from(query.limit).unwrap_or(usize::MAX),
            continue_token: None,
        };
        Ok(self.objects.list(kind, &options).map_err(answer::of)?.items)
    }

    async fn write(&self, write: Write) -> Result<Written, Error> {
        match write {
            Write::Create(json) => self.create(&json).await,
            Write::Update(json) => self.update(&json).await,
            Write::Patch(patch) => self.patch(patch).await,
            Write::Delete(deletion) => self.delete(deletion).await,
        }
    }

    async fn create(&self, json: &[u8]) -> Result<Written, Error> {
        let (kind, object) = self.parse(json)?;
        let namespace = text(&object, "/metadata/namespace").to_owned();
        let options = self.options(Subresource::None, Precondition { uid: None, resource_version: None });
        let written = self.objects.create(&kind, &namespace, object, &options).await.map_err(answer::of)?;
        Ok(told(&written.record))
    }

    async fn update(&self, json: &[u8]) -> Result<Written, Error> {
        let (kind, object) = self.parse(json)?;
        let namespace = text(&object, "/metadata/namespace").to_owned();
        let name = text(&object, "/metadata/name").to_owned();
        let options = self.options(Subresource::None, Precondition { uid: None, resource_version: None });
        let written = self.objects.update(&kind, &namespace, &name, object, &options).await.map_err(answer::of)?;
        Ok(told(&written.record))
    }

    async fn patch(&self, patch: PatchWrite) -> Result<Written, Error> {
        let kind = self.kind(&patch.target.kind)?;
        let merge = serde_json::from_slice(&patch.merge)
            .map_err(|e| answer::invalid(format!("the patch of {} is no JSON: {e}", patch.target.name)))?;
        let options = self.options(patch.subresource, patch.require);
        let ObjectRef { namespace, name, .. } = &patch.target;
        let written = self.objects.patch(&kind, namespace, name, Patch::Merge(merge), &options).await;
        Ok(told(&written.map_err(answer::of)?.record))
    }

    async fn delete(&self, deletion: Deletion) -> Result<Written, Error> {
        let kind = self.kind(&deletion.target.kind)?;
        let options = DeleteOptions {
            propagation: match deletion.propagation {
                // What a plugin says that has no wish of its own: it does not undo what a user asked for.
                Propagation::Background => None,
                Propagation::Foreground => Some(gantry_objects::Propagation::Foreground),
                Propagation::Orphan => Some(gantry_objects::Propagation::Orphan),
            },
            grace_seconds: deletion.grace_seconds.map(i64::from),
            preconditions: preconditions(deletion.require),
            user: Some(self.user.clone()),
            dry_run: false,
        };
        let ObjectRef { namespace, name, .. } = &deletion.target;
        let written = self.objects.delete(&kind, namespace, name, &options).await.map_err(answer::of)?;
        Ok(told(&written.record))
    }

    fn parse(&self, json: &[u8]) -> Result<(Arc<Kind>, Value), Error> {
        let object: Value =
            serde_json::from_slice(json).map_err(|e| answer::invalid(format!("an object is no JSON: {e}")))?;
        let (version, kind) = (text(&object, "/apiVersion"), text(&object, "/kind"));
        let group = version.split_once('/').map_or("", |(group, _)| group);
        let kind = self.kind(&KindRef { group: group.to_owned(), kind: kind.to_owned() })?;
        Ok((kind, object))
    }

    fn tell(&self, event: Event) {
        let Ok(kind) = self.kind(&event.regarding.kind) else { return };
        let ObjectRef { namespace, name, .. } = event.regarding;
        let about = if event.regarding_uid.is_empty() {
            let Ok(record) = self.objects.get(&kind, &namespace, &name) else { return };
            recorder::about(&kind, &record)
        } else {
            let (api_version, kind, uid) = (kind.api_version(), kind.kind.clone(), event.regarding_uid);
            About { api_version, kind, namespace, name, uid, field: String::new() }
        };
        let severity = match event.event_type {
            EventType::Normal => Severity::Normal,
            EventType::Warning => Severity::Warning,
        };
        self.recorder.tell(about, severity, self.plugin.clone(), event.reason, event.message);
    }
}

#[async_trait]
impl gantry_plugin::Objects for PluginObjects {
    async fn get(&self, target: ObjectRef) -> Result<Vec<u8>, Error> {
        let kind = self.kind(&target.kind)?;
        let record = self.objects.get(&kind, &target.namespace, &target.name).map_err(answer::of)?;
        Ok(record.json.to_vec())
    }

    async fn list(&self, query: Query) -> Result<Vec<u8>, Error> {
        let found = self.select(&query)?;
        crate::project::array(&found, &query.fields).map_err(|pointer| {
            answer::invalid(format!("{pointer:?} is no pointer: it must be empty or begin with a slash"))
        })
    }

    async fn apply(&self, writes: Vec<Write>) -> Vec<Result<Written, Error>> {
        let count = writes.len();
        let lanes = lanes(writes);
        let done: Vec<Vec<(usize, Result<Written, Error>)>> = futures::stream::iter(lanes)
            .map(|lane| async move {
                let mut done = Vec::with_capacity(lane.len());
                for (at, write) in lane {
                    done.push((at, self.write(write).await));
                }
                done
            })
            .buffer_unordered(CONCURRENT_WRITES)
            .collect()
            .await;
        let mut answers: Vec<(usize, Result<Written, Error>)> = done.into_iter().flatten().collect();
        answers.sort_by_key(|(at, _)| *at);
        debug_assert_eq!(answers.len(), count);
        answers.into_iter().map(|(_, answer)| answer).collect()
    }

    async fn record_events(&self, events: Vec<Event>) {
        events.into_iter().for_each(|event| self.tell(event));
    }
}

/// Writes to one object stay in order; those to different objects may go side by side.
fn lanes(writes: Vec<Write>) -> Vec<Vec<(usize, Write)>> {
    let mut lanes: Vec<Vec<(usize, Write)>> = Vec::new();
    let mut of: HashMap<String, usize> = HashMap::new();
    for (at, write) in writes.into_iter().enumerate() {
        let lane = target(&write).map(|key| *of.entry(key).or_insert(lanes.len())).unwrap_or(lanes.len());
        match lanes.get_mut(lane) {
            Some(lane) => lane.push((at, write)),
            None => lanes.push(vec![(at, write)]),
        }
    }
    lanes
}

/// Which object a write concerns; `None` for a creation with a generated name.
fn target(write: &Write) -> Option<String> {
    let named = |r: &ObjectRef| format!("{}/{}/{}/{}", r.kind.group, r.kind.kind, r.namespace, r.name);
    match write {
        Write::Patch(patch) => Some(named(&patch.target)),
        Write::Delete(deletion) => Some(named(&deletion.target)),
        Write::Create(json) | Write::Update(json) => {
            let object: Value = serde_json::from_slice(json).ok()?;
            let name = Some(text(&object, "/metadata/name")).filter(|name| !name.is_empty())?;
            let version = text(&object, "/apiVersion");
            let group = version.split_once('/').map_or("", |(group, _)| group);
            Some(format!("{group}/{}/{}/{name}", text(&object, "/kind"), text(&object, "/metadata/namespace")))
        }
    }
}

/// Those of an index's answer that the whole query means.
fn narrowed(mut found: Vec<Arc<Record>>, kind: &Kind, query: &Query) -> Result<Vec<Arc<Record>>, Error> {
    let labels = LabelSelector::parse(&query.label_selector).map_err(|e| answer::invalid(e.to_string()))?;
    let fields = FieldSelector::parse(&query.field_selector).map_err(|e| answer::invalid(e.to_string()))?;
    if let Some(path) = fields.unsupported(kind) {
        return Err(answer::invalid(format!("field label not supported: {path}")));
    }
    let resource = kind.resource();
    found.retain(|record| {
        record.key.resource == resource
            && (query.namespace.is_empty() || record.meta.namespace == query.namespace)
            && labels.matches(&record.meta.labels)
            && fields.matches(record)
    });
    Ok(limited(found, query.limit))
}

fn limited(mut found: Vec<Arc<Record>>, limit: u32) -> Vec<Arc<Record>> {
    if let (1.., Ok(limit)) = (limit, usize::try_from(limit)) {
        found.truncate(limit);
    }
    found
}

fn preconditions(require: Precondition) -> Preconditions {
    Preconditions { uid: require.uid, resource_version: require.resource_version }
}

fn told(record: &Record) -> Written {
    Written {
        name: record.meta.name.clone(),
        uid: record.meta.uid.clone(),
        resource_version: record.revision.to_string(),
    }
}

fn text<'a>(object: &'a Value, pointer: &str) -> &'a str {
    object.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
}
