//! Reading values without losing sight of fields that come twice. Of those the last one counts, in JSON as in YAML; the
//! client is told, or refused, as it asked.

use std::fmt;

use serde::Deserializer;
use serde::de::{DeserializeSeed, Error, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};

/// More of them than this are not told apart, as in Kubernetes.
const DUPLICATES: usize = 100;

/// A value, and the paths of fields that came more than once.
pub(crate) type Read = (Value, Vec<String>);

/// Reads JSON.
pub(crate) fn json(bytes: &[u8]) -> serde_json::Result<Read> {
    let mut duplicates = Vec::new();
    let mut input = serde_json::Deserializer::from_slice(bytes);
    let value = Reader { at: At::Root, duplicates: &mut duplicates }.deserialize(&mut input)?;
    input.end()?;
    Ok((value, duplicates))
}

/// Reads YAML.
pub(crate) fn yaml(text: &str) -> Result<Read, serde_saphyr::Error> {
    let mut duplicates = Vec::new();
    let options = serde_saphyr::options! { duplicate_keys: serde_saphyr::DuplicateKeyPolicy::PassThrough };
    let value = serde_saphyr::with_deserializer_from_str_with_options(text, options, |input| {
        Reader { at: At::Root, duplicates: &mut duplicates }.deserialize(input)
    })?;
    Ok((value, duplicates))
}

/// Where a value is; on the stack, and written out only when there is something to say.
#[derive(Clone, Copy)]
enum At<'a> {
    Root,
    Field(&'a At<'a>, &'a str),
    Index(&'a At<'a>, usize),
}

impl fmt::Display for At<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            At::Root => Ok(()),
            At::Field(At::Root, name) => f.write_str(name),
            At::Field(parent, name) => write!(f, "{parent}.{name}"),
            At::Index(parent, index) => write!(f, "{parent}[{index}]"),
        }
    }
}

struct Reader<'a> {
    at: At<'a>,
    duplicates: &'a mut Vec<String>,
}

impl<'de> DeserializeSeed<'de> for Reader<'_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, input: D) -> Result<Value, D::Error> {
        input.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Reader<'_> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(Value::Number(value.into()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(Value::Number(value.into()))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(Number::from_f64(value).map_or(Value::Null, Value::Number))
    }

    fn visit_str<E: Error>(self, value: &str) -> Result<Value, E> {
        Ok(Value::String(value.to_owned()))
    }

    fn visit_string<E>(self, value: String) -> Result<Value, E> {
        Ok(Value::String(value))
    }

    fn visit_none<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_some<D: Deserializer<'de>>(self, input: D) -> Result<Value, D::Error> {
        self.deserialize(input)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut input: A) -> Result<Value, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = input
            .next_element_seed(Reader { at: At::Index(&self.at, items.len()), duplicates: &mut *self.duplicates })?
        {
            items.push(item);
        }
        Ok(Value::Array(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut input: A) -> Result<Value, A::Error> {
        let mut map = Map::new();
        while let Some(name) = input.next_key::<String>()? {
            let at = At::Field(&self.at, &name);
            let value = input.next_value_seed(Reader { at, duplicates: &mut *self.duplicates })?;
            if map.contains_key(&name) {
                let path = at.to_string();
                if self.duplicates.len() < DUPLICATES && !self.duplicates.contains(&path) {
                    self.duplicates.push(path);
                }
            }
            map.insert(name, value);
        }
        Ok(Value::Object(map))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn what_comes_twice_is_named_and_the_last_counts() {
        for (text, value, paths) in [
            (r#"{"a":1,"b":[{"c":1},{"c":null}]}"#, json!({"a": 1, "b": [{"c": 1}, {"c": null}]}), vec![]),
            (r#"{"spec":{"replicas":1,"replicas":2}}"#, json!({"spec": {"replicas": 2}}), vec!["spec.replicas"]),
            (r#"{"a":1,"a":2,"a":3}"#, json!({"a": 3}), vec!["a"]),
            (r#"{"a":[{"b":{"c":1,"c":2.5}}]}"#, json!({"a": [{"b": {"c": 2.5}}]}), vec!["a[0].b.c"]),
            (r#"[{"op":"test","op":"add"}]"#, json!([{"op": "add"}]), vec!["[0].op"]),
            (r#"{"\u0061":1,"a":-2}"#, json!({"a": -2}), vec!["a"]),
        ] {
            let want = (value, paths.into_iter().map(str::to_owned).collect::<Vec<_>>());
            assert_eq!(json(text.as_bytes()).unwrap(), want, "{text}");
            assert_eq!(yaml(text).unwrap(), want, "{text}");
        }
        let (value, paths) = yaml("spec:\n  replicas: 1\n  name: 'x'\n  replicas: 2\n").unwrap();
        assert_eq!((value, paths), (json!({"spec": {"replicas": 2, "name": "x"}}), vec!["spec.replicas".to_owned()]));
    }

    #[test]
    fn the_list_of_duplicates_has_an_end() {
        let fields: Vec<String> = (0..300).map(|n| format!("\"f{n}\":1,\"f{n}\":2")).collect();
        let text = format!("{{{}}}", fields.join(","));
        assert_eq!(json(text.as_bytes()).unwrap().1.len(), DUPLICATES);
    }

    #[test]
    fn what_follows_a_value_is_an_error() {
        assert!(json(b"{} {}").is_err() && json(b"").is_err() && json(b"[1,").is_err());
        assert!(json("[".repeat(100_000).as_bytes()).is_err());
    }
}
