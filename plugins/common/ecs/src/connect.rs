//! Names of Service Connect as objects: a Service without a selector for each.

use gantry_sdk::{Value, json};

/// Where a Service says in which namespace of names it is: see `discovery-cloudmap`.
pub const NAMESPACE: &str = "servicediscovery.gantry.dev/namespace";
/// Where it says what it is called there.
pub const NAME: &str = "servicediscovery.gantry.dev/service";
/// Where one that nobody owns yet says which service's it is to be.
pub const RESERVED_BY: &str = "ecs.gantry.dev/reserved-by";
/// And since when, in milliseconds of Unix time.
pub const RESERVED_AT: &str = "ecs.gantry.dev/reserved-at";

/// The object of a name in a namespace of names.
pub fn service(namespace: &str, registry: &str, (name, names): (&str, &str), port: u64) -> Value {
    json!({
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": registry, "namespace": namespace, "annotations": {NAMESPACE: names, NAME: name}},
        "spec": {"clusterIP": "None", "ports": [{"port": port, "protocol": "TCP"}]},
    })
}
