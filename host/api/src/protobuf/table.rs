//! The messages and their fields, read from `messages.txt` when first needed.

use std::collections::HashMap;
use std::sync::OnceLock;

const TEXT: &str = include_str!("messages.txt");

/// Messages by name.
pub(super) struct Table {
    messages: HashMap<&'static str, Message>,
}

/// Fields by number.
pub(super) struct Message {
    fields: Vec<(u32, Field)>,
}

pub(super) struct Field {
    pub(super) name: &'static str,
    pub(super) shape: Shape,
    pub(super) kind: Type,
}

/// How a field appears in JSON.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Shape {
    /// Left out when zero.
    Plain,
    /// There even when zero.
    Pointer,
    Repeated,
    Map,
    /// Its fields stand in its place.
    Inline,
}

pub(super) enum Type {
    Text,
    Integer,
    Boolean,
    Bytes,
    Double,
    Special(Special),
    Message(&'static str),
}

/// Messages that are no objects in JSON.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Special {
    Time,
    Quantity,
    IntOrString,
    Json,
    Duration,
}

impl Table {
    pub(super) fn get() -> &'static Table {
        static TABLE: OnceLock<Table> = OnceLock::new();
        TABLE.get_or_init(|| Table { messages: lines().filter_map(message).collect() })
    }

    pub(super) fn message(&self, name: &str) -> Option<&Message> {
        self.messages.get(name)
    }
}

impl Message {
    pub(super) fn field(&self, number: u32) -> Option<&Field> {
        self.fields.iter().find(|(n, _)| *n == number).map(|(_, field)| field)
    }
}

fn lines() -> impl Iterator<Item = &'static str> {
    TEXT.lines().filter(|line| !line.is_empty() && !line.starts_with('#'))
}

fn message(line: &'static str) -> Option<(&'static str, Message)> {
    let mut words = line.split(' ');
    let name = words.next()?;
    Some((name, Message { fields: words.filter_map(field).collect() }))
}

fn field(word: &'static str) -> Option<(u32, Field)> {
    let (number, rest) = word.split_once(':')?;
    let (name, code) = rest.split_once(':')?;
    let (shape, code) = match code.split_at_checked(1)? {
        ("*", code) => (Shape::Repeated, code),
        ("%", code) => (Shape::Map, code),
        ("&", code) => (Shape::Inline, code),
        ("?", code) => (Shape::Pointer, code),
        _ => (Shape::Plain, code),
    };
    Some((number.parse().ok()?, Field { name, shape, kind: kind(code)? }))
}

fn kind(code: &'static str) -> Option<Type> {
    Some(match code {
        "s" => Type::Text,
        "i" => Type::Integer,
        "b" => Type::Boolean,
        "y" => Type::Bytes,
        "d" => Type::Double,
        "@time" => Type::Special(Special::Time),
        "@quantity" => Type::Special(Special::Quantity),
        "@intstr" => Type::Special(Special::IntOrString),
        "@json" => Type::Special(Special::Json),
        "@duration" => Type::Special(Special::Duration),
        name if name.contains('.') => Type::Message(name),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_line_reads_and_every_message_named_exists() {
        let table = Table::get();
        assert_eq!(table.messages.len(), lines().count());
        for line in lines() {
            let name = line.split(' ').next().unwrap();
            let message = &table.messages[name];
            assert_eq!(message.fields.len(), line.split(' ').count() - 1, "{name}");
            for (_, field) in &message.fields {
                if let Type::Message(inner) = field.kind {
                    assert!(table.message(inner).is_some(), "{name}.{} is a {inner}", field.name);
                }
            }
        }
    }
}
