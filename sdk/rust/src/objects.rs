//! The cluster's objects, as far as the bundle grants them: reads from the host's memory, batched writes, events.

use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use crate::api::Resource;
use crate::{Error, KindRef, ObjectRef, Result, host, merge};

pub use crate::contract::platform::gantry::plugin::objects::{
    Deletion, Event, EventType, Patch, Precondition, Propagation, Query, Subresource, Write, Written,
};

/// One object. `Ok(None)` when there is none of that name.
pub fn get<T: DeserializeOwned>(target: &ObjectRef) -> Result<Option<T>> {
    match host::get(target) {
        Ok(bytes) => parse(&bytes).map(Some).map_err(|e| e.context(target)),
        Err(error) if error.is_not_found() => Ok(None),
        Err(error) => Err(error),
    }
}

/// Whole objects in key order.
pub fn list<T: DeserializeOwned>(query: &Query) -> Result<Vec<T>> {
    parse(&host::list(query)?).map_err(|e| e.context(&query.kind))
}

/// Some fields of objects, one row each, in key order. A step of a pointer may be `key=value` on an array
/// (`/status/conditions/type=Ready/status`). `Row` is a tuple with one member per pointer, `Option` where the
/// field may be absent. Prefer it to `list` for kinds with many objects: a row costs bytes where an object costs
/// kilobytes.
///
/// ```no_run
/// # use gantry_sdk::{api::Pod, objects::{self, Query}};
/// # fn f() -> gantry_sdk::Result<()> {
/// let rows: Vec<(String, Option<String>)> =
///     objects::rows(&Query::of::<Pod>().namespace("default"), ["/metadata/name", "/status/phase"])?;
/// # Ok(()) }
/// ```
pub fn rows<Row: DeserializeOwned>(query: &Query, fields: impl IntoIterator<Item = &'static str>) -> Result<Vec<Row>> {
    let mut query = query.clone();
    query.fields = fields.into_iter().map(String::from).collect();
    list(&query)
}

/// Makes the writes, each alone, and says per write what became of it, in order. All are durable when it returns.
pub fn apply(writes: &[Write]) -> Vec<Result<Written>> {
    if writes.is_empty() { Vec::new() } else { host::apply(writes) }
}

/// Makes the writes; the first failure, if any, is the answer. The others were made all the same.
pub fn apply_all(writes: &[Write]) -> Result<Vec<Written>> {
    apply(writes).into_iter().collect()
}

/// Makes one write.
pub fn apply_one(write: Write) -> Result<Written> {
    host::apply(&[write]).pop().unwrap_or_else(|| Err(Error::internal("the host gave no answer to a write")))
}

/// Makes one write about an object that was read before. That the object is gone, or another one by now, is no failure: what
/// became of it has a pass of its own to come.
pub fn settle(write: Write) -> Result<()> {
    match apply_one(write) {
        Err(error) if !error.is_not_found() && !error.is_conflict() => Err(error),
        _ => Ok(()),
    }
}

/// Records events. Fire and forget; equal ones are counted, not repeated.
pub fn record(events: &[Event]) {
    if !events.is_empty() {
        host::record_events(events);
    }
}

/// Records one event about an object.
pub fn event<T: Resource>(object: &T, event_type: EventType, reason: &str, message: impl Into<String>) {
    record(&[Event::about(object, event_type, reason, message)]);
}

/// Reads an object from the JSON that calls carry.
pub fn parse<T: DeserializeOwned>(json: &[u8]) -> Result<T> {
    serde_json::from_slice(json).map_err(Error::from)
}

impl Query {
    /// All objects of a typed kind. Narrow it with the other functions.
    pub fn of<T: Resource>() -> Self {
        Query::kind(KindRef::of::<T>())
    }

    /// All objects of a kind.
    pub fn kind(kind: KindRef) -> Self {
        Query {
            kind,
            namespace: String::new(),
            owner: None,
            label_selector: String::new(),
            field_selector: String::new(),
            fields: Vec::new(),
            limit: 0,
        }
    }

    /// In this namespace only.
    #[must_use]
    pub fn namespace(mut self, namespace: impl Into<String>) -> Self {
        self.namespace = namespace.into();
        self
    }

    /// Only with an ownerReference to this uid.
    #[must_use]
    pub fn owner(mut self, uid: impl Into<String>) -> Self {
        self.owner = Some(uid.into());
        self
    }

    /// Only without a controller: those that may be adopted.
    #[must_use]
    pub fn orphans(self) -> Self {
        self.owner("")
    }

    /// Only with these labels, in the Kubernetes syntax; `LabelSelector::to_string` makes it.
    #[must_use]
    pub fn labels(mut self, selector: impl ToString) -> Self {
        self.label_selector = selector.to_string();
        self
    }

