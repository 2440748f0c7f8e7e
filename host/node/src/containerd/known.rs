//! What the agent knows of a container beyond containerd's record of it. The lasting part is a label of that record.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use containerd_client::types::Mount;
use serde::{Deserialize, Serialize};
use tokio::sync::watch;

use super::output::Output;
use crate::runtime::ContainerSpec;

/// The label that holds [`Facts`].
pub const LABEL: &str = "gantry.dev/runtime";

/// The lasting part.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Facts {
    pub sandbox: String,
    pub log: PathBuf,
    pub log_bytes: u64,
    pub log_files: u32,
    pub tty: bool,
    pub stdin: bool,
    pub cgroup: String,
}

impl Facts {
    pub fn of(spec: &ContainerSpec) -> Self {
        Self {
            sandbox: spec.sandbox.clone(),
            log: spec.log.clone(),
            log_bytes: spec.log_limit.0,
            log_files: spec.log_limit.1,
            tty: spec.tty,
            stdin: spec.stdin,
            cgroup: format!("/{}/{}", spec.cgroup_parent.trim_matches('/'), spec.id),
        }
    }
}

/// One container.
pub struct Entry {
    pub id: String,
    pub facts: Facts,
    /// Its pipes and marks.
    pub dir: PathBuf,
    /// Its root filesystem, from the snapshot's making to the start.
    pub mounts: Mutex<Option<Vec<Mount>>>,
    output: Mutex<Option<Output>>,
}

impl Entry {
    pub fn new(id: &str, facts: Facts, state: &Path) -> Self {
        Self {
            id: id.to_owned(),
            facts,
            dir: state.join("containers").join(id),
            mounts: Mutex::new(None),
            output: Mutex::new(None),
        }
    }

    /// The file whose time says when the container was started.
    pub fn mark(&self) -> PathBuf {
        self.dir.join("started")
    }

    pub fn set_output(&self, output: Option<Output>) {
        *self.output.lock().unwrap_or_else(PoisonError::into_inner) = output;
    }

    pub fn has_output(&self) -> bool {
        self.drained().is_some()
    }

    /// `None`: its output is not being read.
    pub fn drained(&self) -> Option<watch::Receiver<bool>> {
        self.output.lock().unwrap_or_else(PoisonError::into_inner).as_ref().map(Output::drained)
    }
}

/// All containers that were seen.
pub struct Known {
    state: PathBuf,
    entries: Mutex<HashMap<String, Arc<Entry>>>,
}

impl Known {
    pub fn new(state: &Path) -> Self {
        Self { state: state.to_owned(), entries: Mutex::default() }
    }

    pub fn get(&self, id: &str) -> Option<Arc<Entry>> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner).get(id).cloned()
    }

    pub fn insert(&self, id: &str, facts: Facts) -> Arc<Entry> {
        let entry = Arc::new(Entry::new(id, facts, &self.state));
        self.entries.lock().unwrap_or_else(PoisonError::into_inner).insert(id.to_owned(), Arc::clone(&entry));
        entry
    }

    /// From the labels of containerd's record, unless it is known.
    pub fn learn(&self, id: &str, labels: &HashMap<String, String>) -> Option<Arc<Entry>> {
        if let Some(entry) = self.get(id) {
            return Some(entry);
        }
        let facts = serde_json::from_str(labels.get(LABEL)?).ok()?;
        Some(self.insert(id, facts))
    }

    pub fn forget(&self, id: &str) -> Option<Arc<Entry>> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner).remove(id)
    }
}
