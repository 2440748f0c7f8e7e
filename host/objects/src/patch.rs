//! Patching objects, and making or changing them by server-side apply.

use std::sync::Arc;

use gantry_model::kind::Origin;
use gantry_model::managed::{self, Conflicts, Managed, Writer};
use gantry_model::schema::Schema;
use gantry_model::status::{Cause, Reason};
use gantry_model::{Key, Kind, Kinds, Record, Status, patch};
use serde_json::{Map, Value, json};

use crate::create::{self, Applied};
use crate::next::{self, ATTEMPTS, By, writer};
use crate::options::{Patch, Subresource, WriteOptions, Written};
use crate::verbs::Objects;
use crate::{conform, fault, last_applied, metadata};

pub(crate) async fn patch(
    objects: &Objects,
    kind: &Kind,
    namespace: &str,
    name: &str,
    patch: &Patch,
    options: &WriteOptions,
) -> Result<Written, Status> {
    if let Patch::Apply(config) = patch {
        return apply(objects, kind, namespace, name, config.clone(), options).await;
    }
    for _ in 0..ATTEMPTS {
        let record = objects.get(kind, namespace, name)?;
        let old = record.value();
        let mut new = old.clone();
        // A patch that names a resourceVersion fails in `next` once that is not the newest any more.
        change(objects.kinds(), kind, &mut new, patch)?;
        let next = next::next(objects, kind, &record, old, new, options, By::Update).await?;
        match next::put(objects, kind, record, next, options).await {
            Err(status) if status.reason == Reason::Conflict => {}
            other => return other,
        }
    }
    Err(fault::modified(kind, name))
}

/// Applies a patch of any type but server-side apply.
pub(crate) fn change(kinds: &Kinds, kind: &Kind, object: &mut Value, patch: &Patch) -> Result<(), Status> {
    let done = match patch {
        Patch::Json(operations) => patch::json(object, operations),
        Patch::Merge(patch) => {
            patch::merge(object, patch);
            Ok(())
        }
        Patch::Strategic(_) if matches!(kind.origin, Origin::Definition(_)) => {
            return Err(Status::new(
                Reason::UnsupportedMediaType,
                "the body of the request was in an unknown format - accepted media types include: \
             application/json-patch+json, application/merge-patch+json, application/apply-patch+yaml",
            ));
        }
        Patch::Strategic(patch) => patch::strategic(&Schema::of(kinds, kind), object, patch.clone()),
        Patch::Apply(_) => Err(patch::Error::Malformed("an applied configuration is not a patch".to_owned())),
    };
    done.map_err(|error| match error {
        patch::Error::Malformed(message) => Status::bad_request(message),
        patch::Error::Unfit(message) => Status::new(
            Reason::Invalid,
            format!("the server rejected our request due to an error in our request: {message}"),
        ),
    })?;
    match object.is_object() {
        true => Ok(()),
        false => Err(Status::bad_request("the patched object is not an object any more")),
    }
}

async fn apply(
    objects: &Objects,
    kind: &Kind,
    namespace: &str,
    name: &str,
    mut config: Value,
    options: &WriteOptions,
) -> Result<Written, Status> {
    let mut warnings = Vec::new();
    check_type(kind, &config)?;
    conform::prune(objects.kinds(), kind, &mut config, options.fields(), &mut warnings)?;
    // They are told of once.
    let options = &WriteOptions { duplicates: Vec::new(), ..options.clone() };
    address(kind, namespace, name, &mut config)?;
    restrict(kind, &mut config, options.subresource);
    let key = Key::new(kind.resource(), if kind.namespaced() { namespace } else { "" }, name);
    for _ in 0..ATTEMPTS {
        let outcome = match objects.store().get(&key) {
            Some(record) => apply_to(objects, kind, record, config.clone(), options).await,
            None if options.subresource == Subresource::Status => {
                return Err(Status::not_found(&kind.group, &kind.plural, name));
            }
            None => {
                let uid = metadata::text(&config, "uid");
                if !uid.is_empty() {
                    let detail = format!(
                        "uid mismatch: the provided object specified uid {uid}, and no existing object was found"
                    );
                    return Err(Status::conflict(&kind.group, &kind.plural, name, detail));
                }
                create::create(objects, kind, namespace, config.clone(), options, Some(Applied)).await.map_err(Lost::or)
            }
        };
        match outcome {
            Ok(mut written) => {
                warnings.append(&mut written.warnings);
                return Ok(Written { warnings, ..written });
            }
            Err(Lost::Race) => {}
            Err(Lost::For(status)) => return Err(status),
        }
    }
    Err(fault::modified(kind, name))
}

