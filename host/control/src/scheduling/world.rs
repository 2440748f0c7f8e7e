//! What all lanes share: what there is, and what is written about it.

use std::time::Instant;

use super::binder::Binder;
use super::class::{ClassId, Classes};
use super::conditions::Conditions;
use super::explain::Explainer;
use super::node::{NodeId, Nodes};
use super::pods::{Place, Pods};
use super::tally::Tally;

/// The nodes, the pods and the ways to the store.
pub(super) struct World {
    pub explainer: Explainer,
    pub conditions: Conditions,
    pub binder: Binder,
    pub nodes: Nodes,
    pub pods: Pods,
    pub classes: Classes,
    pub tally: Tally,
    /// Pods of any name are served.
    pub served: bool,
    /// No binding before this, since the store is in trouble.
    pub rest: Option<Instant>,
}

impl World {
    /// Counts pods at their place. The node, if it is there.
    pub(super) fn count(&mut self, class: ClassId, place: &Place, count: i32) -> Option<NodeId> {
        let name = place.node()?;
        self.tally.add(name, class, count);
        self.nodes.id(name)
    }
}
