//! Making objects.

use std::sync::Arc;

use gantry_model::managed::{self, Managed, Writer};
use gantry_model::schema::Schema;
use gantry_model::{Draft, Key, Kind, Record, Status};
use gantry_store::{Error, Expect, Op, Write};
use serde_json::{Value, json};

use crate::admission::{self, Operation, Subject};
use crate::next::writer;
use crate::options::{WriteOptions, Written};
use crate::special::{self, Special};
use crate::verbs::Objects;
use crate::{conform, fault, metadata};

/// How often a generated name may be taken.
const NAMES: usize = 8;

/// Whether an object is made by server-side apply, so that only what the applier named is its own.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Applied;

pub(crate) async fn create(
    objects: &Objects,
    kind: &Kind,
    namespace: &str,
    mut object: Value,
    options: &WriteOptions,
    applied: Option<Applied>,
) -> Result<Written, Status> {
    let mut warnings = Vec::new();
    let base = prepare(objects, kind, namespace, &mut object, options, applied, &mut warnings).await?;
    let namespace = if kind.namespaced() { namespace } else { "" };
    for _ in 0..NAMES {
        let key = Key::new(kind.resource(), namespace, metadata::text(&object, "name"));
        if options.dry_run {
            let record = preview(objects, kind, key, object)?;
            return Ok(Written { record, warnings, created: true, removed: false });
        }
        // Only a generated name has a second chance, so only then is a copy needed.
        let again = base.as_ref().map(|base| (base, object.clone()));
        let draft = Draft::new(key.clone(), object, &kind.selectable_fields);
        let write = Write { key: key.clone(), expect: Expect::Absent, op: Op::Put(draft) };
        match (objects.store().write(write).await, again) {
            (Ok(record), _) => return Ok(Written { record, warnings, created: true, removed: false }),
            (Err(Error::Conflict { .. }), Some((base, copy))) => {
                object = copy;
                metadata::of(&mut object)?.insert("name".to_owned(), json!(metadata::generated(base)));
            }
            (Err(Error::Conflict { .. }), None) => {
                return Err(Status::already_exists(&kind.group, &kind.plural, &key.name));
            }
            (Err(error), _) => return Err(fault::status(kind, &key.name, &error)),
        }
    }
    Err(Status::already_exists(&kind.group, &kind.plural, base.as_deref().unwrap_or_default()))
}

/// Makes the object ready to be written. The answer is the base of its name, if the name was generated.
async fn prepare(
    objects: &Objects,
    kind: &Kind,
    namespace: &str,
    object: &mut Value,
    options: &WriteOptions,
    applied: Option<Applied>,
    warnings: &mut Vec<String>,
) -> Result<Option<String>, Status> {
    let kinds = objects.kinds();
    metadata::of(object)?;
    conform::prune(kinds, kind, object, options.fields(), warnings)?;
    let now = metadata::time(jiff::Timestamp::now());
    let fields = metadata::of(object)?;
    metadata::place(kind, namespace, fields)?;
    metadata::stamp(kind, fields, &now)?;
    let text = |name: &str| fields.get(name).and_then(Value::as_str).filter(|s| !s.is_empty()).map(str::to_owned);
    let (name, base) = (text("name"), text("generateName"));
    let base = if name.is_some() { None } else { base };
    if let Some(base) = &base {
        fields.insert("name".to_owned(), json!(metadata::generated(base)));
    }
    let name = metadata::text(object, "name").to_owned();
    special::namespace_takes(objects, kind, namespace, &name)?;
    if let (true, Some(map)) = (kind.status, object.as_object_mut()) {
        map.remove("status");
    }
    let schema = Schema::of(kinds, kind);
    let api_version = kind.api_version();
    let writer = writer(options, &api_version, &now);
    let managed = applied.map(|Applied| {
        managed::apply(&schema, &json!({}), Managed::default(), object.clone(), &writer, true)
            .map_or_else(|_| Managed::default(), |(_, managed)| managed)
    });
    Special::of(kind).begin(object);
    conform::complete(kinds, kind, object, None, warnings)?;
    let subject = Subject {
        operation: Operation::Create,
        kind,
        subresource: "",
        namespace,
        name: &name,
        user: options.user.as_ref(),
        dry_run: options.dry_run,
        old: None,
    };
    admission::admit(objects, &subject, object, warnings).await?;
    let managed = managed.unwrap_or_else(|| owned_by_maker(&schema, object, &writer));
    managed.put(object);
    Ok(base)
}

/// The maker owns everything but the status, which is the server's doing.
fn owned_by_maker(schema: &Schema, object: &mut Value, writer: &Writer<'_>) -> Managed {
    let status = object.as_object_mut().and_then(|map| map.remove("status"));
    let mut managed = Managed::default();
    managed.update(writer, &managed::diff(schema, &json!({}), object));
    if let (Some(map), Some(status)) = (object.as_object_mut(), status) {
        map.insert("status".to_owned(), status);
    }
    managed
}

/// The object as it would be.
fn preview(objects: &Objects, kind: &Kind, key: Key, object: Value) -> Result<Arc<Record>, Status> {
    if objects.store().get(&key).is_some() {
        return Err(Status::already_exists(&kind.group, &kind.plural, &key.name));
    }
    let json = object.to_string().into();
    // An object that was never written has no resourceVersion.
    Ok(Arc::new(Record { json, ..Draft::new(key, object, &kind.selectable_fields).commit(0) }))
}