/// Why an apply did not work.
enum Lost {
    /// Somebody else was faster: try again.
    Race,
    /// For good.
    For(Status),
}

impl Lost {
    fn or(status: Status) -> Self {
        if status.reason == Reason::AlreadyExists { Lost::Race } else { Lost::For(status) }
    }
}

async fn apply_to(
    objects: &Objects,
    kind: &Kind,
    record: Arc<Record>,
    config: Value,
    options: &WriteOptions,
) -> Result<Written, Lost> {
    let schema = Schema::of(objects.kinds(), kind);
    let (api_version, now) = (kind.api_version(), metadata::time(jiff::Timestamp::now()));
    let writer = writer(options, &api_version, &now);
    let old = record.value();
    let mut live = old.clone();
    let managed = Managed::take(&mut live).unwrap_or_else(|| before_first_apply(&schema, &live, &writer));
    let again = config.clone();
    let applied = match managed::apply(&schema, &live, managed.clone(), config, &writer, options.force) {
        Err(conflicts) if last_applied::allows(&schema, &live, &writer, &conflicts) => {
            managed::apply(&schema, &live, managed, again.clone(), &writer, true)
        }
        other => other,
    };
    let (mut new, managed) = applied.map_err(|conflicts| Lost::For(refused(&conflicts)))?;
    last_applied::renew(&mut new, &live, &writer, again);
    let next = next::next(objects, kind, &record, old, new, options, By::Apply(managed)).await.map_err(Lost::For)?;
    next::put(objects, kind, record, next, options).await.map_err(|status| match status.reason {
        Reason::Conflict => Lost::Race,
        _ => Lost::For(status),
    })
}

/// What was there before anybody kept track belongs to a manager of this name.
fn before_first_apply(schema: &Schema, live: &Value, writer: &Writer<'_>) -> Managed {
    let mut managed = Managed::default();
    let unknown = Writer { manager: "before-first-apply", subresource: "", ..*writer };
    managed.update(&unknown, &managed::diff(schema, &json!({}), live));
    managed
}

fn refused(conflicts: &Conflicts) -> Status {
    let cause = |conflict: &managed::Conflict| Cause {
        reason: "FieldManagerConflict".to_owned(),
        message: format!("conflict with {}", conflict.manager),
        field: conflict.path.clone(),
    };
    let causes = conflicts.0.iter().map(cause).collect();
    Status { causes, ..Status::new(Reason::Conflict, conflicts.message()) }
}

fn check_type(kind: &Kind, config: &Value) -> Result<(), Status> {
    for (field, want) in [("apiVersion", kind.api_version()), ("kind", kind.kind.clone())] {
        let given = config.get(field).and_then(Value::as_str).unwrap_or_default();
        if given != want {
            let message = format!("an applied configuration must have {field} {want:?}, not {given:?}");
            return Err(Status::bad_request(message));
        }
    }
    let managed = config.pointer("/metadata/managedFields").and_then(Value::as_array);
    match managed.is_some_and(|list| !list.is_empty()) {
        true => Err(Status::bad_request("metadata.managedFields must be nil")),
        false => Ok(()),
    }
}

/// Fills in what the path says, and refuses what contradicts it.
fn address(kind: &Kind, namespace: &str, name: &str, config: &mut Value) -> Result<(), Status> {
    let metadata = metadata::of(config)?;
    let given = metadata.get("name").and_then(Value::as_str).unwrap_or_default();
    if !given.is_empty() && given != name {
        let message = format!("the name of the object ({given}) does not match the name on the URL ({name})");
        return Err(Status::bad_request(message));
    }
    metadata.insert("name".to_owned(), json!(name));
    metadata.remove("managedFields");
    metadata::place(kind, namespace, metadata)
}

/// Leaves what this endpoint writes.
fn restrict(kind: &Kind, config: &mut Value, subresource: Subresource) {
    let Some(map) = config.as_object_mut() else { return };
    if subresource == Subresource::Status {
        map.retain(|name, _| matches!(name.as_str(), "apiVersion" | "kind" | "metadata" | "status"));
        let keep = |name: &str| matches!(name, "name" | "namespace" | "uid" | "resourceVersion");
        if let Some(metadata) = map.get_mut("metadata").and_then(Value::as_object_mut) {
            let kept: Map<String, Value> = std::mem::take(metadata).into_iter().filter(|(n, _)| keep(n)).collect();
            *metadata = kept;
        }
    } else if kind.status {
        map.remove("status");
    }
}
