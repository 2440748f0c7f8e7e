//! The host's own kinds: Plugin, Bundle and Frontend.

use serde_json::{Value, json};

use super::http;

/// Their definitions.
pub(super) fn definitions() -> [(String, Value); 3] {
    [("Plugin", plugin()), ("Bundle", bundle()), ("Frontend", frontend())]
        .map(|(kind, definition)| (format!("dev.gantry.v1alpha1.{kind}"), definition))
}

const META: &str = "#/definitions/io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta";
const CONDITION: &str = "#/definitions/io.k8s.apimachinery.pkg.apis.meta.v1.Condition";

pub(super) fn text(description: &str) -> Value {
    json!({ "type": "string", "description": description })
}

fn number(description: &str) -> Value {
    json!({ "type": "integer", "format": "int64", "description": description })
}

pub(super) fn texts(description: &str) -> Value {
    json!({ "type": "array", "items": { "type": "string" }, "x-kubernetes-list-type": "set", "description": description })
}

fn free(description: &str) -> Value {
    json!({ "type": "object", "x-kubernetes-preserve-unknown-fields": true, "description": description })
}

fn conditions() -> Value {
    json!({
        "type": "array", "items": { "$ref": CONDITION }, "description": "What holds now.",
        "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["type"],
        "x-kubernetes-patch-merge-key": "type", "x-kubernetes-patch-strategy": "merge",
    })
}

fn object(description: &str, spec: Value, status: Value) -> Value {
    json!({
        "type": "object", "description": description,
        "properties": {
            "apiVersion": text("The group and version of this representation of the object."),
            "kind": text("The kind of object that this is."),
            "metadata": { "$ref": META, "description": "Standard object metadata." },
            "spec": { "type": "object", "description": "What the bundle asks for.", "properties": spec },
            "status": { "type": "object", "description": "What is so now.", "properties": status },
        },
    })
}

fn plugin() -> Value {
    let spec = json!({
        "bundle": text("The bundle that names the plugin."),
        "source": text("Where the component comes from: a file, or an oci:// reference."),
        "digest": text("The digest that the component must have."),
        "required": { "type": "boolean", "description": "Whether the host refuses to start without it." },
        "onFault": free("What happens when the plugin keeps failing."),
        "memory": text("The memory that one instance may have."),
        "deadlineMs": number("How long one call may take, in milliseconds."),
        "instances": number("How many instances may run at once."),
        "config": free("The plugin's configuration."),
        "grants": free("What the bundle lets the plugin do."),
    });
    let status = json!({
        "version": text("The version that is running."),
        "apiVersion": text("The version of the plugin contract that it was built for."),
        "digest": text("The digest of the component that is running."),
        "description": text("What the plugin says it is."),
        "families": texts("What the plugin is for."),
        "kinds": texts("The kinds that it declares."),
        "reviews": { "type": "array", "items": free("One rule."), "description": "Which writes it reviews." },
        "phase": text("Pending, Ready, Degraded or Failed."),
        "message": text("Why it is so, for people."),
        "calls": number("Calls since it was loaded."),
        "faults": number("Traps, timeouts and broken limits since it was loaded."),
        "lastFault": free("The last of them."),
        "loadedAt": { "type": "string", "format": "date-time", "description": "When it was loaded." },
        "conditions": conditions(),
    });
    preserving(object("Plugin is one WebAssembly component that the host has loaded, and its health.", spec, status))
}

fn bundle() -> Value {
    let item = json!({
        "type": "object", "required": ["name"], "x-kubernetes-preserve-unknown-fields": true, "properties": {
            "name": text("The plugin's name."),
            "source": text("Where its component comes from."),
            "digest": text("The digest that it must have."),
        },
    });
    let spec = json!({
        "plugins": {
            "type": "array", "items": item, "description": "The plugins, by name.",
            "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name"],
            "x-kubernetes-patch-merge-key": "name", "x-kubernetes-patch-strategy": "merge",
        },
    });
    let status = json!({
        "ready": number("How many plugins run."),
        "total": number("How many plugins the bundle names."),
        "message": text("What is wrong, for people."),
        "conditions": conditions(),
    });
    preserving(object("Bundle is the set of plugins that this control plane runs.", spec, status))
}

