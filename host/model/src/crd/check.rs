//! What is wrong with a CustomResourceDefinition.

use std::collections::HashSet;

use serde_json::Value;

use crate::path::Path;
use crate::status::Cause;
use crate::table::template;
use crate::validate::names;

const NULL: &Value = &Value::Null;

/// The rule of the definition's own definition.
pub(crate) fn rule(path: &Path<'_>, object: &Value, causes: &mut Vec<Cause>) {
    let Some(spec) = object.get("spec") else { return };
    let text = |pointer: &str| spec.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
    let (group, plural) = (text("/group"), text("/names/plural"));
    let name = object.pointer("/metadata/name").and_then(Value::as_str).unwrap_or_default();
    if !plural.is_empty() && name != format!("{plural}.{group}") {
        let problem = "must be spec.names.plural+\".\"+spec.group";
        causes.push(Cause::invalid(path.field("metadata").field("name"), &name.into(), problem));
    }
    let spec_path = path.field("spec");
    let mut check = |pointer: &str, rule: fn(&str) -> Vec<String>| {
        let value = text(pointer);
        let field = format!("{spec_path}{}", pointer.replace('/', "."));
        if value.is_empty() {
            causes.push(Cause::required(field, ""));
        } else {
            let problems = rule(value).into_iter();
            causes.extend(problems.map(|problem| Cause::invalid(field.clone(), &value.into(), problem)));
        }
    };
    check("/group", names::dns_subdomain);
    check("/names/plural", names::dns_1035_label);
    check("/names/kind", |kind| names::dns_1035_label(&kind.to_lowercase()));
    if !text("/names/singular").is_empty() {
        check("/names/singular", names::dns_1035_label);
    }
    if !group.is_empty() && !group.contains('.') {
        let problem = "should be a domain with at least one dot";
        causes.push(Cause::invalid(spec_path.field("group"), &group.into(), problem));
    }
    if spec.get("preserveUnknownFields") == Some(&Value::Bool(true)) {
        let problem = "must be false in order to use defaults in the schema";
        causes.push(Cause::invalid(spec_path.field("preserveUnknownFields"), &true.into(), problem));
    }
    if text("/conversion/strategy") == "Webhook" {
        let field = spec_path.field("conversion");
        causes.push(Cause::not_supported(field.field("strategy"), &"Webhook".into(), &["None"]));
    }
    versions(&spec_path, spec, causes);
}

fn versions(path: &Path<'_>, spec: &Value, causes: &mut Vec<Cause>) {
    let at = path.field("versions");
    let versions = spec.get("versions").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    let mut seen = HashSet::new();
    for (n, version) in versions.iter().enumerate() {
        let at = at.index(n);
        let name = version.get("name").and_then(Value::as_str).unwrap_or_default();
        let problems = names::dns_1035_label(name).into_iter();
        causes.extend(problems.map(|problem| Cause::invalid(at.field("name"), &name.into(), problem)));
        if !seen.insert(name) {
            causes.push(Cause::duplicate(at.field("name"), &name.into()));
        }
        self::version(&at, version, causes);
    }
    if versions.iter().filter(|v| v.get("storage") == Some(&Value::Bool(true))).count() != 1 {
        let shown = spec.get("versions").map_or(0, |v| v.as_array().map_or(0, Vec::len));
        let problem = "must have exactly one version marked as storage version";
        causes.push(Cause::invalid(at, &format!("{shown} versions").into(), problem));
    }
}

fn version(path: &Path<'_>, version: &Value, causes: &mut Vec<Cause>) {
    let at = path.field("schema");
    let at = at.field("openAPIV3Schema");
    match version.pointer("/schema/openAPIV3Schema").filter(|s| s.is_object()) {
        None => causes.push(Cause::required(at, "schemas are required")),
        Some(schema) => {
            if schema.get("type").and_then(Value::as_str) != Some("object") {
                let problem = "must be object at the root";
                causes.push(Cause::invalid(at.field("type"), schema.get("type").unwrap_or(NULL), problem));
            }
            walk(&at, schema, false, causes);
        }
    }
    let list = |name: &str| version.get(name).and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    let at = path.field("additionalPrinterColumns");
    for (n, column) in list("additionalPrinterColumns").iter().enumerate() {
        let at = at.index(n);
        let json_path = column.get("jsonPath").and_then(Value::as_str).unwrap_or_default();
        if let Err(problem) = template::check(json_path) {
            causes.push(Cause::invalid(at.field("jsonPath"), &json_path.into(), problem));
        }
        const TYPES: [&str; 5] = ["boolean", "date", "integer", "number", "string"];
        let type_ = column.get("type").and_then(Value::as_str).unwrap_or_default();
        if !TYPES.contains(&type_) {
            causes.push(Cause::not_supported(at.field("type"), &type_.into(), &TYPES));
        }
    }
    scale(path, version, causes);
}

