//! The calls of a node, as requests.

use std::sync::Arc;

use async_trait::async_trait;
use gantry_model::status::Reason;
use gantry_model::{Record, Status};
use http::Method;
use serde_json::{Value, json};

use super::Remote;
use super::client::{Body, Place};
use super::pods::Pods;
use super::record::record;
use super::sources::Sources;
use crate::cluster::{
    Cluster, LEASE_NAMESPACE, NodeLease, PodFeed, PodRef, Source, SourceFeed, Wanted, lease_object, lease_spec,
};

/// For `managedFields`.
const BY: (&str, &str) = ("fieldManager", "gantry-node");
const LEASES: &str = "coordination.k8s.io";

impl Remote {
    async fn get(&self, plural: &str, namespace: &str, name: &str) -> Result<Option<Arc<Record>>, Status> {
        self.get_of("", plural, namespace, name).await
    }

    async fn get_of(
        &self,
        group: &str,
        plural: &str,
        namespace: &str,
        name: &str,
    ) -> Result<Option<Arc<Record>>, Status> {
        let place = Place::list(group, "v1", namespace, plural).and_then(|place| place.object(name));
        // No object has such a name, whatever a pod says.
        let Ok(place) = place else { return Ok(None) };
        match self.client.ask(Method::GET, &place, &[], Body::None).await {
            Ok(object) => Ok(Some(Arc::new(record(group, plural, object)?))),
            Err(error) if error.reason == Reason::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    async fn write(&self, method: Method, place: Place, body: Body) -> Result<Value, Status> {
        self.client.ask(method, &place, &[BY], body).await
    }

    async fn merge(&self, place: Place, patch: Value) -> Result<Value, Status> {
        self.write(Method::PATCH, place, Body::Merge(patch)).await
    }

    async fn create_lease(&self, lease: &NodeLease) -> Result<(), Status> {
        let object = lease_object(lease);
        let place = || Place::list(LEASES, "v1", LEASE_NAMESPACE, "leases");
        self.write(Method::POST, place()?, Body::Object(object)).await.map(|_| ())
    }
}

fn core(namespace: &str, plural: &str) -> Result<Place, Status> {
    Place::list("", "v1", namespace, plural)
}

fn node(name: &str) -> Result<Place, Status> {
    core("", "nodes")?.object(name)
}

fn pod(pod: &PodRef) -> Result<Place, Status> {
    core(&pod.namespace, "pods")?.object(&pod.name)
}

fn node_record(object: Value) -> Result<Arc<Record>, Status> {
    record("", "nodes", object).map(Arc::new)
}

#[async_trait]
impl Cluster for Remote {
    fn pods(&self, node: Option<&str>) -> Box<dyn PodFeed> {
        Box::new(Pods::new(self.client.clone(), node))
    }

    fn follow(&self, group: &str, version: &str, plural: &str) -> Box<dyn PodFeed> {
        Box::new(Pods::of_kind(self.client.clone(), group, version, plural))
    }

    fn changes(&self, source: Source, wanted: Wanted) -> Box<dyn SourceFeed> {
        Box::new(Sources::new(self.client.clone(), source, wanted))
    }

    async fn source(&self, source: Source, namespace: &str, name: &str) -> Result<Option<Arc<Record>>, Status> {
        self.get(source.plural(), namespace, name).await
    }

    async fn pod(&self, pod: &PodRef) -> Result<Option<Arc<Record>>, Status> {
        let found = self.get("pods", &pod.namespace, &pod.name).await?;
        Ok(found.filter(|record| record.meta.uid == pod.uid))
    }

    async fn write_pod_status(&self, which: &PodRef, base: Option<u64>, status: Value) -> Result<Arc<Record>, Status> {
        let mut object = json!({
            "apiVersion": "v1", "kind": "Pod",
            "metadata": {"name": which.name, "namespace": which.namespace, "uid": which.uid},
        });
        if let Some(map) = object.as_object_mut() {
            map.insert("status".to_owned(), status);
        }
        if let (Some(base), Some(metadata)) = (base, object.get_mut("metadata").and_then(Value::as_object_mut)) {
            metadata.insert("resourceVersion".to_owned(), json!(base.to_string()));
        }
        let written = self.write(Method::PUT, pod(which)?.object("status")?, Body::Object(object)).await?;
        record("", "pods", written).map(Arc::new)
    }

    async fn remove_pod(&self, which: &PodRef) -> Result<(), Status> {
        let options = json!({
            "apiVersion": "v1", "kind": "DeleteOptions", "gracePeriodSeconds": 0, "preconditions": {"uid": which.uid},
        });
        match self.client.ask(Method::DELETE, &pod(which)?, &[], Body::Object(options)).await {
            // A conflict is about the uid: another pod has the name now.
            Err(error) if !matches!(error.reason, Reason::NotFound | Reason::Conflict) => Err(error),
            _ => Ok(()),
        }
    }

    async fn node(&self, name: &str) -> Result<Option<Arc<Record>>, Status> {
        self.get("nodes", "", name).await
    }

    async fn create_node(&self, object: Value) -> Result<Arc<Record>, Status> {
        node_record(self.write(Method::POST, core("", "nodes")?, Body::Object(object)).await?)
    }

    async fn merge_node(&self, name: &str, patch: Value) -> Result<Arc<Record>, Status> {
        node_record(self.merge(node(name)?, patch).await?)
    }

    async fn merge_node_status(&self, name: &str, status: Value) -> Result<Arc<Record>, Status> {
        node_record(self.merge(node(name)?.object("status")?, json!({ "status": status })).await?)
    }

    async fn lease(&self, node: &str) -> Result<Option<Arc<Record>>, Status> {
        self.get_of(LEASES, "leases", LEASE_NAMESPACE, node).await
    }

    async fn renew_lease(&self, lease: &NodeLease) -> Result<(), Status> {
        let place = Place::list(LEASES, "v1", LEASE_NAMESPACE, "leases")?.object(&lease.node)?;
        match self.merge(place, json!({ "spec": lease_spec(lease) })).await {
            Err(error) if error.reason == Reason::NotFound => self.create_lease(lease).await,
            other => other.map(|_| ()),
        }
    }

    async fn write_event(&self, namespace: &str, name: &str, event: Value, merge: bool) -> Result<(), Status> {
        let place = core(namespace, "events")?;
        let written = match merge {
            true => self.merge(place.object(name)?, event).await,
            false => self.write(Method::POST, place, Body::Object(event)).await,
        };
        written.map(|_| ())
    }
}
