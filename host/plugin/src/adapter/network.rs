//! Pod networks: one instance with its leases.

use std::sync::Arc;

use async_trait::async_trait;

use super::lengths;
use super::worlds::Network as World;
use crate::family::network::{Attached, Attachment, Detached, Lease, NodeInfo, Operation, PeerDelta};
use crate::family::{Call, Error, Network};
use crate::instance::{Recipe, Slot, call};

pub(crate) struct NetworkInstance {
    slot: Slot<World>,
}

impl NetworkInstance {
    pub(crate) fn new(recipe: Arc<Recipe<World>>) -> Self {
        Self { slot: Slot::new(recipe) }
    }
}

#[async_trait]
impl Network for NetworkInstance {
    async fn reset(&mut self, node: NodeInfo, leases: Vec<Lease>) -> Call<Result<(), Error>> {
        const NAME: &str = "network.configure";
        let slot = &mut self.slot;
        slot.clear();
        slot.fill(NAME).await?;
        let config = slot.plugin().config.clone();
        let mut answer = call!(slot, NAME, |exports, store| {
            exports.gantry_plugin_network().call_configure(store, &config, &node)
        })?;
        if answer.is_ok() {
            answer = call!(slot, "network.restore", |exports, store| {
                exports.gantry_plugin_network().call_restore(store, &leases)
            })?;
        }
        if answer.is_err() {
            slot.clear();
        }
        Ok(answer)
    }

    async fn node(&mut self) -> Call<Result<Vec<Operation>, Error>> {
        const NAME: &str = "network.node";
        let slot = &mut self.slot;
        let answer = call!(slot, NAME, |exports, store| exports.gantry_plugin_network().call_node(store))?;
        slot.planned(NAME, answer.iter())?;
        Ok(answer)
    }

    async fn peers(&mut self, full: bool, deltas: Vec<PeerDelta>) -> Call<Result<Vec<Operation>, Error>> {
        const NAME: &str = "network.peers";
        let slot = &mut self.slot;
        let answer =
            call!(slot, NAME, |exports, store| exports.gantry_plugin_network().call_peers(store, full, &deltas))?;
        slot.planned(NAME, answer.iter())?;
        Ok(answer)
    }

    async fn add(&mut self, sandboxes: Vec<Attachment>) -> Call<Vec<Result<Attached, Error>>> {
        const NAME: &str = "network.add";
        let slot = &mut self.slot;
        let answer = call!(slot, NAME, |exports, store| exports.gantry_plugin_network().call_add(store, &sandboxes))?;
        lengths(answer.len(), sandboxes.len(), "attachments").map_err(|what| slot.nonsense(NAME, what))?;
        slot.planned(NAME, answer.iter().flatten().map(|a| &a.plan))?;
        Ok(answer)
    }

    async fn del(&mut self, sandboxes: Vec<Attachment>) -> Call<Vec<Result<Detached, Error>>> {
        const NAME: &str = "network.del";
        let slot = &mut self.slot;
        let answer = call!(slot, NAME, |exports, store| exports.gantry_plugin_network().call_del(store, &sandboxes))?;
        lengths(answer.len(), sandboxes.len(), "detachments").map_err(|what| slot.nonsense(NAME, what))?;
        slot.planned(NAME, answer.iter().flatten().map(|d| &d.plan))?;
        Ok(answer)
    }

    async fn gc(&mut self, alive: Vec<String>) -> Call<Result<Detached, Error>> {
        const NAME: &str = "network.gc";
        let slot = &mut self.slot;
        let answer = call!(slot, NAME, |exports, store| exports.gantry_plugin_network().call_gc(store, &alive))?;
        slot.planned(NAME, answer.iter().map(|d| &d.plan))?;
        Ok(answer)
    }

    async fn status(&mut self) -> Call<Result<(), Error>> {
        let slot = &mut self.slot;
        call!(slot, "network.status", |exports, store| exports.gantry_plugin_network().call_status(store))
    }
}
