//! Bodies in Kubernetes' protobuf encoding, which kubectl sends for kinds that it knows (from 1.32 on). They are turned
//! into the JSON that everything else here works on, by a table of the messages' fields instead of generated types:
//! only the way in is needed, and only for the stock kinds.

mod table;
mod wire;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use gantry_model::Status;
use serde_json::{Map, Value, json};

use crate::wire::body::unsupported;
use table::{Field, Message, Shape, Special, Table, Type};
use wire::{Error, Part, Reader};

pub(crate) const MEDIA_TYPE: &str = "application/vnd.kubernetes.protobuf";
const MAGIC: &[u8] = b"k8s\0";
/// Deeper nesting than any kind has is an attack on the stack.
const DEPTH: u32 = 32;

/// The object in a protobuf body.
pub(crate) fn decode(bytes: &[u8]) -> Result<Value, Status> {
    let envelope = bytes.strip_prefix(MAGIC).ok_or(Error::Envelope).and_then(Envelope::read);
    let envelope = envelope.map_err(|e| Status::bad_request(format!("the body is not Kubernetes protobuf: {e}")))?;
    let table = Table::get();
    let Some(message) = table.message(&envelope.message_name()) else {
        return Err(unsupported(format!(
            "{}, Kind={} is not accepted as protobuf: send application/json",
            envelope.version, envelope.kind
        )));
    };
    let fields = object(table, message, envelope.raw, 0)
        .map_err(|e| Status::bad_request(format!("the body is not a {} in protobuf: {e}", envelope.kind)))?;
    let mut map = Map::new();
    map.insert("apiVersion".to_owned(), json!(envelope.version));
    map.insert("kind".to_owned(), json!(envelope.kind));
    map.extend(fields);
    Ok(Value::Object(map))
}

/// `runtime.Unknown`
#[derive(Default)]
struct Envelope<'a> {
    version: String,
    kind: String,
    raw: &'a [u8],
}

impl<'a> Envelope<'a> {
    fn read(bytes: &'a [u8]) -> Result<Self, Error> {
        let mut envelope = Self::default();
        for field in Reader::new(bytes) {
            match field? {
                (1, Part::Bytes(meta)) => {
                    for field in Reader::new(meta) {
                        match field? {
                            (1, Part::Bytes(text)) => envelope.version = string(text)?,
                            (2, Part::Bytes(text)) => envelope.kind = string(text)?,
                            _ => {}
                        }
                    }
                }
                (2, Part::Bytes(raw)) => envelope.raw = raw,
                (3, Part::Bytes(encoding)) if !encoding.is_empty() => return Err(Error::Envelope),
                _ => {}
            }
        }
        Ok(envelope)
    }

    /// `networking.k8s.io/v1`, `Ingress` → `networking.v1.Ingress`
    fn message_name(&self) -> String {
        if self.kind == "DeleteOptions" {
            return "meta.v1.DeleteOptions".to_owned();
        }
        let (group, version) = self.version.split_once('/').unwrap_or(("core", &self.version));
        let group = group.split('.').next().unwrap_or_default();
        format!("{group}.{version}.{}", self.kind)
    }
}

fn object(table: &Table, message: &Message, bytes: &[u8], depth: u32) -> Result<Map<String, Value>, Error> {
    if depth > DEPTH {
        return Err(Error::TooDeep);
    }
    let mut map = Map::new();
    for part in Reader::new(bytes) {
        let (number, part) = part?;
        // A field of a newer version: nothing here could use it.
        let Some(field) = message.field(number) else { continue };
        put(table, field, part, depth, &mut map)?;
    }
    Ok(map)
}

fn put(table: &Table, field: &Field, part: Part<'_>, depth: u32, map: &mut Map<String, Value>) -> Result<(), Error> {
    match field.shape {
        Shape::Inline => {
            if let Value::Object(inner) = value(table, &field.kind, part, depth)? {
                map.extend(inner);
            }
        }
        Shape::Repeated => {
            let item = value(table, &field.kind, part, depth)?;
            if let Value::Array(items) = map.entry(field.name).or_insert_with(|| json!([])) {
                items.push(item);
            }
        }
        Shape::Map => {
            let (key, item) = entry(table, &field.kind, part, depth)?;
            if let Value::Object(items) = map.entry(field.name).or_insert_with(|| json!({})) {
                items.insert(key, item);
            }
        }
        Shape::Plain | Shape::Pointer => {
            let value = value(table, &field.kind, part, depth)?;
            let unset = value.is_null() || (field.shape == Shape::Plain && is_zero(&value));
            if !unset {
                map.insert(field.name.to_string(), value);
            }
        }
    }
    Ok(())
}