    /// Only with these fields, in the Kubernetes syntax (`spec.nodeName=n1`).
    #[must_use]
    pub fn fields(mut self, selector: impl Into<String>) -> Self {
        self.field_selector = selector.into();
        self
    }

    /// At most this many.
    #[must_use]
    pub fn limit(mut self, limit: u32) -> Self {
        self.limit = limit;
        self
    }
}

impl Precondition {
    /// None.
    pub fn none() -> Self {
        Precondition { uid: None, resource_version: None }
    }
}

impl Write {
    /// Creates the object. `metadata.generateName` is honoured when there is no name.
    pub fn create<T: Resource>(object: &T) -> Result<Self> {
        Ok(Write::Create(serde_json::to_vec(&document(object)?)?))
    }

    /// Creates an object given as JSON, with apiVersion and kind.
    pub fn create_json(object: &Value) -> Self {
        Write::Create(object.to_string().into_bytes())
    }

    /// Replaces the object, its status apart. Its resourceVersion, if it has one, is a precondition.
    pub fn update<T: Resource>(object: &T) -> Result<Self> {
        Ok(Write::Update(serde_json::to_vec(&document(object)?)?))
    }

    /// Changes the object by a merge patch, its status apart.
    pub fn patch(target: ObjectRef, merge: &Value) -> Self {
        Write::part(target, Subresource::None, merge)
    }

    /// Changes the object's status by a merge patch of the form `{"status": {...}}`.
    pub fn patch_status(target: ObjectRef, merge: &Value) -> Self {
        Write::part(target, Subresource::Status, merge)
    }

    /// The smallest merge patch from `old` to `new`; `None` if they are equal. A precondition on `old`'s uid goes with
    /// it, so that a namesake made since is left alone.
    pub fn change<T: Resource>(old: &T, new: &T, subresource: Subresource) -> Result<Option<Self>> {
        let patch = merge::diff(&serde_json::to_value(old)?, &serde_json::to_value(new)?);
        Ok(patch.map(|merge| Write::part(old.reference(), subresource, &merge).if_uid(old.uid())))
    }

    /// Deletes the object; its dependents follow in the background.
    pub fn delete(target: ObjectRef) -> Self {
        let require = Precondition::none();
        Write::Delete(Deletion { target, propagation: Propagation::Background, grace_seconds: None, require })
    }

    /// The write holds only if the object has this uid. Nothing changes for creations and updates.
    #[must_use]
    pub fn if_uid(mut self, uid: impl Into<String>) -> Self {
        if let Some(require) = self.require() {
            require.uid = Some(uid.into());
        }
        self
    }

    /// The write holds only if the object is still in this version. Nothing changes for creations and updates.
    #[must_use]
    pub fn if_version(mut self, resource_version: impl Into<String>) -> Self {
        if let Some(require) = self.require() {
            require.resource_version = Some(resource_version.into());
        }
        self
    }

    fn part(target: ObjectRef, subresource: Subresource, merge: &Value) -> Self {
        let merge = merge.to_string().into_bytes();
        Write::Patch(Patch { target, subresource, merge, require: Precondition::none() })
    }

    fn require(&mut self) -> Option<&mut Precondition> {
        match self {
            Write::Patch(patch) => Some(&mut patch.require),
            Write::Delete(deletion) => Some(&mut deletion.require),
            Write::Create(_) | Write::Update(_) => None,
        }
    }
}

impl Event {
    /// An event about a typed object.
    pub fn about<T: Resource>(object: &T, event_type: EventType, reason: &str, message: impl Into<String>) -> Self {
        Event {
            regarding: object.reference(),
            regarding_uid: object.uid().to_string(),
            event_type,
            reason: reason.to_string(),
            message: message.into(),
        }
    }

    /// Something went as it should.
    pub fn normal<T: Resource>(object: &T, reason: &str, message: impl Into<String>) -> Self {
        Event::about(object, EventType::Normal, reason, message)
    }

    /// Something that a person should look at.
    pub fn warning<T: Resource>(object: &T, reason: &str, message: impl Into<String>) -> Self {
        Event::about(object, EventType::Warning, reason, message)
    }
}

/// The object as JSON, with the apiVersion and kind that the typed form leaves out.
pub(crate) fn document<T: Resource>(object: &T) -> Result<Value> {
    let mut map = match serde_json::to_value(object)? {
        Value::Object(map) => map,
        _ => Map::new(),
    };
    map.insert("apiVersion".into(), Value::String(T::api_version()));
    map.insert("kind".into(), Value::String(T::KIND.into()));
    Ok(Value::Object(map))
}
