//! Kinds as manifests declare them.

use std::sync::Arc;

use gantry_model::Kind;
use gantry_model::kind::{Origin, PrinterColumn, ScalePaths, Scope};
use serde::Deserialize;
use serde_json::Value;

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct Declared {
    group: String,
    version: String,
    kind: String,
    plural: String,
    singular: Option<String>,
    #[serde(default)]
    short_names: Vec<String>,
    #[serde(default)]
    categories: Vec<String>,
    scope: Scope,
    definition: Option<String>,
    #[serde(default)]
    status: bool,
    scale: Option<Scale>,
    #[serde(default)]
    selectable_fields: Vec<String>,
    #[serde(default)]
    columns: Vec<Column>,
    #[serde(default)]
    schema: Value,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct Scale {
    spec_replicas: String,
    status_replicas: String,
    selector: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct Column {
    name: String,
    #[serde(rename = "type")]
    type_: String,
    #[serde(default)]
    format: String,
    #[serde(default)]
    description: String,
    #[serde(default)]
    priority: i32,
    json_path: String,
}

impl Declared {
    pub(super) fn build(self, plugin: &str) -> Result<Kind, String> {
        for (what, value) in [("version", &self.version), ("plural", &self.plural)] {
            if value.is_empty() {
                return Err(format!("kinds: {what} of {} is empty", self.kind));
            }
        }
        if self.kind.is_empty() {
            return Err("kinds: a kind without a name".to_owned());
        }
        let schema = match self.schema {
            Value::Null => return Err(format!("kinds: {} has no schema", self.kind)),
            Value::Object(map) => Value::Object(map),
            _ => return Err(format!("kinds: schema of {} is not a table", self.kind)),
        };
        let definition = match self.definition {
            Some(name) => name,
            None => default_definition(&self.group, &self.version, &self.kind),
        };
        Ok(Kind {
            singular: self.singular.unwrap_or_else(|| self.kind.to_lowercase()),
            scale: self.scale.map(Scale::build),
            columns: self.columns.into_iter().map(Column::build).collect(),
            group: self.group,
            version: self.version,
            kind: self.kind,
            plural: self.plural,
            short_names: self.short_names,
            categories: self.categories,
            scope: self.scope,
            schema: Arc::new(schema),
            definition,
            status: self.status,
            selectable_fields: self.selectable_fields,
            origin: Origin::Plugin(plugin.to_owned()),
        })
    }
}

impl Scale {
    fn build(self) -> ScalePaths {
        ScalePaths {
            spec_replicas_path: self.spec_replicas,
            status_replicas_path: self.status_replicas,
            label_selector_path: self.selector,
        }
    }
}

impl Column {
    fn build(self) -> PrinterColumn {
        PrinterColumn {
            name: self.name,
            type_: self.type_,
            format: self.format,
            description: self.description,
            priority: self.priority,
            json_path: self.json_path,
        }
    }
}

/// The group backwards, then version and kind: `example.com`, `v1`, `Widget` → `com.example.v1.Widget`.
fn default_definition(group: &str, version: &str, kind: &str) -> String {
    let mut parts: Vec<&str> = group.split('.').rev().filter(|part| !part.is_empty()).collect();
    parts.extend([version, kind]);
    parts.join(".")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_definitions_like_packages() {
        assert_eq!(default_definition("example.com", "v1", "Widget"), "com.example.v1.Widget");
        assert_eq!(default_definition("", "v1", "Widget"), "v1.Widget");
    }
}
