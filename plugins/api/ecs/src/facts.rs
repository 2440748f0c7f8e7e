//! Which operations there are, and what shape their requests have. The table `facts.txt` is made by `cargo xtask facts`.

use std::collections::HashMap;
use std::sync::LazyLock;

use gantry_sdk::Value;

use crate::fault::{Fault, Result};

static TABLE: LazyLock<Table> = LazyLock::new(|| Table::read(include_str!("facts.txt")));

/// How deep a request may be: deeper than any shape.
const DEPTH: usize = 24;

struct Table {
    operations: HashMap<&'static str, &'static str>,
    shapes: HashMap<&'static str, Shape>,
}

enum Shape {
    /// Members by name: type, and whether one must be there.
    Structure(HashMap<&'static str, (&'static str, bool)>),
    List(&'static str),
    Map(&'static str),
    Enumeration(Vec<&'static str>),
}

impl Table {
    fn read(text: &'static str) -> Self {
        let mut table = Self { operations: HashMap::new(), shapes: HashMap::new() };
        for line in text.lines() {
            let mut words = line.split(' ');
            let (Some(what), Some(name)) = (words.next(), words.next()) else { continue };
            let shape = match what {
                "op" => {
                    table.operations.insert(name, words.next().unwrap_or_default());
                    continue;
                }
                "struct" => Shape::Structure(words.filter_map(member).collect()),
                "list" => Shape::List(words.next().unwrap_or_default()),
                "map" => Shape::Map(words.next().unwrap_or_default()),
                _ => Shape::Enumeration(words.collect()),
            };
            table.shapes.insert(name, shape);
        }
        table
    }
}

/// `name:type`, with `!` when it must be there.
fn member(word: &'static str) -> Option<(&'static str, (&'static str, bool))> {
    let (name, kind) = word.split_once(':')?;
    Some((name, (kind.trim_end_matches('!'), kind.ends_with('!'))))
}

/// Whether ECS has an operation of this name.
pub fn is_operation(name: &str) -> bool {
    TABLE.operations.contains_key(name)
}

/// All names of operations.
pub fn operations() -> impl Iterator<Item = &'static str> {
    TABLE.operations.keys().copied()
}

/// Whether a request has the shape that its operation takes. Members that nobody knows are let through, as AWS does.
pub fn check(operation: &str, request: &Value) -> Result<()> {
    let shape = TABLE.operations.get(operation).copied().unwrap_or_default();
    walk(shape, request, "", DEPTH)
}

fn walk(kind: &str, value: &Value, path: &str, depth: usize) -> Result<()> {
    let Some(depth) = depth.checked_sub(1) else { return Err(misread("a request", "nested too deeply")) };
    let good = match kind {
        "s" => value.is_string(),
        "i" => value.is_i64() || value.is_u64(),
        "d" | "t" => value.is_number(),
        "b" => value.is_boolean(),
        "x" => value.is_string(),
        _ => return inner(kind, value, path, depth),
    };
    if good { Ok(()) } else { Err(misread(path, "of another type")) }
}

fn misread(path: &str, what: &str) -> Fault {
    Fault::new("SerializationException", format!("{path} is {what}"))
}

fn inner(kind: &str, value: &Value, path: &str, depth: usize) -> Result<()> {
    match (TABLE.shapes.get(kind), value) {
        (Some(Shape::Structure(members)), Value::Object(object)) => {
            for (name, (kind, _)) in members {
                if let Some(value) = object.get(*name).filter(|value| !value.is_null()) {
                    walk(kind, value, &below(path, name), depth)?;
                }
            }
            let missing = members.iter().filter(|(_, (_, required))| *required);
            let mut missing: Vec<_> =
                missing.map(|(name, _)| *name).filter(|name| object.get(*name).is_none_or(Value::is_null)).collect();
            missing.sort_unstable();
            match missing.first() {
                Some(name) => Err(Fault::parameter(format!("{} can not be blank.", below(path, name)))),
                None => Ok(()),
            }
        }
        (Some(Shape::List(kind)), Value::Array(items)) => {
            (1..).zip(items).try_for_each(|(n, item)| walk(kind, item, &format!("{path}.{n}.member"), depth))
        }
        (Some(Shape::Map(kind)), Value::Object(map)) => {
            map.iter().try_for_each(|(key, value)| walk(kind, value, &below(path, key), depth))
        }
        (Some(Shape::Enumeration(words)), Value::String(word)) if words.contains(&word.as_str()) => Ok(()),
        (Some(Shape::Enumeration(words)), Value::String(word)) => Err(Fault::parameter(format!(
            "1 validation error detected: Value '{word}' at '{path}' failed to satisfy constraint: Member must satisfy enum value set: [{}]",
            words.join(", ")
        ))),
        _ => Err(misread(if path.is_empty() { "the request" } else { path }, "of another type")),
    }
}

fn below(path: &str, name: &str) -> String {
    if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") }
}
