//! What the core kinds are called and how they are served.

use std::sync::Arc;

use serde_json::json;

use crate::kind::{Kind, Origin, PrinterColumn, Scope};

struct Entry {
    group: &'static str,
    version: &'static str,
    kind: &'static str,
    plural: &'static str,
    /// Space-separated.
    short: &'static str,
    scope: Scope,
    definition: &'static str,
    status: bool,
    /// Space-separated.
    fields: &'static str,
}

use Scope::{Cluster, Namespaced};

/// Group, version, kind, plural, short names, scope, definition, status, selectable fields.
#[rustfmt::skip]
const ENTRIES: &[Entry] = &[
    entry("", "v1", "Namespace", "namespaces", "ns", Cluster, "io.k8s.api.core.v1.Namespace", true, "status.phase"),
    entry("", "v1", "Node", "nodes", "no", Cluster, "io.k8s.api.core.v1.Node", true, "spec.unschedulable"),
    entry("", "v1", "Pod", "pods", "po", Namespaced, "io.k8s.api.core.v1.Pod", true, POD_FIELDS),
    entry("", "v1", "ConfigMap", "configmaps", "cm", Namespaced, "io.k8s.api.core.v1.ConfigMap", false, ""),
    entry("", "v1", "Secret", "secrets", "", Namespaced, "io.k8s.api.core.v1.Secret", false, "type"),
    entry("", "v1", "ServiceAccount", "serviceaccounts", "sa", Namespaced, "io.k8s.api.core.v1.ServiceAccount", false, ""),
    entry("", "v1", "Event", "events", "ev", Namespaced, "io.k8s.api.core.v1.Event", false, EVENT_FIELDS),
    entry("events.k8s.io", "v1", "Event", "events", "ev", Namespaced, "io.k8s.api.events.v1.Event", false, REGARDING_FIELDS),
    entry("certificates.k8s.io", "v1", "CertificateSigningRequest", "certificatesigningrequests", "csr", Cluster, "io.k8s.api.certificates.v1.CertificateSigningRequest", true, "spec.signerName"),
    entry("coordination.k8s.io", "v1", "Lease", "leases", "", Namespaced, "io.k8s.api.coordination.v1.Lease", false, ""),
    entry("discovery.k8s.io", "v1", "EndpointSlice", "endpointslices", "", Namespaced, "io.k8s.api.discovery.v1.EndpointSlice", false, ""),
    entry("scheduling.k8s.io", "v1", "PriorityClass", "priorityclasses", "pc", Cluster, "io.k8s.api.scheduling.v1.PriorityClass", false, ""),
    entry("apiextensions.k8s.io", "v1", "CustomResourceDefinition", "customresourcedefinitions", "crd crds", Cluster, "io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1.CustomResourceDefinition", true, ""),
    entry("gantry.dev", "v1alpha1", "Plugin", "plugins", "", Cluster, "dev.gantry.v1alpha1.Plugin", true, "spec.bundle status.phase"),
    entry("gantry.dev", "v1alpha1", "Frontend", "frontends", "fe", Namespaced, "dev.gantry.v1alpha1.Frontend", true, "spec.class"),
    entry("gantry.dev", "v1alpha1", "Bundle", "bundles", "", Cluster, "dev.gantry.v1alpha1.Bundle", true, ""),
];

/// Kinds that clients count on being there (`kubectl cluster-info` lists Services) and that only a plugin gives a
/// meaning to. The plugin's own declaration takes their place; without it they are stored, and their objects are told
/// that nobody acts on them.
#[rustfmt::skip]
const AWAITED: &[(&str, Entry)] = &[
    ("controller-services", entry("", "v1", "Service", "services", "svc", Namespaced, "io.k8s.api.core.v1.Service", true, "spec.clusterIP spec.type")),
];

const POD_FIELDS: &str = "spec.nodeName spec.restartPolicy spec.schedulerName spec.serviceAccountName spec.hostNetwork \
                          status.phase status.podIP status.nominatedNodeName";
const EVENT_FIELDS: &str = "involvedObject.kind involvedObject.namespace involvedObject.name involvedObject.uid \
                            involvedObject.apiVersion involvedObject.resourceVersion involvedObject.fieldPath reason \
                            reportingComponent source type";
