//! Objects of this dialect's namespace.

use gantry_sdk::api::{Node, Resource};
use gantry_sdk::objects::{self, Query, Write};
use gantry_sdk::{KindRef, ObjectRef, json};
use serde::de::DeserializeOwned;

use crate::fault::{Fault, Result};
use crate::names::{CLUSTER, label, object_name, service_name};
use crate::object::{Cluster, Service};
use crate::operations::{Context, is_leaving};

impl Context<'_> {
    /// One object.
    pub fn get<T: Resource>(&self, name: &str) -> Result<Option<T>> {
        Ok(objects::get(&ObjectRef::of::<T>(&self.options.namespace, name))?)
    }

    /// Columns of all objects of a kind that have these labels.
    pub fn rows<T: Resource, Row: DeserializeOwned>(
        &self,
        labels: &str,
        fields: impl IntoIterator<Item = &'static str>,
    ) -> Result<Vec<Row>> {
        let query = Query::of::<T>().namespace(&self.options.namespace).labels(labels);
        Ok(objects::rows(&query, fields)?)
    }

    /// The same of those that are in a cluster.
    pub fn rows_in<T: Resource, Row: DeserializeOwned>(
        &self,
        cluster: &str,
        fields: impl IntoIterator<Item = &'static str>,
    ) -> Result<Vec<Row>> {
        self.rows::<T, Row>(&format!("{CLUSTER}={}", label(cluster)), fields)
    }

    /// Makes an object; the namespace too, if this is the first. `false`: there is one of that name.
    pub fn create<T: Resource>(&self, object: &T) -> Result<bool> {
        let write = Write::create(object)?;
        let answer = match objects::apply_one(write.clone()) {
            Err(error) if error.is_not_found() => {
                let namespace =
                    json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": self.options.namespace}});
                match objects::apply_one(Write::create_json(&namespace)) {
                    Err(error) if !error.is_already_exists() => return Err(error.into()),
                    _ => objects::apply_one(write),
                }
            }
            answer => answer,
        };
        match answer {
            Err(error) if error.is_already_exists() => Ok(false),
            answer => Ok(answer.map(|_| true)?),
        }
    }

    /// Changes an object's spec by a merge patch.
    pub fn patch<T: Resource>(&self, object: &T, spec: &gantry_sdk::Value) -> Result<()> {
        let write = Write::patch(object.reference(), &json!({"spec": spec})).if_uid(object.uid());
        match objects::apply_one(write) {
            // Nobody has another version in mind: it is gone, or another of its name is there.
            Err(error) if error.is_not_found() || error.is_conflict() => Err(gone::<T>()),
            answer => Ok(answer.map(drop)?),
        }
    }

    /// The same, if it is still the object that was read. `false`: it has changed since, or is gone.
    pub fn patch_unchanged<T: Resource>(&self, object: &T, spec: &gantry_sdk::Value) -> Result<bool> {
        let write = Write::patch(object.reference(), &json!({"spec": spec})).if_uid(object.uid());
        match objects::apply_one(write.if_version(&object.meta().resource_version)) {
            Err(error) if error.is_conflict() || error.is_not_found() => Ok(false),
            answer => Ok(answer.map(|_| true)?),
        }
    }

    /// A cluster that must be there, given by its name, its ARN, or not at all.
    pub fn cluster(&self, given: Option<&str>) -> Result<(String, Cluster)> {
        let name = self.options.cluster_name(given)?;
        match self.get::<Cluster>(&object_name(&name))?.filter(|cluster| !is_leaving(cluster)) {
            Some(cluster) => Ok((name, cluster)),
            None => Err(Fault::new("ClusterNotFoundException", "Cluster not found.")),
        }
    }

    /// A service that there is, or was within the hour, given by its name or its ARN.
    pub fn service(&self, cluster: &str, given: &str) -> Result<Option<Service>> {
        self.get(&service_name(cluster, self.options.service(given)?))
    }

    /// Takes an object away.
    pub fn delete<T: Resource>(&self, object: &T) -> Result<()> {
        match objects::apply_one(Write::delete(object.reference()).if_uid(object.uid())) {
            Err(error) if error.is_not_found() => Ok(()),
            answer => Ok(answer.map(drop)?),
        }
    }

    /// Changes a node by a merge patch. `false`: it is gone.
    pub fn patch_node(&self, name: &str, uid: &str, change: &gantry_sdk::Value) -> Result<bool> {
        let write = Write::patch(ObjectRef::of::<Node>("", name), change).if_uid(uid);
        match objects::apply_one(write) {
            Err(error) if error.is_not_found() || error.is_conflict() => Ok(false),
            answer => Ok(answer.map(|_| true)?),
        }
    }

    /// Columns of all nodes.
    pub fn nodes<Row: DeserializeOwned>(&self, fields: impl IntoIterator<Item = &'static str>) -> Result<Vec<Row>> {
        Ok(objects::rows(&Query::kind(KindRef::new("", "Node")), fields)?)
    }
}

/// What is said of an object that was there a moment ago: the same as of one that never was.
fn gone<T: Resource>() -> Fault {
    match KindRef::of::<T>().kind.as_str() {
        "Cluster" => Fault::new("ClusterNotFoundException", "Cluster not found."),
        "Service" => Fault::new("ServiceNotFoundException", "Service not found."),
        "Task" => Fault::parameter("The referenced task was not found."),
        "TaskDefinition" => Fault::client("The specified task definition does not exist."),
        _ => Fault::parameter("The specified resource was not found. Check the ARN and try again."),
    }
}
