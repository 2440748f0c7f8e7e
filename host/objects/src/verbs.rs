//! The verbs.

use std::sync::{Arc, OnceLock};

use gantry_model::{Key, Kind, Kinds, Record, Status};
use gantry_store::Store;
use serde_json::Value;

use crate::admission::Reviewer;
use crate::bind::{self, Binding};
use crate::options::{DeleteOptions, List, ListOptions, Patch, Subresource, WatchOptions, WriteOptions, Written};
use crate::watch::Changes;
use crate::{create, delete, list, patch, scale, update};

/// The objects of this control plane. Cheap to clone.
#[derive(Clone)]
pub struct Objects {
    store: Arc<dyn Store>,
    kinds: Kinds,
    reviewers: Arc<OnceLock<Vec<Arc<dyn Reviewer>>>>,
}

/// A change as a watcher with selectors sees it.
#[derive(Clone, Debug)]
pub enum Change {
    /// New, or newly matching.
    Added(Arc<Record>),
    /// Changed.
    Modified(Arc<Record>),
    /// Gone, or no longer matching: its last state, or the last one that matched, at the revision of the change.
    Deleted(Arc<Record>),
}

impl Objects {
    /// Objects of these kinds in this store.
    pub fn new(store: Arc<dyn Store>, kinds: Kinds) -> Self {
        Self { store, kinds, reviewers: Arc::default() }
    }

    /// The kinds known.
    pub fn kinds(&self) -> &Kinds {
        &self.kinds
    }

    /// Lets these look at every write from now on, changes in this order. Only the first call counts; until then nobody
    /// looks.
    pub fn reviewed_by(&self, reviewers: Vec<Arc<dyn Reviewer>>) {
        let _ = self.reviewers.set(reviewers);
    }

    /// Who looks at writes.
    pub(crate) fn reviewers(&self) -> &[Arc<dyn Reviewer>] {
        self.reviewers.get().map_or(&[], Vec::as_slice)
    }

    /// The store below, for loops that watch whole resources.
    pub fn store(&self) -> &Arc<dyn Store> {
        &self.store
    }

    /// One object; 404 when there is none.
    pub fn get(&self, kind: &Kind, namespace: &str, name: &str) -> Result<Arc<Record>, Status> {
        let key = Key::new(kind.resource(), namespace, name);
        self.store.get(&key).ok_or_else(|| Status::not_found(&kind.group, &kind.plural, name))
    }

    /// Objects of a kind.
    pub fn list(&self, kind: &Kind, options: &ListOptions) -> Result<List, Status> {
        list::list(self, kind, options)
    }

    /// Changes of a kind.
    pub fn watch(&self, kind: &Kind, options: &WatchOptions) -> Result<Changes, Status> {
        Changes::start(self, kind, options)
    }

    /// Makes an object. `object` is as the client sent it.
    pub async fn create(
        &self,
        kind: &Kind,
        namespace: &str,
        object: Value,
        options: &WriteOptions,
    ) -> Result<Written, Status> {
        create::create(self, kind, namespace, object, options, None).await
    }

    /// Replaces an object (or its status, or its scale).
    pub async fn update(
        &self,
        kind: &Kind,
        namespace: &str,
        name: &str,
        object: Value,
        options: &WriteOptions,
    ) -> Result<Written, Status> {
        match options.subresource {
            Subresource::Scale => scale::update(self, kind, namespace, name, object, options).await,
            _ => update::update(self, kind, namespace, name, object, options).await,
        }
    }

    /// Patches an object (or its status, or its scale). Retried on conflict unless the patch names a resourceVersion.
    pub async fn patch(
        &self,
        kind: &Kind,
        namespace: &str,
        name: &str,
        patch: Patch,
        options: &WriteOptions,
    ) -> Result<Written, Status> {
        match options.subresource {
            Subresource::Scale => scale::patch(self, kind, namespace, name, &patch, options).await,
            _ => patch::patch(self, kind, namespace, name, &patch, options).await,
        }
    }

    /// Deletes an object: at once, or by marking it and waiting for finalizers and grace.
    pub async fn delete(
        &self,
        kind: &Kind,
        namespace: &str,
        name: &str,
        options: &DeleteOptions,
    ) -> Result<Written, Status> {
        delete::delete(self, kind, namespace, name, options).await
    }

    /// Puts a pod on a node: `spec.nodeName` and the `PodScheduled` condition in one write. 409 when the pod is on a
    /// node already, is being deleted, or is not the one meant.
    pub async fn bind(&self, binding: &Binding<'_>) -> Result<Arc<Record>, Status> {
        bind::bind(self, binding).await
    }
}
