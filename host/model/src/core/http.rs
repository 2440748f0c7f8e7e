//! What a Frontend says about HTTP: where requests are answered, which goes where, and who serves them. An Ingress and
//! the listener rules of an application load balancer both come to this.

use serde_json::{Value, json};

use super::gantry::{one_of, port, selector, text, texts};

/// `spec.http`
pub(super) fn schema() -> Value {
    json!({
        "type": "object", "required": ["listeners"],
        "description": "Requests of HTTP, each led by what it is; instead of ports and backends, or beside them.",
        "properties": {
            "listeners": named("Where requests are answered.", listener()),
            "rules": list("What becomes of a request: the first that matches decides.", rule()),
            "backends": named("Who serves requests, by the names that rules use.", backend()),
        },
    })
}

fn object(description: &str, required: &[&str], properties: Value) -> Value {
    json!({ "type": "object", "required": required, "description": description, "properties": properties })
}

fn list(description: &str, items: Value) -> Value {
    json!({ "type": "array", "items": items, "x-kubernetes-list-type": "atomic", "description": description })
}

/// A list whose entries have names.
fn named(description: &str, items: Value) -> Value {
    json!({
        "type": "array", "items": items, "description": description,
        "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name"],
        "x-kubernetes-patch-merge-key": "name", "x-kubernetes-patch-strategy": "merge",
    })
}

fn name(description: &str) -> Value {
    json!({ "type": "string", "minLength": 1, "maxLength": 253, "description": description })
}

fn count(description: &str, least: u32, most: u32) -> Value {
    json!({ "type": "integer", "format": "int32", "minimum": least, "maximum": most, "description": description })
}

fn listener() -> Value {
    let certificate = object(
        "A Secret of the type kubernetes.io/tls, of the same namespace.",
        &["secretName"],
        json!({
            "hosts": texts("Names that get it; *.example.com is all with one more label. By default those that it has itself."),
            "secretName": name("The Secret's name."),
        }),
    );
    object(
        "A port at which requests are answered.",
        &["name", "port"],
        json!({
            "name": name("Unique in the Frontend."),
            "port": port("The port.", 1),
            "protocol": one_of("HTTPS is HTTP over TLS.", &["HTTP", "HTTPS"], "HTTP"),
            "certificates": list("Certificates for HTTPS, by name (SNI).", certificate),
        }),
    )
}

fn rule() -> Value {
    object(
        "What becomes of requests that are like this.",
        &["action"],
        json!({
            "listeners": texts("Names of the listeners that it is for. By default all."),
            "priority": count("Of several, the one with the lowest number is asked first.", 0, 1_000_000),
            "match": condition(),
            "action": action(),
        }),
    )
}

fn condition() -> Value {
    let value = name("What to match.");
    let host = object(
        "A host.",
        &["value"],
        json!({
            "type": one_of("Exact; Wildcard: *.example.com is all with one more label; Glob: * for any characters, ? for one.",
                           &["Exact", "Wildcard", "Glob"], "Exact"),
            "value": value.clone(),
        }),
    );
    let path = object(
        "A path.",
        &["value"],
        json!({
            "type": one_of("Exact; Prefix: its first elements between slashes; Glob: * for any characters, ? for one.",
                           &["Exact", "Prefix", "Glob"], "Prefix"),
            "value": value,
        }),
    );
    let field = |what: &str| {
        let values =
            texts("Globs, one of which it must match in any case of letters. By default it need only be there.");
        object(what, &["name"], json!({ "name": name("Its name."), "values": values }))
    };
    object(
        "All parts must match; of hosts, paths, methods and sources one each.",
        &[],
        json!({
            "hosts": list("The host that was asked for, without its port.", host),
            "paths": list("The path, without the query.", path),
            "methods": texts("GET, POST and so on."),
            "headers": list("Headers, all of which must match.", field("A header.")),
            "queries": list("Parameters of the query, all of which must match.", field("A parameter.")),
            "sources": texts("Whence the connection comes: ranges of addresses in CIDR notation."),
        }),
    )
}

fn action() -> Value {
    let target = object(
        "A backend.",
        &["backend"],
        json!({
            "backend": name("Its name."),
            "weight": { "type": "integer", "format": "int32", "minimum": 0, "maximum": 1000, "default": 1,
                        "description": "How much of the requests it gets beside the others." },
        }),
    );
    let response = object(
        "An answer without a backend.",
        &["status"],
        json!({
            "status": count("The status code.", 200, 599),
            "contentType": text("The type of the body."),
            "body": { "type": "string", "maxLength": 4096, "description": "What it says." },
        }),
    );
    let kept =
        "By default as it was asked for; #{protocol}, #{host}, #{port}, #{path} and #{query} stand for what that was.";
    let redirect = object(
        "Elsewhere.",
        &["status"],
        json!({
            "status": count("301, 302, 303, 307 or 308.", 301, 308),
            "protocol": text(&format!("http or https. {kept}")),
            "host": text(&format!("The host. {kept}")),
            "port": text(&format!("The port. {kept}")),
            "path": text(&format!("The path, with its first slash. {kept}")),
            "query": text(&format!("The query, without its question mark. {kept}")),
        }),
    );
    json!({
        "type": "object", "minProperties": 1, "maxProperties": 1, "description": "One of these.",
        "properties": { "forward": list("To one of these, by weight.", target), "response": response, "redirect": redirect },
    })
}

fn backend() -> Value {
    let milliseconds = |what: &str| count(what, 10, 3_600_000);
    let check = object(
        "Asks every endpoint every so often; who fails gets no requests until it is well again, unless all fail.",
        &["path"],
        json!({
            "path": name("What is asked for."),
            "port": port("Where, if not where requests go. 0: there.", 0),
            "intervalMilliseconds": milliseconds("How often. By default every 10 s."),
            "timeoutMilliseconds": milliseconds("How long an answer may take. By default 5 s."),
            "healthyThreshold": count("So many good answers in a row make it well. By default 2.", 1, 100),
            "unhealthyThreshold": count("So many failures in a row make it fail. By default 3.", 1, 100),
            "codes": texts("Good status codes: 200, or 200-399, which is the default."),
        }),
    );
    object(
        "Those who serve requests.",
        &["name", "selector"],
        json!({
            "name": name("Unique in the Frontend."),
            "selector": selector(),
            "port": text("The name of the port in the EndpointSlices. May be empty for a single port."),
            "protocol": one_of("H2C is HTTP/2 without TLS.", &["HTTP", "H2C"], "HTTP"),
            "balance": one_of("Who is next: each in turn, or whoever has the fewest requests.", &["RoundRobin", "LeastRequest"], "RoundRobin"),
            "timeoutMilliseconds": milliseconds("How long the head of an answer may take. By default 60 s."),
            "healthCheck": check,
        }),
    )
}
