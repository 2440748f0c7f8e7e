//! Network policies of a node: one instance with its tables.

use std::sync::Arc;

use async_trait::async_trait;

use super::worlds::NetworkPolicy as World;
use crate::family::network::Operation;
use crate::family::network_policy::{Delta, NodeInfo};
use crate::family::{Call, Error, NetworkPolicy};
use crate::instance::{Recipe, Slot, call};

pub(crate) struct NetworkPolicyInstance {
    slot: Slot<World>,
}

impl NetworkPolicyInstance {
    pub(crate) fn new(recipe: Arc<Recipe<World>>) -> Self {
        Self { slot: Slot::new(recipe) }
    }
}

#[async_trait]
impl NetworkPolicy for NetworkPolicyInstance {
    async fn reset(&mut self, node: NodeInfo) -> Call<Result<(), Error>> {
        const NAME: &str = "network-policy.configure";
        let slot = &mut self.slot;
        slot.clear();
        slot.fill(NAME).await?;
        let config = slot.plugin().config.clone();
        let answer = call!(slot, NAME, |exports, store| {
            exports.gantry_plugin_network_policy().call_configure(store, &config, &node)
        })?;
        if answer.is_err() {
            slot.clear();
        }
        Ok(answer)
    }

    async fn node(&mut self) -> Call<Result<Vec<Operation>, Error>> {
        const NAME: &str = "network-policy.node";
        let slot = &mut self.slot;
        let answer = call!(slot, NAME, |exports, store| exports.gantry_plugin_network_policy().call_node(store))?;
        slot.planned(NAME, answer.iter())?;
        Ok(answer)
    }

    async fn sync(&mut self, full: bool, deltas: &[Delta]) -> Call<Result<Vec<Operation>, Error>> {
        const NAME: &str = "network-policy.sync";
        let slot = &mut self.slot;
        let answer = call!(slot, NAME, |exports, store| {
            exports.gantry_plugin_network_policy().call_sync(store, full, deltas)
        })?;
        if answer.is_err() {
            slot.clear();
        }
        slot.planned(NAME, answer.iter())?;
        Ok(answer)
    }
}
