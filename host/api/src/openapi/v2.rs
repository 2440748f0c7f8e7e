//! OpenAPI v2 (Swagger) for older clients: one document with every definition, as JSON and in protobuf, which is all
//! that kubectl up to 1.27 takes.

use std::collections::BTreeMap;
use std::sync::Arc;

use gantry_model::Kind;
use serde_json::{Map, Value, json};

use super::paths;
use super::schemas::{self, V2};

/// What clients ask for.
pub(super) const ASKED: &str = "application/com.github.proto-openapi.spec.v2@v1.0+protobuf";
/// What they are told: the name asked for is not a valid media type, and their own reader refuses it.
pub(super) const GIVEN: &str = "application/com.github.proto-openapi.spec.v2.v1.0+protobuf";

pub(super) fn document(kinds: &[Arc<Kind>], definitions: &BTreeMap<String, Arc<Value>>) -> Value {
    json!({
        "swagger": "2.0",
        "info": { "title": "Gantry", "version": env!("CARGO_PKG_VERSION") },
        "paths": paths::of_v2(kinds),
        "definitions": schemas::of(kinds, definitions, V2),
    })
}

/// The same document as an `openapi.v2.Document` message. What that has no place for is left out.
pub(super) fn protobuf(document: &Value) -> Vec<u8> {
    let mut out = Message::default();
    out.text(1, text(document, "swagger"));
    out.message(2, |info| {
        info.text(1, document.pointer("/info/title").and_then(Value::as_str).unwrap_or_default());
        info.text(2, document.pointer("/info/version").and_then(Value::as_str).unwrap_or_default());
    });
    out.message(8, |paths| named(paths, 2, members(document, "paths"), path));
    out.message(9, |definitions| named(definitions, 1, members(document, "definitions"), schema));
    out.0
}

const METHODS: [(&str, u32); 5] = [("get", 2), ("put", 3), ("post", 4), ("delete", 5), ("patch", 8)];

fn path(out: &mut Message, item: &Value) {
    for (method, number) in METHODS {
        let Some(operation) = item.get(method) else { continue };
        out.message(number, |out| {
            for parameter in operation.get("parameters").and_then(Value::as_array).into_iter().flatten() {
                // ParametersItem, Parameter, NonBodyParameter, QueryParameterSubSchema.
                out.message(8, |out| {
                    out.message(1, |out| {
                        out.message(2, |out| {
                            out.message(3, |out| {
                                out.text(2, text(parameter, "in"));
                                out.text(4, text(parameter, "name"));
                                out.text(6, text(parameter, "type"));
                            })
                        })
                    })
                });
            }
            extensions(out, 13, operation);
        });
    }
}

fn schema(out: &mut Message, schema: &Value) {
    for (number, name) in [(1, "$ref"), (2, "format"), (3, "title"), (4, "description"), (13, "pattern")] {
        out.text(number, text(schema, name));
    }
    if let Some(default) = schema.get("default") {
        out.message(5, |out| any(out, default));
    }
    for required in strings(schema.get("required")) {
        out.text(19, required);
    }
    for value in schema.get("enum").and_then(Value::as_array).into_iter().flatten() {
        out.message(20, |out| any(out, value));
    }
    match schema.get("additionalProperties") {
        Some(Value::Bool(allowed)) => out.message(21, |out| out.integer(2, u64::from(*allowed))),
        Some(inner) => out.message(21, |out| out.message(1, |out| self::schema(out, inner))),
        None => {}
    }
    let types = match schema.get("type") {
        Some(Value::String(one)) => vec![one.as_str()],
        many => strings(many).collect(),
    };
    if !types.is_empty() {
        out.message(22, |out| types.iter().for_each(|one| out.text(1, one)));
    }
    if let Some(items) = schema.get("items") {
        out.message(23, |out| out.message(1, |out| self::schema(out, items)));
    }
    if schema.get("properties").is_some() {
        out.message(25, |out| named(out, 1, members(schema, "properties"), self::schema));
    }
    extensions(out, 31, schema);
}

/// A map, which is a list of name and value.
fn named<'a>(
    out: &mut Message,
    number: u32,
    members: impl Iterator<Item = (&'a String, &'a Value)>,
    write: fn(&mut Message, &Value),
) {
    for (name, value) in members {
        out.message(number, |out| {
            out.text(1, name);
            out.message(2, |out| write(out, value));
        });
    }
}

fn extensions(out: &mut Message, number: u32, of: &Value) {
    let members = of.as_object().into_iter().flatten().filter(|(name, _)| name.starts_with("x-"));
    named(out, number, members, any);
}

/// Any value, as YAML, of which JSON is a part.
fn any(out: &mut Message, value: &Value) {
    out.text(2, &value.to_string());
}

fn members<'a>(value: &'a Value, name: &str) -> impl Iterator<Item = (&'a String, &'a Value)> {
    value.get(name).and_then(Value::as_object).into_iter().flat_map(Map::iter)
}

fn text<'a>(value: &'a Value, name: &str) -> &'a str {
    value.get(name).and_then(Value::as_str).unwrap_or_default()
}

fn strings(value: Option<&Value>) -> impl Iterator<Item = &str> {
    value.and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str)
}

/// A protobuf message being written.
#[derive(Default)]
struct Message(Vec<u8>);

impl Message {
    fn varint(&mut self, mut n: u64) {
        while n >= 0x80 {
            self.0.push(n as u8 | 0x80);
            n >>= 7;
        }
        self.0.push(n as u8);
    }

    fn integer(&mut self, number: u32, n: u64) {
        self.varint(u64::from(number) << 3);
        self.varint(n);
    }

    fn bytes(&mut self, number: u32, bytes: &[u8]) {
        self.varint(u64::from(number) << 3 | 2);
        self.varint(bytes.len() as u64);
        self.0.extend_from_slice(bytes);
    }

    /// Empty text is left out.
    fn text(&mut self, number: u32, text: &str) {
        if !text.is_empty() {
            self.bytes(number, text.as_bytes());
        }
    }

    fn message(&mut self, number: u32, write: impl FnOnce(&mut Message)) {
        let mut inner = Message::default();
        write(&mut inner);
        self.bytes(number, &inner.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_schema_becomes_a_message() {
        let mut out = Message::default();
        schema(
            &mut out,
            &json!({"type": "object", "description": "d", "x-a": 1, "properties": {"p": {"type": "string"}}}),
        );
        let inner = b"\x0a\x01p\x12\x0b\xb2\x01\x08\x0a\x06string".len() as u8;
        let mut want = b"\x22\x01d\xb2\x01\x08\x0a\x06object".to_vec();
        want.extend([0xca, 0x01, inner + 2, 0x0a, inner]);
        want.extend(b"\x0a\x01p\x12\x0b\xb2\x01\x08\x0a\x06string");
        want.extend(b"\xfa\x01\x0a\x0a\x03x-a\x12\x03\x12\x011");
        assert_eq!(out.0.len(), want.len());
        assert_eq!(out.0, want);
    }
}
