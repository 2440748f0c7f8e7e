use serde::{Deserialize, Deserializer};
use serde_json::Value;

/// Reads `null` like an absent field, as Kubernetes does: `#[serde(default, deserialize_with = "or_default")]`.
pub fn or_default<'de, D: Deserializer<'de>, T: Deserialize<'de> + Default>(from: D) -> Result<T, D::Error> {
    Ok(Option::<T>::deserialize(from)?.unwrap_or_default())
}

/// A text that an object in JSON has under this name; empty where there is none.
pub fn text<'a>(object: &'a Value, name: &str) -> &'a str {
    object.get(name).and_then(Value::as_str).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn null_is_nothing() {
        #[derive(Deserialize)]
        struct Spec {
            #[serde(default, deserialize_with = "or_default")]
            replicas: i64,
        }
        for (text, want) in [("{}", 0), (r#"{"replicas": null}"#, 0), (r#"{"replicas": 3}"#, 3)] {
            assert_eq!(serde_json::from_str::<Spec>(text).unwrap().replicas, want, "{text}");
        }
        assert!(serde_json::from_str::<Spec>(r#"{"replicas": "3"}"#).is_err());
    }
}
