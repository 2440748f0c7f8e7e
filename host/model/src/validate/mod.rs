//! What is wrong with an object: by its schema, by the rules of the definitions that it refers to, by its kind, and
//! by what it was before.

mod config;
mod container;
mod meta;
pub mod names;
mod node;
mod pod;
mod probe;
mod reference;
mod resources;
pub(crate) mod rules;
mod scheduling;
mod selector;
mod update;
mod volume;

use std::collections::HashSet;

use serde_json::Value;

use crate::kind::{Kind, Kinds};
use crate::path::Path;
use crate::schema;
use crate::status::Cause;

/// Everything that is wrong with an object that is complete (defaults are filled in, the name is made). With `old`
/// this is an update, which may not change everything.
pub fn object(kinds: &Kinds, kind: &Kind, new: &Value, old: Option<&Value>) -> Vec<Cause> {
    let mut causes = Vec::new();
    meta::named(kind, new, &mut causes);
    meta::finalizers(kind, new, &mut causes);
    causes.extend(schema::check_with_rules(kinds, kind, new));
    if let Some(old) = old {
        update::object(kind, new, old, &mut causes);
        causes.extend(schema::immutable(kinds, kind, new, old));
    }
    without_echoes(causes)
}

/// Schema and rules may say the same of one fault: that an entry is there twice and that its name is, that a value has the
/// wrong type and that it is missing. The more exact of the two stays.
fn without_echoes(mut causes: Vec<Cause>) -> Vec<Cause> {
    let of = |reason: &'static str| causes.iter().filter(move |cause| cause.reason == reason);
    let parent = |cause: &Cause| cause.field.rsplit_once('.').map(|(parent, _)| parent.to_owned());
    let twice: HashSet<String> = of("FieldValueDuplicate").filter_map(parent).collect();
    let mistyped: HashSet<String> = of("FieldValueTypeInvalid").map(|cause| cause.field.clone()).collect();
    causes.retain(|cause| match cause.reason.as_str() {
        "FieldValueDuplicate" => !twice.contains(&cause.field),
        "FieldValueRequired" => !mistyped.contains(&cause.field),
        _ => true,
    });
    causes
}

/// What an object asks for and does not get, for whoever writes it.
pub fn warnings(object: &Value) -> Vec<String> {
    let template = object.pointer("/spec/template/spec").map(|spec| ("spec.template.spec", spec));
    let own = object.get("spec").filter(|spec| spec.get("containers").is_some()).map(|spec| ("spec", spec));
    template.or(own).map_or(Vec::new(), |(path, spec)| pod::without_effect(path, spec))
}

/// What is wrong with the name of an object of this kind, in Kubernetes' words.
pub fn name(kind: &Kind, name: &str) -> Vec<String> {
    meta::name_rule(kind)(name)
}

fn text<'a>(value: &'a Value, name: &str) -> &'a str {
    value.get(name).and_then(Value::as_str).unwrap_or_default()
}

fn list<'a>(value: &'a Value, name: &str) -> &'a [Value] {
    value.get(name).and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default()
}

fn number(value: &Value, name: &str) -> Option<i64> {
    value.get(name).and_then(Value::as_i64)
}

/// A field of text that must not be empty and follows a rule. That it is not there at all is the schema's to say.
fn named(path: &Path<'_>, value: &Value, field: &str, rule: fn(&str) -> Vec<String>, causes: &mut Vec<Cause>) {
    let Some(text) = value.get(field).and_then(Value::as_str) else { return };
    if text.is_empty() {
        causes.push(Cause::required(path.field(field), ""));
        return;
    }
    causes.extend(rule(text).into_iter().map(|problem| Cause::invalid(path.field(field), &Value::from(text), problem)));
}

/// A field of text that follows a rule if it is there.
fn optional(path: &Path<'_>, value: &Value, field: &str, rule: fn(&str) -> Vec<String>, causes: &mut Vec<Cause>) {
    if !text(value, field).is_empty() {
        named(path, value, field, rule, causes);
    }
}

/// A number that may not be negative.
fn not_negative(path: &Path<'_>, value: &Value, field: &str, causes: &mut Vec<Cause>) {
    if let Some(number) = number(value, field).filter(|n| *n < 0) {
        causes.push(Cause::invalid(path.field(field), &number.into(), "must be greater than or equal to 0"));
    }
}

fn not_found(path: Path<'_>, value: &str) -> Cause {
    Cause {
        reason: "FieldValueNotFound".into(),
        message: format!("Not found: {}", Value::from(value)),
        field: path.into(),
    }
}

#[cfg(test)]
mod tests;
