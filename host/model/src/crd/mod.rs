//! CustomResourceDefinitions: objects that declare kinds.

mod check;

use std::sync::Arc;

use jiff::Timestamp;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::kind::{Kind, Origin, PrinterColumn, ScalePaths, Scope};
use crate::status::Cause;
pub(crate) use check::rule;
pub use check::schema_problems;

/// The kinds that a CustomResourceDefinition declares: one for each version that is served. It must be valid; what is
/// wrong with it otherwise comes back.
pub fn kinds(object: &Value) -> Result<Vec<Kind>, Vec<Cause>> {
    let causes = validate(object);
    if !causes.is_empty() {
        return Err(causes);
    }
    let definition = Definition::deserialize(object)
        .map_err(|e| vec![Cause::invalid("spec", object.get("spec").unwrap_or(&Value::Null), e)])?;
    let served = definition.spec.versions.iter().filter(|v| v.served);
    Ok(served.map(|version| definition.kind(version)).collect())
}

/// What is wrong with a CustomResourceDefinition beyond its schema.
pub fn validate(object: &Value) -> Vec<Cause> {
    let mut causes = Vec::new();
    rule(&crate::path::Path::ROOT, object, &mut causes);
    causes
}

/// The status of a definition whose kinds are served.
pub fn established(object: &Value, now: Timestamp) -> Value {
    let at = |pointer: &str| object.pointer(pointer).cloned().unwrap_or_default();
    // A condition that holds already keeps the time when it began to.
    let since = |type_: &str| {
        let conditions = object.pointer("/status/conditions").and_then(Value::as_array);
        let held = conditions.into_iter().flatten().find(|c| c["type"] == type_ && c["status"] == "True");
        held.map_or_else(|| json!(seconds(now)), |c| c["lastTransitionTime"].clone())
    };
    let condition = |type_: &str, reason: &str, message: &str| {
        json!({
            "type": type_, "status": "True", "reason": reason, "message": message, "lastTransitionTime": since(type_),
        })
    };
    let stored = at("/spec/versions");
    let stored = stored.as_array().into_iter().flatten().filter(|v| v["storage"] == true);
    let stored: Vec<Value> = stored.map(|v| v["name"].clone()).collect();
    json!({
        "acceptedNames": at("/spec/names"),
        "storedVersions": stored,
        "conditions": [
            condition("NamesAccepted", "NoConflicts", "no conflicts found"),
            condition("Established", "InitialNamesAccepted", "the initial names have been accepted"),
        ],
    })
}

fn seconds(now: Timestamp) -> String {
    Timestamp::from_second(now.as_second()).unwrap_or(now).to_string()
}

#[derive(Deserialize)]
struct Definition {
    metadata: Named,
    spec: Spec,
}

#[derive(Deserialize)]
struct Named {
    name: String,
}

#[derive(Deserialize)]
struct Spec {
    group: String,
    names: Names,
    scope: Scope,
    versions: Vec<Version>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Names {
    kind: String,
    plural: String,
    #[serde(default)]
    singular: String,
    #[serde(default)]
    short_names: Vec<String>,
    #[serde(default)]
    categories: Vec<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Version {
    name: String,
    served: bool,
    schema: Schema,
    #[serde(default)]
    subresources: Subresources,
    #[serde(default)]
    additional_printer_columns: Vec<PrinterColumn>,
    #[serde(default)]
    selectable_fields: Vec<Field>,
}

#[derive(Deserialize)]
struct Schema {
    #[serde(rename = "openAPIV3Schema")]
    schema: Value,
}

#[derive(Default, Deserialize)]
struct Subresources {
    status: Option<Value>,
    scale: Option<ScalePaths>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Field {
    json_path: String,
}

impl Definition {
    fn kind(&self, version: &Version) -> Kind {
        let names = &self.spec.names;
        let group = self.spec.group.split('.').rev().collect::<Vec<_>>().join(".");
        let singular = if names.singular.is_empty() { names.kind.to_lowercase() } else { names.singular.clone() };
        let field = |f: &Field| f.json_path.trim_start_matches('.').to_owned();
        Kind {
            group: self.spec.group.clone(),
            version: version.name.clone(),
            kind: names.kind.clone(),
            plural: names.plural.clone(),
            singular,
            short_names: names.short_names.clone(),
            categories: names.categories.clone(),
            scope: self.spec.scope,
            schema: Arc::new(version.schema.schema.clone()),
            definition: format!("{group}.{}.{}", version.name, names.kind),
            status: version.subresources.status.is_some(),
            scale: version.subresources.scale.clone(),
            columns: version.additional_printer_columns.clone(),
            selectable_fields: version.selectable_fields.iter().map(field).collect(),
            origin: Origin::Definition(self.metadata.name.clone()),
        }
    }
}

#[cfg(test)]
mod tests;
