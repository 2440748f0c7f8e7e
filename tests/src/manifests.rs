//! Objects that scenarios apply, made from the test image.

use serde_json::{Value, json};

/// The image that `cargo xtask build` makes.
pub const IMAGE: &str = "gantry.local/web:1";

/// A Deployment of the test image's server, ready as soon as it answers.
pub fn deployment(name: &str, replicas: u32) -> Value {
    json!({
        "apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": name, "labels": {"app": name}},
        "spec": {
            "replicas": replicas, "selector": {"matchLabels": {"app": name}},
            "template": {"metadata": {"labels": {"app": name}}, "spec": {
                "terminationGracePeriodSeconds": 1,
                "containers": [{
                    "name": "web", "image": IMAGE, "imagePullPolicy": "IfNotPresent",
                    "ports": [{"name": "http", "containerPort": 8080}],
                    "readinessProbe": {"httpGet": {"path": "/ready", "port": "http"}, "periodSeconds": 1},
                }],
            }},
        },
    })
}

/// A pod with one container `main` that runs a command of the test image, as words.
pub fn pod(name: &str, words: &str) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "labels": {"app": name}},
        "spec": {
            "restartPolicy": "Never", "terminationGracePeriodSeconds": 1,
            "containers": [container("main", words)],
        },
    })
}

/// A container that runs a command of the test image, as words.
pub fn container(name: &str, words: &str) -> Value {
    json!({
        "name": name, "image": IMAGE, "imagePullPolicy": "IfNotPresent",
        "args": words.split_whitespace().collect::<Vec<_>>(),
    })
}

/// The same object with another value at a JSON pointer; objects on the way to it are made.
pub fn with(mut object: Value, pointer: &str, value: impl Into<Value>) -> Value {
    let mut place = &mut object;
    for key in pointer.split('/').skip(1) {
        place = match key.parse::<usize>() {
            Ok(index) if place.is_array() => &mut place[index],
            _ => &mut place[key],
        };
    }
    *place = value.into();
    object
}
