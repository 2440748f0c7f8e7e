//! The scale subresource: an `autoscaling/v1` Scale made from the fields that the kind names.

use std::sync::Arc;

use gantry_model::{Kind, Record, Status};
use http::StatusCode;
use serde_json::{Map, Value, json};

use super::{Call, no_such_path};
use crate::wire::reply::{self, Response};

impl Call<'_> {
    pub(crate) fn get_scale(&self, kind: &Arc<Kind>) -> Result<Response, Status> {
        let record = self.app.objects.get(kind, self.namespace(kind), &self.target.name)?;
        self.show_scale(kind, &record)
    }

    pub(crate) fn show_scale(&self, kind: &Kind, record: &Record) -> Result<Response, Status> {
        let scale = scale_of(kind, &record.value()).ok_or_else(no_such_path)?;
        Ok(reply::value(StatusCode::OK, &scale))
    }
}

/// `None` when the kind has no scale.
fn scale_of(kind: &Kind, object: &Value) -> Option<Value> {
    let paths = kind.scale.as_ref()?;
    let replicas = |path: &str| at(object, path).and_then(Value::as_i64).unwrap_or(0);
    let mut status = json!({ "replicas": replicas(&paths.status_replicas_path) });
    let selector = paths.label_selector_path.as_deref().and_then(|path| at(object, path)).map(selector);
    if let (Some(map), Some(selector)) = (status.as_object_mut(), selector) {
        map.insert("selector".to_owned(), json!(selector));
    }
    let metadata: Map<String, Value> = ["name", "namespace", "uid", "resourceVersion", "creationTimestamp"]
        .into_iter()
        .filter_map(|field| Some((field.to_owned(), object.get("metadata")?.get(field)?.clone())))
        .collect();
    Some(json!({
        "kind": "Scale",
        "apiVersion": "autoscaling/v1",
        "metadata": metadata,
        "spec": { "replicas": replicas(&paths.spec_replicas_path) },
        "status": status,
    }))
}

/// The value at `.spec.replicas`.
fn at<'a>(object: &'a Value, path: &str) -> Option<&'a Value> {
    path.split('.').filter(|part| !part.is_empty()).try_fold(object, |at, part| at.get(part))
}

/// A selector as text: some kinds hold it so, others as a LabelSelector.
fn selector(value: &Value) -> String {
    if let Some(text) = value.as_str() {
        return text.to_owned();
    }
    let labels = value.get("matchLabels").and_then(Value::as_object).into_iter().flatten();
    let labels = labels.map(|(name, value)| format!("{name}={}", value.as_str().unwrap_or_default()));
    let expressions = value.get("matchExpressions").and_then(Value::as_array).into_iter().flatten();
    labels.chain(expressions.filter_map(expression)).collect::<Vec<_>>().join(",")
}

fn expression(value: &Value) -> Option<String> {
    let key = value.get("key")?.as_str()?;
    let values = value.get("values").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str);
    let values = values.collect::<Vec<_>>().join(",");
    match value.get("operator")?.as_str()? {
        "In" => Some(format!("{key} in ({values})")),
        "NotIn" => Some(format!("{key} notin ({values})")),
        "Exists" => Some(key.to_owned()),
        "DoesNotExist" => Some(format!("!{key}")),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn selectors_of_both_forms() {
        let structured = json!({
            "matchLabels": {"app": "web"},
            "matchExpressions": [
                {"key": "tier", "operator": "In", "values": ["a", "b"]},
                {"key": "x", "operator": "DoesNotExist"},
            ],
        });
        assert_eq!(selector(&structured), "app=web,tier in (a,b),!x");
        assert_eq!(selector(&json!("app=web")), "app=web");
    }
}
