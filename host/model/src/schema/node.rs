//! A schema made ready for use: references followed once, keywords read once, everything in one table of nodes.

use std::collections::HashMap;
use std::sync::Arc;

use regex::Regex;
use serde_json::Value;

use super::{ListType, Type};
use crate::defaults::{self, Hook};
use crate::kind::Kinds;
use crate::validate::rules::{self, Rule};

pub(crate) const OWN: &str = "#/definitions/";
pub(crate) const OBJECT_META: &str = "io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta";

/// The nodes of one kind's schema. The first is the object itself.
#[derive(Debug, Default)]
pub(crate) struct Arena {
    pub(crate) nodes: Vec<Node>,
    /// Whether any property may not change.
    pub(crate) immutable: bool,
}

impl Arena {
    pub(crate) fn node(&self, index: usize) -> Option<&Node> {
        self.nodes.get(index)
    }
}

/// One place of a schema.
#[derive(Clone, Debug, Default)]
pub(crate) struct Node {
    pub(crate) definition: Option<Arc<str>>,
    pub(crate) type_: Option<Type>,
    pub(crate) properties: HashMap<Box<str>, usize>,
    /// Properties with a default, in order of name.
    pub(crate) defaulted: Vec<(Box<str>, Value)>,
    pub(crate) items: Option<usize>,
    pub(crate) additional: Option<usize>,
    /// Unknown fields stay: `additionalProperties: true`, `x-kubernetes-preserve-unknown-fields`, or no type at all.
    pub(crate) preserves: bool,
    pub(crate) nullable: bool,
    pub(crate) int_or_string: bool,
    pub(crate) default: Option<Value>,
    pub(crate) list: ListType,
    pub(crate) map_atomic: bool,
    pub(crate) merge_key: Option<Box<str>>,
    pub(crate) strategies: Vec<Box<str>>,
    pub(crate) immutable: bool,
    /// From Kubernetes' own definitions, whose lists may have entries twice unless a rule says otherwise.
    pub(crate) native: bool,
    pub(crate) limits: Limits,
    pub(crate) rule: Option<Rule>,
    pub(crate) hook: Option<Hook>,
    /// Whether something at or below this place has a default or a hook.
    pub(crate) fills: bool,
}

/// What values must look like besides their type.
#[derive(Clone, Debug, Default)]
pub(crate) struct Limits {
    pub(crate) required: Vec<Box<str>>,
    pub(crate) allowed: Vec<Value>,
    pub(crate) pattern: Option<Regex>,
    pub(crate) format: Option<Box<str>>,
    pub(crate) minimum: Option<f64>,
    pub(crate) maximum: Option<f64>,
    pub(crate) above_minimum: bool,
    pub(crate) below_maximum: bool,
    pub(crate) multiple_of: Option<f64>,
    pub(crate) length: (Option<u64>, Option<u64>),
    pub(crate) count: (Option<u64>, Option<u64>),
    pub(crate) size: (Option<u64>, Option<u64>),
    pub(crate) unique: bool,
    pub(crate) all_of: Vec<usize>,
    pub(crate) any_of: Vec<usize>,
    pub(crate) one_of: Vec<usize>,
    pub(crate) not: Option<usize>,
}

/// Makes the nodes of a schema.
pub(crate) fn compile(kinds: &Kinds, schema: &Value, definition: &str) -> Arena {
    let mut builder = Builder { kinds, nodes: vec![Node::default()], names: HashMap::new(), overlays: Vec::new() };
    // A schema that only names a definition is that definition.
    let named = reference(schema).and_then(|name| Some((name.to_owned(), kinds.definition(name)?)));
    match named {
        Some((name, schema)) => builder.fill(0, &schema, Some(&name)),
        None => builder.fill(0, schema, Some(definition)),
    }
    builder.complete(0);
    builder.finish()
}

/// The definition that a schema refers to, directly or as the only part of an `allOf`.
pub(crate) fn reference(schema: &Value) -> Option<&str> {
    let direct = schema.get("$ref").and_then(Value::as_str);
    let only = || match schema.get("allOf").and_then(Value::as_array).map(Vec::as_slice) {
        Some([one]) => one.get("$ref").and_then(Value::as_str),
        _ => None,
    };
    direct.or_else(only).and_then(|name| name.strip_prefix(OWN))
}

struct Builder<'a> {
    kinds: &'a Kinds,
    nodes: Vec<Node>,
    names: HashMap<String, usize>,
    /// (place, definition, what stands beside the reference), applied when every definition is complete.
    overlays: Vec<(usize, usize, Value)>,
}

const SILENT: [&str; 5] = ["$ref", "allOf", "description", "title", "example"];