/// Whether a scalar has the value that JSON leaves out. Messages are there or not, whatever is in them.
fn is_zero(value: &Value) -> bool {
    match value {
        Value::Bool(b) => !b,
        Value::Number(n) => n.as_f64() == Some(0.0),
        Value::String(s) => s.is_empty(),
        _ => false,
    }
}

fn entry(table: &Table, kind: &Type, part: Part<'_>, depth: u32) -> Result<(String, Value), Error> {
    let Part::Bytes(bytes) = part else { return Err(Error::Type) };
    let (mut key, mut item) = (String::new(), None);
    for field in Reader::new(bytes) {
        match field? {
            (1, Part::Bytes(text)) => key = string(text)?,
            (2, part) => item = Some(value(table, kind, part, depth)?),
            _ => {}
        }
    }
    Ok((key, item.unwrap_or_else(|| if matches!(kind, Type::Message(_)) { json!({}) } else { json!("") })))
}

fn value(table: &Table, kind: &Type, part: Part<'_>, depth: u32) -> Result<Value, Error> {
    match (kind, part) {
        (Type::Text, Part::Bytes(bytes)) => Ok(Value::String(string(bytes)?)),
        // Negative numbers come as the 64 bits of their two's complement.
        (Type::Integer, Part::Varint(n)) => Ok(json!(n as i64)),
        (Type::Boolean, Part::Varint(n)) => Ok(json!(n != 0)),
        (Type::Bytes, Part::Bytes(bytes)) => Ok(json!(STANDARD.encode(bytes))),
        (Type::Double, Part::Fixed64(bits)) => Ok(json!(f64::from_bits(bits))),
        (Type::Special(special), Part::Bytes(bytes)) => special_value(*special, bytes),
        (Type::Message(name), Part::Bytes(bytes)) => {
            let message = table.message(name).ok_or(Error::Type)?;
            object(table, message, bytes, depth + 1).map(Value::Object)
        }
        _ => Err(Error::Type),
    }
}

fn special_value(special: Special, bytes: &[u8]) -> Result<Value, Error> {
    let mut numbers = [0i64; 4];
    let mut texts = [&[][..]; 4];
    for field in Reader::new(bytes) {
        let (number, part) = field?;
        let at = number as usize;
        match part {
            Part::Varint(n) => numbers.get_mut(at).map(|slot| *slot = n as i64),
            Part::Bytes(b) => texts.get_mut(at).map(|slot| *slot = b),
            Part::Fixed64(_) | Part::Fixed32 => None,
        };
    }
    let ([_, first, second, _], [_, text, _, third]) = (numbers, texts);
    match special {
        Special::Time if (first, second) == (0, 0) => Ok(Value::Null),
        Special::Time => time(first, second),
        Special::Quantity => string(text).map(Value::String),
        Special::IntOrString if first == 1 => string(third).map(Value::String),
        Special::IntOrString => Ok(json!(second)),
        Special::Json if text.is_empty() => Ok(Value::Null),
        Special::Json => serde_json::from_slice(text).map_err(|_| Error::Type),
        Special::Duration => Ok(json!(format!("{}s", first as f64 / 1e9))),
    }
}

/// RFC 3339, with microseconds only where there are any.
fn time(seconds: i64, nanos: i64) -> Result<Value, Error> {
    let nanos = i32::try_from(nanos).map_err(|_| Error::Type)?;
    let time = jiff::Timestamp::new(seconds, nanos).map_err(|_| Error::Type)?;
    let text = if nanos == 0 { time.strftime("%Y-%m-%dT%H:%M:%SZ") } else { time.strftime("%Y-%m-%dT%H:%M:%S.%6fZ") };
    Ok(json!(text.to_string()))
}

fn string(bytes: &[u8]) -> Result<String, Error> {
    std::str::from_utf8(bytes).map(str::to_owned).map_err(|_| Error::Text)
}

#[cfg(test)]
mod tests;
