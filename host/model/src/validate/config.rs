//! Rules of ConfigMaps, Secrets, Namespaces and Events.

use serde_json::Value;

use super::{list, meta, names, text};
use crate::path::Path;
use crate::status::Cause;

/// All that a ConfigMap or a Secret holds may have this many bytes.
const LIMIT: usize = 1024 * 1024;

pub(super) fn config_map(path: &Path<'_>, map: &Value, causes: &mut Vec<Cause>) {
    let plain = keys(path, map, "data", causes);
    let binary = keys(path, map, "binaryData", causes);
    let data = map.get("data").and_then(Value::as_object);
    for key in map.get("binaryData").and_then(Value::as_object).into_iter().flat_map(|m| m.keys()) {
        if data.is_some_and(|d| d.contains_key(key)) {
            let problem = "duplicate of key present in data";
            causes.push(Cause::invalid(path.field("data").key(key), &key.as_str().into(), problem));
        }
    }
    if plain + binary / 4 * 3 > LIMIT {
        causes.push(meta::too_long(path, LIMIT));
    }
}

/// Checks the keys and adds up the sizes of the values.
fn keys(path: &Path<'_>, object: &Value, field: &str, causes: &mut Vec<Cause>) -> usize {
    let at = path.field(field);
    let mut size = 0;
    for (key, value) in object.get(field).and_then(Value::as_object).into_iter().flatten() {
        size += value.as_str().map_or(0, str::len);
        let problems = names::config_key(key).into_iter();
        causes.extend(problems.map(|problem| Cause::invalid(at.key(key), &key.as_str().into(), problem)));
    }
    size
}

/// An Event is where the object is that it is about.
pub(super) fn event(path: &Path<'_>, event: &Value, causes: &mut Vec<Cause>) {
    let own = event.pointer("/metadata/namespace").and_then(Value::as_str).unwrap_or_default();
    let about = event.get("involvedObject").map_or("", |about| text(about, "namespace"));
    if !about.is_empty() && about != own {
        let at = path.field("involvedObject");
        causes.push(Cause::invalid(at.field("namespace"), &about.into(), "does not match event.namespace"));
    }
}

pub(super) fn secret(path: &Path<'_>, secret: &Value, causes: &mut Vec<Cause>) {
    let size = keys(path, secret, "data", causes);
    if size / 4 * 3 > LIMIT {
        causes.push(meta::too_long(&path.field("data"), LIMIT));
    }
    let wanted: &[&str] = match text(secret, "type") {
        "kubernetes.io/dockercfg" => &[".dockercfg"],
        "kubernetes.io/dockerconfigjson" => &[".dockerconfigjson"],
        "kubernetes.io/ssh-auth" => &["ssh-privatekey"],
        "kubernetes.io/tls" => &["tls.crt", "tls.key"],
        _ => &[],
    };
    let at = path.field("data");
    let data = secret.get("data").and_then(Value::as_object);
    for key in wanted {
        match data.and_then(|d| d.get(*key)).and_then(Value::as_str) {
            None => causes.push(Cause::required(at.key(key), "")),
            Some(value) if key.starts_with(".docker") && !is_json(value) => {
                causes.push(Cause::invalid(at.key(key), &"<secret contents redacted>".into(), "invalid JSON"));
            }
            Some(_) => {}
        }
    }
}

fn is_json(base64: &str) -> bool {
    use base64::Engine;
    let bytes = base64::engine::general_purpose::STANDARD.decode(base64).unwrap_or_default();
    serde_json::from_slice::<serde_json::Map<String, Value>>(&bytes).is_ok()
}

pub(super) fn namespace(path: &Path<'_>, spec: &Value, causes: &mut Vec<Cause>) {
    let at = path.field("finalizers");
    for (n, finalizer) in list(spec, "finalizers").iter().enumerate() {
        let problems = names::qualified_name(finalizer.as_str().unwrap_or_default()).into_iter();
        causes.extend(problems.map(|problem| Cause::invalid(at.index(n), finalizer, problem)));
    }
}