impl Builder<'_> {
    fn add(&mut self, schema: &Value) -> usize {
        if let Some(name) = reference(schema) {
            let base = self.named(name);
            let silent = schema.as_object().is_none_or(|m| m.keys().all(|k| SILENT.contains(&k.as_str())));
            if silent {
                return base;
            }
            let index = self.place();
            self.overlays.push((index, base, schema.clone()));
            return index;
        }
        let index = self.place();
        self.fill(index, schema, None);
        index
    }

    fn place(&mut self) -> usize {
        self.nodes.push(Node::default());
        self.nodes.len() - 1
    }

    fn named(&mut self, name: &str) -> usize {
        if let Some(index) = self.names.get(name) {
            return *index;
        }
        let index = self.place();
        self.names.insert(name.to_owned(), index);
        match self.kinds.definition(name) {
            Some(schema) if reference(&schema).is_some() => {
                let base = self.add(&schema);
                self.overlays.push((index, base, Value::Null));
            }
            Some(schema) => self.fill(index, &schema, Some(name)),
            // A reference to nothing lets everything pass, as OpenAPI documents show it.
            None => self.set(index, Node { preserves: true, ..Node::default() }),
        }
        index
    }

    fn set(&mut self, index: usize, node: Node) {
        if let Some(place) = self.nodes.get_mut(index) {
            *place = node;
        }
    }

    fn fill(&mut self, index: usize, schema: &Value, definition: Option<&str>) {
        let mut node = Node::default();
        read_keywords(&mut node, schema);
        if let Some(name) = definition {
            node.definition = Some(name.into());
            node.native = name.starts_with("io.k8s.");
            node.rule = rules::of(name);
            node.hook = defaults::of(name);
        }
        for (name, property) in schema.get("properties").and_then(Value::as_object).into_iter().flatten() {
            let child = self.add(property);
            node.properties.insert(name.as_str().into(), child);
        }
        node.items = schema.get("items").map(|items| self.add(items));
        match schema.get("additionalProperties") {
            Some(Value::Bool(free)) => node.preserves |= *free,
            Some(schema) => node.additional = Some(self.add(schema)),
            None => {}
        }
        self.combine(&mut node, schema);
        // Nothing said about the value: anything goes.
        node.preserves |= node.type_.is_none() && node.properties.is_empty() && !node.int_or_string;
        let embedded = flag(schema, "x-kubernetes-embedded-resource");
        self.set(index, node);
        if embedded {
            self.complete(index);
        }
    }

    fn combine(&mut self, node: &mut Node, schema: &Value) {
        let list = |name: &str| schema.get(name).and_then(Value::as_array).cloned().unwrap_or_default();
        node.limits.all_of = list("allOf").iter().map(|s| self.add(s)).collect();
        node.limits.any_of = list("anyOf").iter().map(|s| self.add(s)).collect();
        node.limits.one_of = list("oneOf").iter().map(|s| self.add(s)).collect();
        node.limits.not = schema.get("not").map(|s| self.add(s));
    }

    /// Gives a whole object what every object has.
    fn complete(&mut self, index: usize) {
        let string = self.place();
        self.set(string, Node { type_: Some(Type::String), ..Node::default() });
        let meta = self.named(OBJECT_META);
        let Some(node) = self.nodes.get(index) else { return };
        let given = node.properties.get("metadata").copied();
        let typed = given.and_then(|g| self.nodes.get(g)).is_some_and(|n| n.definition.is_some());
        // What a custom kind says about metadata are limits on top of the common definition.
        let limits = given.filter(|g| !typed && self.nodes.get(*g).is_some_and(|n| !n.properties.is_empty()));
        let meta = match limits {
            Some(limits) => {
                let index = self.place();
                self.overlays.push((index, meta, serde_json::json!({ "allOfNode": limits })));
                index
            }
            None if typed => given.unwrap_or(meta),
            None => meta,
        };
        let Some(node) = self.nodes.get_mut(index) else { return };
        node.type_ = Some(Type::Object);
        for name in ["apiVersion", "kind"] {
            node.properties.entry(name.into()).or_insert(string);
        }
        node.properties.insert("metadata".into(), meta);
    }

    fn finish(mut self) -> Arena {
        for (index, base, beside) in std::mem::take(&mut self.overlays) {
            let mut node = self.nodes.get(base).cloned().unwrap_or_default();
            read_keywords(&mut node, &beside);
            if let Some(limits) = beside.get("allOfNode").and_then(Value::as_u64) {
                node.limits.all_of.push(limits as usize);
            }
            self.set(index, node);
        }
        let mut arena = Arena { immutable: self.nodes.iter().any(|n| n.immutable), nodes: self.nodes };
        collect_defaults(&mut arena);
        mark_fills(&mut arena);
        arena
    }
}