const REGARDING_FIELDS: &str = "regarding.kind regarding.namespace regarding.name regarding.uid regarding.apiVersion \
                                regarding.resourceVersion regarding.fieldPath reason reportingController type";

#[allow(clippy::too_many_arguments, reason = "a row of the table above")]
const fn entry(
    group: &'static str,
    version: &'static str,
    kind: &'static str,
    plural: &'static str,
    short: &'static str,
    scope: Scope,
    definition: &'static str,
    status: bool,
    fields: &'static str,
) -> Entry {
    Entry { group, version, kind, plural, short, scope, definition, status, fields }
}

/// Every core kind.
pub(super) fn all() -> impl Iterator<Item = Kind> {
    ENTRIES.iter().map(|entry| kind(entry, Origin::Core))
}

/// Kinds that stand in for a plugin's.
pub(super) fn awaited() -> impl Iterator<Item = Kind> {
    AWAITED.iter().map(|(plugin, entry)| kind(entry, Origin::Plugin((*plugin).to_owned())))
}

fn kind(entry: &Entry, origin: Origin) -> Kind {
    let words = |text: &str| text.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
    Kind {
        group: entry.group.to_owned(),
        version: entry.version.to_owned(),
        kind: entry.kind.to_owned(),
        plural: entry.plural.to_owned(),
        singular: entry.kind.to_lowercase(),
        short_names: words(entry.short),
        categories: categories(entry),
        scope: entry.scope,
        schema: Arc::new(json!({ "$ref": format!("#/definitions/{}", entry.definition) })),
        definition: entry.definition.to_owned(),
        status: entry.status,
        scale: None,
        columns: columns(entry),
        selectable_fields: words(entry.fields),
        origin,
    }
}

fn categories(entry: &Entry) -> Vec<String> {
    match (entry.group, entry.kind) {
        ("", "Pod" | "Service") => vec!["all".to_owned()],
        ("apiextensions.k8s.io", _) => vec!["api-extensions".to_owned()],
        _ => Vec::new(),
    }
}

/// Columns of the kinds whose cells are plain fields; `table` computes those of the others.
fn columns(entry: &Entry) -> Vec<PrinterColumn> {
    let column = |name: &str, type_: &str, path: &str, priority: i32, description: &str| PrinterColumn {
        name: name.to_owned(),
        type_: type_.to_owned(),
        format: String::new(),
        description: description.to_owned(),
        priority,
        json_path: path.to_owned(),
    };
    match entry.kind {
        "Plugin" => vec![
            column("Version", "string", ".status.version", 0, "The version that is running."),
            column("Families", "string", ".status.families[*]", 0, "What the plugin is for."),
            column("Phase", "string", ".status.phase", 0, "How the plugin is."),
            column("Message", "string", ".status.message", 1, "Why it is so."),
            column("Digest", "string", ".status.digest", 1, "The component's digest."),
        ],
        "Bundle" => vec![
            column("Plugins", "string", ".spec.plugins[*].name", 0, "The plugins that the bundle names."),
            column("Ready", "string", "{.status.ready|0}/{.status.total|0}", 0, "How many of them run."),
        ],
        "CertificateSigningRequest" => vec![
            column("SignerName", "string", ".spec.signerName", 0, "Who is asked to sign."),
            column("Requestor", "string", ".spec.username", 0, "Who asks."),
            column("Condition", "string", "{.status.conditions[*].type|Pending}", 0, "What became of it."),
        ],
        "Frontend" => vec![
            column("Class", "string", ".spec.class", 0, "Which load balancer serves it."),
            column("Addresses", "string", "{.spec.addresses[*]|<none>}", 0, "Where it is reached from within."),
            column(
                "External",
                "string",
                "{.spec.externalAddresses[*]|.spec.balancedAddresses[*]|<none>}",
                0,
                "Where it is reached from outside.",
            ),
            column(
                "Ports",
                "string",
                "{.spec.ports[*] => [.port][:.nodePort]/[.protocol]}",
                0,
                "Its ports, with those of the nodes.",
            ),
            column(
                "Listeners",
                "string",
                "{.spec.http.listeners[*] => [.port]/[.protocol]}",
                0,
                "Where it speaks HTTP.",
            ),
        ],
        _ => Vec::new(),
    }
}
