//! From a stored object and what a writer wants to the object's next state. Every change but deletion goes through here.

use std::sync::Arc;

use gantry_model::managed::{self, Diff, Managed, Writer};
use gantry_model::schema::Schema;
use gantry_model::{Draft, Kind, Record, Status};
use gantry_store::{Expect, Op, Write};
use serde_json::{Map, Value, json};

use crate::admission::{self, Operation, Subject};
use crate::options::{Subresource, WriteOptions, Written};
use crate::special::Special;
use crate::verbs::Objects;
use crate::{conform, fault, metadata};

/// How often a write without a resourceVersion is tried again when others write at the same time.
pub(crate) const ATTEMPTS: usize = 10;

/// How the new state came about.
pub(crate) enum By {
    /// The writer sent it or patched it.
    Update,
    /// By server-side apply, which says who owns what.
    Apply(Managed),
}

/// The next state of an object.
pub(crate) struct Next {
    object: Value,
    /// Whether it differs from the one before.
    changed: bool,
    /// Whether nothing keeps the object any more: it is being deleted and its last finalizer is gone.
    ends: bool,
    warnings: Vec<String>,
}

/// Who writes here.
pub(crate) fn writer<'a>(options: &'a WriteOptions, api_version: &'a str, now: &'a str) -> Writer<'a> {
    let subresource = options.subresource.name();
    let manager = if options.manager.is_empty() { "unknown" } else { &options.manager };
    Writer { manager, subresource, api_version, now }
}

/// Works out the next state. `old` is the stored object, `new` what the writer wants it to be.
pub(crate) async fn next(
    objects: &Objects,
    kind: &Kind,
    record: &Record,
    mut old: Value,
    mut new: Value,
    options: &WriteOptions,
    by: By,
) -> Result<Next, Status> {
    metadata::precondition(kind, record, &options.preconditions)?;
    metadata::up_to_date(kind, record, &new)?;
    let named = metadata::text(&new, "name");
    if !named.is_empty() && named != record.meta.name {
        let message =
            format!("the name of the object ({named}) does not match the name on the URL ({})", record.meta.name);
        return Err(Status::bad_request(message));
    }
    let within = metadata::text(&new, "namespace");
    if kind.namespaced() && !within.is_empty() && within != record.meta.namespace {
        let message = format!(
            "the namespace of the provided object ({within}) does not match the namespace sent on the request ({})",
            record.meta.namespace
        );
        return Err(Status::bad_request(message));
    }
    let live = Managed::take(&mut old).unwrap_or_default();
    if let Some(metadata) = old.get_mut("metadata").and_then(Value::as_object_mut) {
        metadata.remove("resourceVersion");
    }
    let base = match options.subresource {
        Subresource::Status => live.clone(),
        _ => sent(&mut new).unwrap_or_else(|| live.clone()),
    };
    let mut warnings = Vec::new();
    let schema = Schema::of(objects.kinds(), kind);
    let change = match options.subresource {
        Subresource::Status => status(objects, kind, &schema, old, new, options, &mut warnings).await?,
        _ => whole(objects, kind, &schema, old, new, options, &mut warnings).await?,
    };
    let (api_version, now) = (kind.api_version(), metadata::time(jiff::Timestamp::now()));
    let managed = match by {
        By::Apply(managed) => managed,
        By::Update => {
            let mut managed = base;
            managed.update(&writer(options, &api_version, &now), &change.diff);
            managed
        }
    };
    let changed = change.changed || managed != live;
    let mut object = change.object;
    managed.put(&mut object);
    Ok(Next { changed, ends: ends(kind, &object), object, warnings })
}

struct Changed {
    object: Value,
    changed: bool,
    diff: Diff,
}

/// The whole object but its status, which has its own subresource.
async fn whole(
    objects: &Objects,
    kind: &Kind,
    schema: &Schema,
    old: Value,
    mut new: Value,
    options: &WriteOptions,
    warnings: &mut Vec<String>,
) -> Result<Changed, Status> {
    let kinds = objects.kinds();
    conform::prune(kinds, kind, &mut new, options.fields(), warnings)?;
    let fields = metadata::of(&mut new)?;
    fields.remove("resourceVersion");
    metadata::carry(&old, fields);
    carry(&old, &mut new, if kind.status { &["apiVersion", "kind", "status"] } else { &["apiVersion", "kind"] });
    Special::of(kind).change(&old, &mut new);
    if new == old {
        return Ok(Changed { object: new, changed: false, diff: Diff::default() });
    }
    conform::complete(kinds, kind, &mut new, Some(&old), warnings)?;
    admission::admit(objects, &subject(kind, &old, options), &mut new, warnings).await?;
    if metadata::counts_generations(kind) && wants_change(kind, &old, &new) {
        let generation = old.pointer("/metadata/generation").and_then(Value::as_i64).unwrap_or(0);
        metadata::of(&mut new)?.insert("generation".to_owned(), json!(generation + 1));
    }
    let diff = managed::diff(schema, &old, &new);
    Ok(Changed { changed: new != old, diff, object: new })
}