pub(super) fn one_of(description: &str, values: &[&str], default: &str) -> Value {
    json!({ "type": "string", "description": description, "enum": values, "default": default })
}

pub(super) fn port(description: &str, least: u16) -> Value {
    json!({
        "type": "integer", "format": "int32", "minimum": least, "maximum": u16::MAX, "description": description,
    })
}

fn frontend() -> Value {
    let ports = json!({
        "type": "object", "required": ["port"], "properties": {
            "name": text("Names the port of the EndpointSlices that it leads to. May be empty for a single port."),
            "protocol": one_of("The transport protocol.", &["TCP", "UDP", "SCTP"], "TCP"),
            "port": port("Where clients connect to.", 1),
            "nodePort": port("A port of every node that leads here too. 0: none.", 0),
            "appProtocol": text("What is spoken, as a hint."),
        },
    });
    let affinity = json!({
        "type": "object", "description": "Whether a client's connections go to the same backend.", "properties": {
            "type": one_of("None, or ClientIP: by the client's address.", &["None", "ClientIP"], "None"),
            "timeoutSeconds": {
                "type": "integer", "format": "int32", "minimum": 1, "maximum": 86_400,
                "description": "How long that holds at least after the last connection, if the backend stays.",
            },
        },
    });
    let local = &["Cluster", "Local"];
    let policy = json!({
        "type": "object", "description": "Which backends may serve what.", "properties": {
            "internal": one_of("What comes from within the cluster: Local only uses backends of the same node.", local, "Cluster"),
            "external": one_of("What comes from outside: Local also keeps the client's address.", local, "Cluster"),
        },
    });
    let backends = json!({
        "type": "object", "required": ["selector"], "description": "Who serves the ports.",
        "properties": { "selector": selector() },
    });
    let spec = json!({
        "class": { "type": "string", "minLength": 1, "description": "Which load balancers serve it: cluster is the virtual address on every node." },
        "addresses": texts("Virtual addresses, for clients within the cluster."),
        "externalAddresses": texts("Addresses that lead to nodes from outside."),
        "balancedAddresses": texts("The same, of load balancers outside that leave the destination of packets as it was."),
        "sourceRanges": texts("Clients that may use the balanced addresses, in CIDR notation. None: everybody."),
        "healthNodePort": port("A port of every node that answers whether it has backends of its own. 0: none.", 0),
        "ports": {
            "type": "array", "minItems": 1, "items": ports, "description": "What it listens on.",
            "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["port", "protocol"],
            "x-kubernetes-patch-merge-key": "port", "x-kubernetes-patch-strategy": "merge",
        },
        "backends": backends,
        "sessionAffinity": affinity,
        "trafficPolicy": policy,
        "http": http::schema(),
    });
    let status = json!({ "conditions": conditions() });
    let about = "Frontend is one place where clients reach a set of backends: what a Service, an Ingress or another \
                 orchestrator's service comes to. Load balancers see only Frontends and EndpointSlices.";
    let mut schema = object(about, spec, status);
    if let Some(Value::Object(spec)) = schema.pointer_mut("/properties/spec") {
        spec.insert("required".to_owned(), json!(["class"]));
        let one = json!([{ "required": ["ports", "backends"] }, { "required": ["http"] }]);
        spec.insert("anyOf".to_owned(), one);
        spec.insert("description".to_owned(), json!("What is wanted."));
    }
    if let Some(Value::Object(schema)) = schema.pointer_mut("") {
        schema.insert("required".to_owned(), json!(["spec"]));
    }
    schema
}

/// Which EndpointSlices list backends.
pub(super) fn selector() -> Value {
    json!({
        "type": "object", "required": ["matchLabels"], "properties": {
            "matchLabels": {
                "type": "object", "minProperties": 1, "additionalProperties": { "type": "string" },
                "description": "Labels of the EndpointSlices, in the same namespace, that list the backends.",
            },
        },
        "description": "Which EndpointSlices list the backends.",
    })
}

/// The engine reports more as it learns more: what a status says beyond the schema stays.
fn preserving(mut schema: Value) -> Value {
    if let Some(Value::Object(status)) = schema.pointer_mut("/properties/status") {
        status.insert("x-kubernetes-preserve-unknown-fields".to_owned(), Value::Bool(true));
    }
    schema
}
