//! Access keys. They are read with each request, so that a key that was taken away opens nothing any more.

use std::collections::BTreeMap;

use gantry_sdk::objects;
use gantry_sdk::{KindRef, ObjectRef, Result};
use serde::Deserialize;

use crate::options::{Options, SecretName};

/// A Secret as far as it matters. Its data is base64 and stays so until one of it is wanted.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Secret {
    data: BTreeMap<String, String>,
}

/// The secret key of an access key; none when there is no such key, or no such Secret.
pub fn secret_key(options: &Options, id: &str) -> Result<Option<String>> {
    let SecretName { namespace, name } = options.credentials.clone();
    let target = ObjectRef { kind: KindRef::new("", "Secret"), namespace, name };
    let secret: Secret = objects::get(&target)?.unwrap_or_default();
    let key = secret.data.get(id).and_then(|text| decode(text)).and_then(|bytes| String::from_utf8(bytes).ok());
    Ok(key.map(|key| key.trim_end().to_owned()).filter(|key| !key.is_empty()))
}

fn decode(text: &str) -> Option<Vec<u8>> {
    use base64::Engine;
    base64::engine::general_purpose::STANDARD.decode(text).ok()
}
