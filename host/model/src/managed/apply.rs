//! Server-side apply.

use serde_json::Value;

use super::diff::{self, Diff};
use super::entry::{Entry, Managed, Operation, Writer};
use super::merge;
use super::prune::prune;
use super::set::FieldSet;
use super::shape;
use crate::schema::Schema;

/// A field that someone else owns and wants otherwise.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Conflict {
    /// The other manager as messages name it: `"kubectl-edit" using apps/v1`.
    pub manager: String,
    /// `.spec.replicas`
    pub path: String,
}

/// Why an apply was refused: at least one conflict.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Conflicts(pub Vec<Conflict>);

impl Conflicts {
    /// The message that Kubernetes gives.
    pub fn message(&self) -> String {
        if let [only] = self.0.as_slice() {
            return format!("Apply failed with 1 conflict: conflict with {}: {}", only.manager, only.path);
        }
        let mut managers: Vec<&str> = self.0.iter().map(|c| c.manager.as_str()).collect();
        managers.sort_unstable();
        managers.dedup();
        let parts: Vec<String> = managers
            .into_iter()
            .map(|manager| {
                let paths = self.0.iter().filter(|c| c.manager == manager).map(|c| format!("\n- {}", c.path));
                format!("conflicts with {manager}:{}", paths.collect::<String>())
            })
            .collect();
        format!("Apply failed with {} conflicts: {}", self.0.len(), parts.join("\n"))
    }
}

/// Applies a configuration to a live object (an empty one if there is none). `managed` is what was taken out of the
/// live object. The answer is the object without `managedFields`, and who owns what now.
pub fn apply(
    schema: &Schema,
    live: &Value,
    mut managed: Managed,
    config: Value,
    writer: &Writer<'_>,
    force: bool,
) -> Result<(Value, Managed), Conflicts> {
    let config = merge::without_nulls(config);
    let wanted = owned(schema, &config);
    let last = managed.entries.iter().position(|entry| writer.owns_any_version(entry));
    let last = last.map(|at| managed.entries.remove(at));

    let mut object = merge::merge(Some(schema), live.clone(), config);
    if let Some(last) = &last {
        let mut keep = wanted.clone();
        managed.entries.iter().for_each(|entry| keep.add(&entry.fields));
        prune(&mut object, &last.fields.0, &keep.0);
    }
    let diff = diff::diff(schema, live, &object);
    if !force {
        refuse_conflicts(&managed, &diff)?;
    }
    for entry in &mut managed.entries {
        entry.fields.subtract(&diff.changed);
        entry.fields.subtract(&diff.removed);
    }
    let mut entry = writer.entry(Operation::Apply, wanted);
    if let Some(last) = last.filter(|last| diff.is_empty() && unchanged(last, &entry)) {
        entry.time = last.time;
    }
    managed.entries.push(entry);
    managed.settle();
    Ok((object, managed))
}

/// The fields that a configuration names.
pub fn owned(schema: &Schema, config: &Value) -> FieldSet {
    let mut ownable = config.clone();
    if let Some(map) = ownable.as_object_mut() {
        map.remove("apiVersion");
        map.remove("kind");
        if let Some(metadata) = map.remove("metadata") {
            let metadata = shape::ownable_metadata(&metadata);
            if !metadata.is_empty() {
                map.insert("metadata".to_owned(), Value::Object(metadata));
            }
        }
    }
    FieldSet(diff::all(Some(schema), &ownable, false))
}

fn unchanged(last: &Entry, now: &Entry) -> bool {
    last.fields == now.fields && last.api_version == now.api_version
}

fn refuse_conflicts(managed: &Managed, diff: &Diff) -> Result<(), Conflicts> {
    let mut conflicts = Vec::new();
    for entry in &managed.entries {
        let manager = printed(entry);
        let paths = entry.fields.intersection(&diff.changed).paths();
        conflicts.extend(paths.into_iter().map(|path| Conflict { manager: manager.clone(), path }));
    }
    if conflicts.is_empty() { Ok(()) } else { Err(Conflicts(conflicts)) }
}

fn printed(entry: &Entry) -> String {
    let mut out = format!("{:?}", entry.manager);
    if !entry.subresource.is_empty() {
        out.push_str(&format!(" with subresource {:?}", entry.subresource));
    }
    if entry.operation == Operation::Update {
        out.push_str(&format!(" using {}", entry.api_version));
    }
    out
}

impl Writer<'_> {
    fn owns_any_version(&self, entry: &Entry) -> bool {
        entry.operation == Operation::Apply && entry.manager == self.manager && entry.subresource == self.subresource
    }
}