/// The status alone.
async fn status(
    objects: &Objects,
    kind: &Kind,
    schema: &Schema,
    mut old: Value,
    mut new: Value,
    options: &WriteOptions,
    warnings: &mut Vec<String>,
) -> Result<Changed, Status> {
    let name = metadata::text(&old, "name").to_owned();
    let wanted = new.get_mut("status").map(Value::take).unwrap_or_default();
    let wanted = conform::status(objects.kinds(), kind, &name, wanted, options.fields(), warnings)?;
    let subject = subject(kind, &old, options);
    if admission::wanted(objects, &subject) {
        let mut new = old.clone();
        carry(&part("status", wanted.clone()), &mut new, &["status"]);
        admission::judge(objects, &subject, Some(&new), warnings).await?;
    }
    let before = part("status", old.as_object_mut().and_then(|map| map.remove("status")).unwrap_or_default());
    let after = part("status", wanted);
    let (changed, diff) = (before != after, managed::diff(schema, &before, &after));
    if let (Some(object), Value::Object(after)) = (old.as_object_mut(), after) {
        object.extend(after);
    }
    Ok(Changed { object: old, changed, diff })
}

/// An update as reviewers are to see it.
fn subject<'a>(kind: &'a Kind, old: &'a Value, options: &'a WriteOptions) -> Subject<'a> {
    Subject {
        operation: Operation::Update,
        kind,
        subresource: options.subresource.name(),
        namespace: metadata::text(old, "namespace"),
        name: metadata::text(old, "name"),
        user: options.user.as_ref(),
        dry_run: options.dry_run,
        old: Some(old),
    }
}

/// An object with one field, or none if it is null.
fn part(name: &str, value: Value) -> Value {
    let mut map = Map::new();
    if !value.is_null() {
        map.insert(name.to_owned(), value);
    }
    Value::Object(map)
}

/// Takes fields from the old object, present or absent.
fn carry(old: &Value, new: &mut Value, fields: &[&str]) {
    let Some(map) = new.as_object_mut() else { return };
    for field in fields {
        match old.get(*field) {
            Some(value) => map.insert((*field).to_owned(), value.clone()),
            None => map.remove(*field),
        };
    }
}

/// Whether what is wanted changed, and not only metadata or status.
fn wants_change(kind: &Kind, old: &Value, new: &Value) -> bool {
    let ignored = |name: &str| matches!(name, "metadata" | "apiVersion" | "kind") || (kind.status && name == "status");
    let names = |v: &Value| v.as_object().map(|m| m.keys().cloned().collect::<Vec<_>>()).unwrap_or_default();
    names(old).iter().chain(&names(new)).filter(|name| !ignored(name)).any(|name| old.get(name) != new.get(name))
}

/// What a writer says of who owns what. `None`: nothing, so that it stays as it is.
fn sent(new: &mut Value) -> Option<Managed> {
    let reset = match new.get("metadata")?.get("managedFields")?.as_array()?.as_slice() {
        [] => true,
        [only] => only.as_object().is_some_and(Map::is_empty),
        _ => false,
    };
    let sent = Managed::take(new);
    if reset { Some(Managed::default()) } else { sent }
}

fn ends(kind: &Kind, object: &Value) -> bool {
    let metadata = object.get("metadata");
    let field = |name: &str| metadata.and_then(|m| m.get(name)).filter(|v| !v.is_null());
    let finalizers = field("finalizers").and_then(Value::as_array).is_some_and(|list| !list.is_empty());
    let grace = field("deletionGracePeriodSeconds").and_then(Value::as_i64).unwrap_or(0);
    field("deletionTimestamp").is_some() && !finalizers && grace == 0 && !Special::of(kind).held(object)
}

/// Writes the next state. The only conflict that it answers with is that somebody else was faster.
pub(crate) async fn put(
    objects: &Objects,
    kind: &Kind,
    record: Arc<Record>,
    next: Next,
    options: &WriteOptions,
) -> Result<Written, Status> {
    let Next { object, changed, ends, warnings } = next;
    let written = |record, removed| Written { record, warnings, created: false, removed };
    if !changed && !ends {
        return Ok(written(record, false));
    }
    let draft = Draft::new(record.key.clone(), object, &kind.selectable_fields);
    if options.dry_run {
        return Ok(written(Arc::new(draft.commit(record.revision)), ends));
    }
    let op = if ends { Op::Delete } else { Op::Put(draft) };
    let write = Write { key: record.key.clone(), expect: Expect::Revision(record.revision), op };
    match objects.store().write(write).await {
        Ok(now) => Ok(written(now, ends)),
        Err(error) => Err(fault::status(kind, &record.meta.name, &error)),
    }
}