/// Notes at each node which of its properties have defaults.
fn collect_defaults(arena: &mut Arena) {
    for index in 0..arena.nodes.len() {
        let Some(node) = arena.node(index) else { continue };
        let mut defaulted = Vec::new();
        for (name, child) in &node.properties {
            if let Some(default) = arena.node(*child).and_then(|n| n.default.clone()) {
                defaulted.push((name.clone(), default));
            }
        }
        defaulted.sort_by(|a, b| a.0.cmp(&b.0));
        if let Some(node) = arena.nodes.get_mut(index) {
            node.defaulted = defaulted;
        }
    }
}

/// Marks the nodes at or below which something is filled in, so that the rest of an object is skipped.
fn mark_fills(arena: &mut Arena) {
    for node in &mut arena.nodes {
        node.fills = node.hook.is_some() || !node.defaulted.is_empty();
    }
    loop {
        let fills: Vec<bool> = arena.nodes.iter().map(|n| n.fills).collect();
        let below = |index: &usize| fills.get(*index).copied().unwrap_or(false);
        let mut changed = false;
        for node in arena.nodes.iter_mut().filter(|n| !n.fills) {
            let children = node.properties.values().chain(&node.items).chain(&node.additional);
            node.fills = children.into_iter().any(below);
            changed |= node.fills;
        }
        if !changed {
            return;
        }
    }
}

fn flag(schema: &Value, name: &str) -> bool {
    schema.get(name).and_then(Value::as_bool).unwrap_or(false)
}

/// Reads the keywords that say nothing about other places. Those that are absent leave the node as it is.
fn read_keywords(node: &mut Node, schema: &Value) {
    let text = |name: &str| schema.get(name).and_then(Value::as_str);
    if let Some(type_) = text("type").and_then(Type::parse) {
        node.type_ = Some(type_);
    }
    node.preserves |= flag(schema, "x-kubernetes-preserve-unknown-fields");
    node.nullable |= flag(schema, "nullable");
    node.int_or_string |= flag(schema, "x-kubernetes-int-or-string") || text("format") == Some("int-or-string");
    node.immutable |= flag(schema, "x-gantry-immutable");
    node.map_atomic |= text("x-kubernetes-map-type") == Some("atomic");
    if let Some(default) = schema.get("default") {
        node.default = Some(default.clone());
    }
    match text("x-kubernetes-list-type") {
        Some("atomic") => node.list = ListType::Atomic,
        Some("set") => node.list = ListType::Set,
        Some("map") => {
            node.list =
                ListType::Map(strings(schema, "x-kubernetes-list-map-keys").into_iter().map(String::from).collect())
        }
        _ => {}
    }
    if let Some(key) = text("x-kubernetes-patch-merge-key") {
        node.merge_key = Some(key.into());
    }
    if let Some(strategies) = text("x-kubernetes-patch-strategy") {
        node.strategies = strategies.split(',').map(Into::into).collect();
    }
    read_limits(&mut node.limits, schema);
}

fn strings(schema: &Value, name: &str) -> Vec<Box<str>> {
    let list = schema.get(name).and_then(Value::as_array).into_iter().flatten();
    list.filter_map(|v| v.as_str()).map(Into::into).collect()
}

fn read_limits(limits: &mut Limits, schema: &Value) {
    let Some(map) = schema.as_object() else { return };
    for (name, value) in map {
        let number = value.as_u64();
        match name.as_str() {
            "required" => limits.required = strings(schema, "required"),
            "enum" => limits.allowed = value.as_array().cloned().unwrap_or_default(),
            // A pattern that is none is refused when the kind is declared.
            "pattern" => limits.pattern = value.as_str().and_then(|p| Regex::new(p).ok()),
            "format" => limits.format = value.as_str().map(Into::into),
            "minimum" => limits.minimum = value.as_f64(),
            "maximum" => limits.maximum = value.as_f64(),
            "exclusiveMinimum" => limits.above_minimum = value.as_bool().unwrap_or(false),
            "exclusiveMaximum" => limits.below_maximum = value.as_bool().unwrap_or(false),
            "multipleOf" => limits.multiple_of = value.as_f64(),
            "minLength" => limits.length.0 = number,
            "maxLength" => limits.length.1 = number,
            "minItems" => limits.count.0 = number,
            "maxItems" => limits.count.1 = number,
            "minProperties" => limits.size.0 = number,
            "maxProperties" => limits.size.1 = number,
            "uniqueItems" => limits.unique = value.as_bool().unwrap_or(false),
            _ => {}
        }
    }
}
