//! Which nodes are linked up.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use gantry_api::Streams;

use super::node::Node;

#[derive(Default)]
pub struct Nodes {
    table: Mutex<Table>,
}

#[derive(Default)]
struct Table {
    /// In this process.
    local: HashMap<String, Arc<dyn Streams>>,
    linked: HashMap<String, Arc<Node>>,
}

impl Nodes {
    fn table(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn add(&self, node: &str, streams: Arc<dyn Streams>) {
        self.table().local.insert(node.to_owned(), streams);
    }

    /// The newest call of an agent counts: an older one is of a connection that is gone. An error: the name is taken, and
    /// by whom.
    pub fn link(&self, node: &Arc<Node>) -> Result<(), &'static str> {
        let mut table = self.table();
        if table.local.contains_key(node.name()) {
            return Err("the server's own node has that name");
        }
        if table.linked.get(node.name()).is_some_and(|before| !before.is_same(node)) {
            return Err("another agent of that name is linked up");
        }
        if let Some(before) = table.linked.insert(node.name().to_owned(), node.clone()) {
            before.leave();
        }
        Ok(())
    }

    /// Forgets a call, if it is still the newest.
    pub fn unlink(&self, node: &Arc<Node>) {
        node.leave();
        let mut table = self.table();
        if table.linked.get(node.name()).is_some_and(|now| Arc::ptr_eq(now, node)) {
            table.linked.remove(node.name());
        }
    }

    /// Ends the call of every node; their agents call again.
    pub fn leave(&self) {
        self.table().linked.values().for_each(|node| node.leave());
    }

    pub fn linked(&self, node: &str) -> Option<Arc<Node>> {
        self.table().linked.get(node).cloned()
    }

    pub fn find(&self, node: &str) -> Option<Arc<dyn Streams>> {
        let table = self.table();
        if let Some(local) = table.local.get(node) {
            return Some(local.clone());
        }
        table.linked.get(node).map(|node| node.clone() as Arc<dyn Streams>)
    }

    pub fn names(&self) -> Vec<String> {
        let table = self.table();
        let mut names: Vec<String> = table.local.keys().chain(table.linked.keys()).cloned().collect();
        names.sort();
        names
    }
}
