//! The verbs.

use std::sync::Arc;

use gantry_model::{Kind, Kinds, Record, Status};
use gantry_store::Store;
use serde_json::Value;

use crate::options::{DeleteOptions, List, ListOptions, Patch, WatchOptions, WriteOptions, Written};

/// The objects of this control plane. Cheap to clone.
#[derive(Clone)]
pub struct Objects {
    store: Arc<dyn Store>,
    kinds: Kinds,
}

/// A change as a watcher with selectors sees it.
#[derive(Clone, Debug)]
pub enum Change {
    /// New, or newly matching.
    Added(Arc<Record>),
    /// Changed.
    Modified(Arc<Record>),
    /// Gone, or no longer matching.
    Deleted(Arc<Record>),
}

impl Objects {
    /// Objects of these kinds in this store.
    pub fn new(store: Arc<dyn Store>, kinds: Kinds) -> Self {
        Self { store, kinds }
    }

    /// The kinds known.
    pub fn kinds(&self) -> &Kinds {
        &self.kinds
    }

    /// The store below, for loops that watch whole resources.
    pub fn store(&self) -> &Arc<dyn Store> {
        &self.store
    }

    /// One object; 404 when there is none.
    pub fn get(&self, kind: &Kind, namespace: &str, name: &str) -> Result<Arc<Record>, Status> {
        let _ = (kind, namespace, name);
        unimplemented!()
    }

    /// Objects of a kind.
    pub fn list(&self, kind: &Kind, options: &ListOptions) -> Result<List, Status> {
        let _ = (kind, options);
        unimplemented!()
    }

    /// Changes of a kind.
    pub fn watch(&self, kind: &Kind, options: &WatchOptions) -> Result<Changes, Status> {
        let _ = (kind, options);
        unimplemented!()
    }

    /// Makes an object. `object` is as the client sent it.
    pub async fn create(
        &self,
        kind: &Kind,
        namespace: &str,
        object: Value,
        options: &WriteOptions,
    ) -> Result<Written, Status> {
        let _ = (kind, namespace, object, options);
        unimplemented!()
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
        let _ = (kind, namespace, name, object, options);
        unimplemented!()
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
        let _ = (kind, namespace, name, patch, options);
        unimplemented!()
    }

    /// Deletes an object: at once, or by marking it and waiting for finalizers and grace.
    pub async fn delete(
        &self,
        kind: &Kind,
        namespace: &str,
        name: &str,
        options: &DeleteOptions,
    ) -> Result<Written, Status> {
        let _ = (kind, namespace, name, options);
        unimplemented!()
    }
}

/// A running watch.
pub struct Changes {}

impl Changes {
    /// The next changes, at least one; waits. 410 when the watcher was too slow.
    pub async fn next(&mut self) -> Result<Vec<Change>, Status> {
        unimplemented!()
    }

    /// The revision up to which everything was delivered: for bookmarks.
    pub fn revision(&self) -> u64 {
        unimplemented!()
    }
}
