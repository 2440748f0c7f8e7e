//! Kinds for tests.

use std::sync::Arc;

use async_trait::async_trait;
use gantry_model::key::Resource;
use gantry_model::kind::{Kind, Origin, PrinterColumn, ScalePaths, Scope};
use gantry_model::{Key, Kinds, Record};
use gantry_objects::Objects;
use gantry_store::{Error, Page, Range, Sled, Store, Watch, Write};
use serde_json::{Value, json};

pub fn kind(group: &str, version: &str, name: &str, plural: &str, scope: Scope, schema: Value) -> Kind {
    Kind {
        group: group.into(),
        version: version.into(),
        kind: name.into(),
        plural: plural.into(),
        singular: name.to_lowercase(),
        short_names: vec![],
        categories: vec![],
        scope,
        schema: Arc::new(schema),
        definition: format!("dev.gantry.test.{group}.{version}.{name}"),
        status: false,
        scale: None,
        columns: vec![],
        selectable_fields: vec![],
        origin: Origin::Core,
    }
}

pub fn lift() -> Kind {
    let schema = json!({"type": "object", "description": "A Lift raises replicas.", "properties": {
        "spec": {"type": "object", "description": "What is wanted.", "properties": {
            "replicas": {"type": "integer", "description": "How many."},
            "color": {"type": "string", "description": "Of the paint."},
        }},
        "status": {"type": "object", "properties": {"replicas": {"type": "integer"}, "ready": {"type": "boolean"}, "selector": {"type": "string"}}},
    }});
    Kind {
        short_names: vec!["lf".into()],
        categories: vec!["all".into()],
        status: true,
        scale: Some(ScalePaths {
            spec_replicas_path: ".spec.replicas".into(),
            status_replicas_path: ".status.replicas".into(),
            label_selector_path: Some(".status.selector".into()),
        }),
        columns: vec![
            PrinterColumn {
                name: "Replicas".into(),
                type_: "integer".into(),
                format: String::new(),
                description: String::new(),
                priority: 0,
                json_path: ".spec.replicas".into(),
            },
            PrinterColumn {
                name: "Color".into(),
                type_: "string".into(),
                format: String::new(),
                description: String::new(),
                priority: 1,
                json_path: ".spec.color".into(),
            },
        ],
        origin: Origin::Plugin("lifts".into()),
        ..kind("gantry.test", "v1", "Lift", "lifts", Scope::Namespaced, schema)
    }
}

struct Nothing;

#[async_trait]
impl Store for Nothing {
    fn revision(&self) -> u64 {
        1
    }
    fn get(&self, _: &Key) -> Option<Arc<Record>> {
        None
    }
    fn list(&self, _: &Range) -> Page {
        Page { records: vec![], revision: 1, more: false, remaining: 0 }
    }
    fn owned(&self, _: &str) -> Vec<Arc<Record>> {
        vec![]
    }
    fn orphans(&self, _: &Resource, _: Option<&str>) -> Vec<Arc<Record>> {
        vec![]
    }
    fn indexed(&self, _: &Resource, _: Option<&str>, _: &str, _: &str) -> Page {
        Page { records: vec![], revision: 1, more: false, remaining: 0 }
    }
    async fn write(&self, _: Write) -> Result<Arc<Record>, Error> {
        Err(Error::Busy)
    }
    fn watch(&self, _: &Resource, _: Option<u64>) -> Result<Box<dyn Watch>, Error> {
        Err(Error::Busy)
    }
    async fn close(&self) {}
}

pub fn objects() -> Objects {
    let kinds = Kinds::default();
    let any = json!({"type": "object", "x-kubernetes-preserve-unknown-fields": true});
    kinds.insert(kind("", "v1", "Namespace", "namespaces", Scope::Cluster, any.clone()));
    kinds.insert(kind("", "v1", "ConfigMap", "configmaps", Scope::Namespaced, any.clone()));
    kinds.insert(kind("", "v1", "Service", "services", Scope::Namespaced, any.clone()));
    kinds.insert(kind("", "v1", "Pod", "pods", Scope::Namespaced, any));
    kinds.insert(lift());
    Objects::new(Arc::new(Nothing), kinds)
}

fn deployment() -> Kind {
    let definition = "io.k8s.api.apps.v1.Deployment";
    let schema = json!({"$ref": format!("#/definitions/{definition}")});
    Kind {
        definition: definition.into(),
        short_names: vec!["deploy".into()],
        categories: vec!["all".into()],
        status: true,
        scale: Some(ScalePaths {
            spec_replicas_path: ".spec.replicas".into(),
            status_replicas_path: ".status.replicas".into(),
            label_selector_path: Some(".spec.selector".into()),
        }),
        origin: Origin::Plugin("workloads".into()),
        ..kind("apps", "v1", "Deployment", "deployments", Scope::Namespaced, schema)
    }
}

/// The core kinds and some of plugins over a real store, with the namespace `default`.
pub async fn stored() -> Objects {
    let kinds = Kinds::default();
    gantry_model::core::register(&kinds);
    kinds.insert(deployment());
    kinds.insert(lift());
    let objects = Objects::new(Arc::new(Sled::temporary().unwrap()), kinds);
    let namespaces = objects.kinds().by_resource("", "v1", "namespaces").unwrap();
    let default = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "default"}});
    objects.create(&namespaces, "", default, &Default::default()).await.unwrap();
    objects
}
