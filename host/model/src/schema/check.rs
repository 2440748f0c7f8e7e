//! Checking values against a schema, in the words that Kubernetes uses for custom resources.

use std::borrow::Cow;
use std::collections::HashSet;

use serde_json::{Map, Value, json};

use super::node::{Arena, Limits, Node};
use super::{ListType, Type};
use crate::path::Path;
use crate::quantity::Quantity;
use crate::status::Cause;

/// One check of one object.
pub(crate) struct Check<'a> {
    arena: &'a Arena,
    rules: bool,
    causes: Vec<Cause>,
}

impl<'a> Check<'a> {
    /// `rules`: whether definitions' own rules apply, too.
    pub(crate) fn new(arena: &'a Arena, rules: bool) -> Self {
        Self { arena, rules, causes: Vec::new() }
    }

    pub(crate) fn run(mut self, object: &Value) -> Vec<Cause> {
        self.walk(0, object, &Path::ROOT);
        self.causes
    }

    fn walk(&mut self, index: usize, value: &Value, path: &Path<'_>) {
        let Some(node) = self.arena.node(index) else { return };
        if value.is_null() && node.nullable {
            return;
        }
        if !self.type_fits(node, value, path) {
            return;
        }
        self.scalar(&node.limits, value, path);
        match value {
            Value::Object(map) => self.object(node, map, value, path),
            Value::Array(items) => self.array(node, items, value, path),
            _ => {}
        }
        self.combined(&node.limits, value, path);
        if let (true, Some(rule)) = (self.rules, node.rule) {
            rule(path, value, &mut self.causes);
        }
    }

    fn type_fits(&mut self, node: &Node, value: &Value, path: &Path<'_>) -> bool {
        if node.int_or_string {
            let fits = value.is_string() || value.is_number();
            if !fits {
                self.wrong_type(path, value, "integer,string");
            }
            return fits;
        }
        let Some(type_) = node.type_ else { return true };
        let fits = match type_ {
            Type::Object => value.is_object(),
            Type::Array => value.is_array(),
            Type::String => value.is_string(),
            Type::Boolean => value.is_boolean(),
            Type::Number => value.is_number(),
            Type::Integer => value.is_i64() || value.is_u64() || value.as_f64().is_some_and(|n| n.fract() == 0.0),
        };
        if !fits {
            self.wrong_type(path, value, &type_.to_string());
        }
        fits
    }

    fn wrong_type(&mut self, path: &Path<'_>, value: &Value, wanted: &str) {
        let have = json!(type_name(value));
        let detail = format!("{path} in body must be of type {wanted}: {have}");
        self.causes.push(Cause { reason: "FieldValueTypeInvalid".into(), ..Cause::invalid(path, &have, detail) });
    }

    fn wrong(&mut self, path: &Path<'_>, value: &Value, detail: &str) {
        self.causes.push(Cause::invalid(path, value, format!("{path} in body {detail}")));
    }

    fn scalar(&mut self, limits: &Limits, value: &Value, path: &Path<'_>) {
        if !limits.allowed.is_empty() && !limits.allowed.contains(value) {
            let allowed: Vec<Cow<'_, str>> =
                limits.allowed.iter().map(|v| v.as_str().map_or_else(|| v.to_string().into(), Into::into)).collect();
            let allowed: Vec<&str> = allowed.iter().map(|a| &**a).collect();
            self.causes.push(Cause::not_supported(path, value, &allowed));
        }
        match value {
            Value::String(text) => self.string(limits, text, value, path),
            Value::Number(_) => self.number(limits, value, path),
            _ => {}
        }
    }

    fn string(&mut self, limits: &Limits, text: &str, value: &Value, path: &Path<'_>) {
        let length = text.chars().count() as u64;
        if let Some(max) = limits.length.1.filter(|max| length > *max) {
            let message = format!("Too long: may not be more than {max} bytes");
            self.causes.push(Cause { reason: "FieldValueTooLong".into(), message, field: path.into() });
        }
        if let Some(min) = limits.length.0.filter(|min| length < *min) {
            self.wrong(path, value, &format!("should be at least {min} chars long"));
        }
        if let Some(pattern) = limits.pattern.as_ref().filter(|p| !p.is_match(text)) {
            self.wrong(path, value, &format!("should match '{pattern}'"));
        }
        if let Some(format) = limits.format.as_deref().filter(|f| !format_fits(f, text)) {
            self.wrong(path, value, &format!("must be of type {format}: {value}"));
        }
    }

    fn number(&mut self, limits: &Limits, value: &Value, path: &Path<'_>) {
        let Some(number) = value.as_f64() else { return };
        if let Some(min) = limits.minimum.filter(|min| number < *min || (limits.above_minimum && number == *min)) {
            let or = if limits.above_minimum { "" } else { " or equal to" };
            self.wrong(path, value, &format!("should be greater than{or} {min}"));
        }
        if let Some(max) = limits.maximum.filter(|max| number > *max || (limits.below_maximum && number == *max)) {
            let or = if limits.below_maximum { "" } else { " or equal to" };
            self.wrong(path, value, &format!("should be less than{or} {max}"));
        }
        if let Some(of) = limits.multiple_of.filter(|of| (number / of).fract() != 0.0) {
            self.wrong(path, value, &format!("should be a multiple of {of}"));
        }
        let fits = match limits.format.as_deref() {
            Some("int32") => number.abs() <= 2_147_483_648.0 && number != 2_147_483_648.0,
            Some("int64") => number.abs() <= i64::MAX as f64,
            _ => true,
        };
        if !fits {
            let format = limits.format.as_deref().unwrap_or_default();
            self.wrong(path, value, &format!("must be of type {format}: {value}"));
        }
    }