fn scale(path: &Path<'_>, version: &Value, causes: &mut Vec<Cause>) {
    let Some(scale) = version.pointer("/subresources/scale") else { return };
    let at = path.field("subresources");
    let at = at.field("scale");
    for (field, roots, optional) in [
        ("specReplicasPath", &[".spec."][..], false),
        ("statusReplicasPath", &[".status."], false),
        ("labelSelectorPath", &[".spec.", ".status."], true),
    ] {
        let given = scale.get(field).and_then(Value::as_str).unwrap_or_default();
        if given.is_empty() && !optional {
            causes.push(Cause::required(at.field(field), ""));
        } else if !given.is_empty() && !roots.iter().any(|root| given.starts_with(root)) {
            let roots = roots.iter().map(|r| r.trim_end_matches('.')).collect::<Vec<_>>().join(" or ");
            let problem = format!("should be a json path under {roots}");
            causes.push(Cause::invalid(at.field(field), &given.into(), problem));
        }
    }
}

/// What is wrong with a schema that somebody else wrote, e.g. a pattern that is none. `$ref` may name definitions.
pub fn schema_problems(schema: &Value) -> Vec<Cause> {
    let mut causes = Vec::new();
    walk(&Path::ROOT, schema, true, &mut causes);
    causes
}

fn walk(path: &Path<'_>, schema: &Value, references: bool, causes: &mut Vec<Cause>) {
    let Some(map) = schema.as_object() else { return };
    if map.contains_key("$ref") && !references {
        causes.push(Cause::forbidden(path.field("$ref"), "$ref is not supported"));
    }
    const TYPES: [&str; 6] = ["array", "boolean", "integer", "number", "object", "string"];
    if let Some(type_) = map.get("type").and_then(Value::as_str).filter(|t| !TYPES.contains(t)) {
        causes.push(Cause::not_supported(path.field("type"), &type_.into(), &TYPES));
    }
    if let Some(pattern) = map.get("pattern").and_then(Value::as_str)
        && let Err(problem) = regex::Regex::new(pattern)
    {
        let problem = format!("must be a valid regular expression, but isn't: {problem}");
        causes.push(Cause::invalid(path.field("pattern"), &pattern.into(), problem));
    }
    if map.get("type").and_then(Value::as_str) == Some("array") && !map.contains_key("items") {
        causes.push(Cause::required(path.field("items"), "must be specified"));
    }
    list_type(path, map, causes);
    for group in ["properties", "definitions"] {
        let at = path.field(group);
        for (name, child) in map.get(group).and_then(Value::as_object).into_iter().flatten() {
            walk(&at.key(name), child, references, causes);
        }
    }
    for name in ["items", "additionalProperties", "not"] {
        if let Some(child) = map.get(name) {
            walk(&path.field(name), child, references, causes);
        }
    }
    for name in ["allOf", "anyOf", "oneOf"] {
        let at = path.field(name);
        for (n, child) in map.get(name).and_then(Value::as_array).into_iter().flatten().enumerate() {
            walk(&at.index(n), child, references, causes);
        }
    }
}

fn list_type(path: &Path<'_>, map: &serde_json::Map<String, Value>, causes: &mut Vec<Cause>) {
    let Some(type_) = map.get("x-kubernetes-list-type").and_then(Value::as_str) else { return };
    let keys = map.get("x-kubernetes-list-map-keys").and_then(Value::as_array).is_some_and(|k| !k.is_empty());
    match type_ {
        "map" if !keys => {
            let why = "must not be empty if x-kubernetes-list-type is map";
            causes.push(Cause::required(path.field("x-kubernetes-list-map-keys"), why));
        }
        "atomic" | "set" | "map" => {}
        other => {
            let field = path.field("x-kubernetes-list-type");
            causes.push(Cause::not_supported(field, &other.into(), &["atomic", "map", "set"]));
        }
    }
}
