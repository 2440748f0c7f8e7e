//! A control plane without loops: kinds, a store, a namespace.

use std::sync::Arc;

use gantry_model::kind::{Origin, ScalePaths, Scope};
use gantry_model::{Kind, Kinds, Status};
use gantry_objects::{DeleteOptions, Objects, Patch, Subresource, WriteOptions, Written};
use gantry_store::Sled;
use serde_json::{Value, json};

pub struct World {
    pub objects: Objects,
}

pub fn write() -> WriteOptions {
    WriteOptions { manager: "tester".into(), ..WriteOptions::default() }
}

pub fn by(manager: &str) -> WriteOptions {
    WriteOptions { manager: manager.into(), ..WriteOptions::default() }
}

pub fn status_write() -> WriteOptions {
    WriteOptions { subresource: Subresource::Status, ..by("agent") }
}

fn deployment() -> Kind {
    let definition = "io.k8s.api.apps.v1.Deployment";
    Kind {
        group: "apps".into(),
        version: "v1".into(),
        kind: "Deployment".into(),
        plural: "deployments".into(),
        singular: "deployment".into(),
        short_names: vec![],
        categories: vec![],
        scope: Scope::Namespaced,
        schema: Arc::new(json!({"$ref": format!("#/definitions/{definition}")})),
        definition: definition.into(),
        status: true,
        scale: Some(ScalePaths {
            spec_replicas_path: ".spec.replicas".into(),
            status_replicas_path: ".status.replicas".into(),
            label_selector_path: Some(".spec.selector".into()),
        }),
        columns: vec![],
        selectable_fields: vec![],
        origin: Origin::Plugin("test".into()),
    }
}

impl World {
    pub async fn new() -> Self {
        let kinds = Kinds::default();
        gantry_model::core::register(&kinds);
        kinds.insert(deployment());
        let world = Self { objects: Objects::new(Arc::new(Sled::temporary().unwrap()), kinds) };
        world.create("namespaces", json!({"metadata": {"name": "a"}})).await.unwrap();
        world
    }

    pub fn kind(&self, plural: &str) -> Arc<Kind> {
        let kinds = self.objects.kinds().all();
        kinds.into_iter().find(|kind| kind.plural == plural).unwrap_or_else(|| panic!("no kind {plural}"))
    }

    pub async fn create(&self, plural: &str, object: Value) -> Result<Written, Status> {
        self.create_with(plural, object, &write()).await
    }

    pub async fn create_with(
        &self,
        plural: &str,
        mut object: Value,
        options: &WriteOptions,
    ) -> Result<Written, Status> {
        let kind = self.kind(plural);
        object["apiVersion"] = json!(kind.api_version());
        object["kind"] = json!(kind.kind);
        self.objects.create(&kind, self.namespace(&kind), object, options).await
    }

    fn namespace(&self, kind: &Kind) -> &'static str {
        if kind.namespaced() { "a" } else { "" }
    }

    pub fn get(&self, plural: &str, name: &str) -> Result<Value, Status> {
        let kind = self.kind(plural);
        Ok(self.objects.get(&kind, self.namespace(&kind), name)?.value())
    }

    pub async fn update(&self, plural: &str, object: Value, options: &WriteOptions) -> Result<Written, Status> {
        let kind = self.kind(plural);
        let name = object["metadata"]["name"].as_str().unwrap().to_owned();
        self.objects.update(&kind, self.namespace(&kind), &name, object, options).await
    }

    pub async fn patch(&self, plural: &str, name: &str, patch: Patch, options: &WriteOptions) -> Result<Value, Status> {
        let kind = self.kind(plural);
        Ok(self.objects.patch(&kind, self.namespace(&kind), name, patch, options).await?.record.value())
    }

    pub async fn apply(
        &self,
        plural: &str,
        name: &str,
        mut config: Value,
        options: &WriteOptions,
    ) -> Result<Value, Status> {
        let kind = self.kind(plural);
        config["apiVersion"] = json!(kind.api_version());
        config["kind"] = json!(kind.kind);
        self.patch(plural, name, Patch::Apply(config), options).await
    }

    pub async fn delete(&self, plural: &str, name: &str, options: &DeleteOptions) -> Result<Written, Status> {
        let kind = self.kind(plural);
        self.objects.delete(&kind, self.namespace(&kind), name, options).await
    }
}

pub fn pod(name: &str) -> Value {
    json!({"metadata": {"name": name, "labels": {"app": name}}, "spec": {"containers": [{"name": "c", "image": "i:1"}]}})
}

pub fn web(name: &str) -> Value {
    json!({
        "metadata": {"name": name, "labels": {"app": name}},
        "spec": {
            "replicas": 3,
            "selector": {"matchLabels": {"app": name}},
            "template": {
                "metadata": {"labels": {"app": name}},
                "spec": {"containers": [{"name": "c", "image": "i:1", "ports": [{"containerPort": 80}], "env": [{"name": "A", "value": "1"}]}]},
            },
        },
    })
}

/// The entry of a manager.
pub fn managed<'a>(object: &'a Value, manager: &str) -> Vec<&'a Value> {
    let entries = object["metadata"]["managedFields"].as_array().map_or(&[][..], Vec::as_slice);
    entries.iter().filter(|e| e["manager"] == manager).collect()
}