    fn object(&mut self, node: &Node, map: &Map<String, Value>, value: &Value, path: &Path<'_>) {
        for name in node.limits.required.iter().filter(|name| map.get(&***name).is_none_or(Value::is_null)) {
            let nullable = node.properties.get(name).and_then(|c| self.arena.node(*c)).is_some_and(|n| n.nullable);
            if !(nullable && map.contains_key(&**name)) {
                self.causes.push(Cause::required(path.field(name), ""));
            }
        }
        let size = map.len() as u64;
        if let Some(min) = node.limits.size.0.filter(|min| size < *min) {
            self.wrong(path, value, &format!("should have at least {min} properties"));
        }
        if let Some(max) = node.limits.size.1.filter(|max| size > *max) {
            let message = format!("Too many: {size}: must have at most {max} items");
            self.causes.push(Cause { reason: "FieldValueTooMany".into(), message, field: path.into() });
        }
        for (name, value) in map {
            let property = node.properties.get(name.as_str()).copied();
            // `null` in place of a property is nothing.
            if value.is_null() && property.is_some() {
                continue;
            }
            if let Some(child) = property.or(node.additional) {
                self.walk(child, value, &path.field(name));
            }
        }
    }

    fn array(&mut self, node: &Node, items: &[Value], value: &Value, path: &Path<'_>) {
        let count = items.len() as u64;
        if let Some(min) = node.limits.count.0.filter(|min| count < *min) {
            self.wrong(path, value, &format!("should have at least {min} items"));
        }
        if let Some(max) = node.limits.count.1.filter(|max| count > *max) {
            let message = format!("Too many: {count}: must have at most {max} items");
            self.causes.push(Cause { reason: "FieldValueTooMany".into(), message, field: path.into() });
        }
        if let Some(child) = node.items {
            for (n, item) in items.iter().enumerate() {
                self.walk(child, item, &path.index(n));
            }
        }
        let unique = node.limits.unique || (node.list == ListType::Set && !node.native);
        match &node.list {
            ListType::Map(keys) if !node.native => self.duplicates(items, path, |item| keys_of(item, keys)),
            _ if unique => self.duplicates(items, path, |item| Some(item.clone())),
            _ => {}
        }
    }

    fn duplicates(&mut self, items: &[Value], path: &Path<'_>, key: impl Fn(&Value) -> Option<Value>) {
        let mut seen = HashSet::new();
        for (n, item) in items.iter().enumerate() {
            let Some(key) = key(item) else { continue };
            if !seen.insert(key.to_string()) {
                self.causes.push(Cause::duplicate(path.index(n), &key));
            }
        }
    }

    fn combined(&mut self, limits: &Limits, value: &Value, path: &Path<'_>) {
        for index in &limits.all_of {
            self.walk(*index, value, path);
        }
        let fits = |index: &usize| {
            let mut check = Check::new(self.arena, false);
            check.walk(*index, value, path);
            check.causes.is_empty()
        };
        let mut problems = Vec::new();
        if !limits.any_of.is_empty() && !limits.any_of.iter().any(fits) {
            problems.push("must validate at least one schema (anyOf)");
        }
        if !limits.one_of.is_empty() && limits.one_of.iter().filter(|i| fits(i)).count() != 1 {
            problems.push("must validate one and only one schema (oneOf)");
        }
        if limits.not.as_ref().is_some_and(fits) {
            problems.push("must not validate the schema (not)");
        }
        for problem in problems {
            self.wrong(path, value, problem);
        }
    }
}

fn keys_of(item: &Value, keys: &[String]) -> Option<Value> {
    let map = item.as_object()?;
    let key = |name: &String| Some((name.clone(), map.get(name)?.clone()));
    Some(Value::Object(keys.iter().filter_map(key).collect()))
}

fn type_name(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(n) if n.is_f64() => "number",
        Value::Number(_) => "integer",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    }
}

/// Formats that nobody knows fit everything.
fn format_fits(format: &str, text: &str) -> bool {
    match format {
        "date-time" => text.parse::<jiff::Timestamp>().is_ok(),
        "date" => text.parse::<jiff::civil::Date>().is_ok(),
        "byte" => {
            use base64::Engine;
            base64::engine::general_purpose::STANDARD.decode(text.as_bytes()).is_ok()
        }
        "ipv4" => text.parse::<std::net::Ipv4Addr>().is_ok(),
        "ipv6" => text.parse::<std::net::Ipv6Addr>().is_ok(),
        "uuid" => uuid::Uuid::parse_str(text).is_ok(),
        "quantity" => text.parse::<Quantity>().is_ok(),
        _ => true,
    }
}
