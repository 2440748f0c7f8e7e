//! ConfigMaps and Secrets as pods read them.

use std::collections::BTreeMap;
use std::sync::Arc;

use base64::Engine;
use serde_json::Value;

use crate::cluster::{Cluster, Source};

/// A ConfigMap's or a Secret's contents.
pub type Contents = BTreeMap<String, Vec<u8>>;

/// Why something can't be read.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum SourceError {
    /// There is no such object.
    #[error("{kind} \"{name}\" not found")]
    Missing {
        /// `configmap` or `secret`.
        kind: &'static str,
        /// Its name.
        name: String,
    },
    /// The control plane did not answer.
    #[error("failed to read {kind} \"{name}\": {reason}")]
    Unavailable {
        /// `configmap` or `secret`.
        kind: &'static str,
        /// Its name.
        name: String,
        /// What happened.
        reason: String,
    },
}

/// `configmap` or `secret`.
pub fn singular(source: Source) -> &'static str {
    match source {
        Source::ConfigMap => "configmap",
        Source::Secret => "secret",
    }
}

/// The contents of an object; `None` when there is none.
pub async fn read(
    cluster: &Arc<dyn Cluster>,
    source: Source,
    namespace: &str,
    name: &str,
) -> Result<Option<Contents>, SourceError> {
    let found = cluster.source(source, namespace, name).await.map_err(|status| SourceError::Unavailable {
        kind: singular(source),
        name: name.to_owned(),
        reason: status.message,
    })?;
    Ok(found.map(|record| contents(source, &record.value())))
}

/// The contents of an object that must be there.
pub async fn must_read(
    cluster: &Arc<dyn Cluster>,
    source: Source,
    namespace: &str,
    name: &str,
) -> Result<Contents, SourceError> {
    read(cluster, source, namespace, name)
        .await?
        .ok_or_else(|| SourceError::Missing { kind: singular(source), name: name.to_owned() })
}

fn contents(source: Source, object: &Value) -> Contents {
    let texts = |field: &str| {
        let map = object.get(field).and_then(Value::as_object);
        map.into_iter().flatten().filter_map(|(key, value)| Some((key.clone(), value.as_str()?)))
    };
    let decode = |text: &str| base64::engine::general_purpose::STANDARD.decode(text).unwrap_or_default();
    match source {
        Source::ConfigMap => {
            let plain = texts("data").map(|(key, text)| (key, text.as_bytes().to_vec()));
            plain.chain(texts("binaryData").map(|(key, text)| (key, decode(text)))).collect()
        }
        Source::Secret => texts("data").map(|(key, text)| (key, decode(text))).collect(),
    }
}
