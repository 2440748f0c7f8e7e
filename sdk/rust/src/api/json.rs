use serde::{Deserialize, Deserializer};

/// Reads `null` like an absent field, as Kubernetes does: `#[serde(default, deserialize_with = "or_default")]`.
pub fn or_default<'de, D: Deserializer<'de>, T: Deserialize<'de> + Default>(from: D) -> Result<T, D::Error> {
    Ok(Option::<T>::deserialize(from)?.unwrap_or_default())
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
