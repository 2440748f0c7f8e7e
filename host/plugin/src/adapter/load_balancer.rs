//! Load balancers of a node: one instance with its tables.

use std::sync::Arc;

use async_trait::async_trait;

use super::worlds::LoadBalancer as World;
use crate::family::load_balancer::{Delta, Description, NodeInfo};
use crate::family::network::Operation;
use crate::family::{Call, Error, LoadBalancer};
use crate::instance::{Recipe, Slot, call};

pub(crate) struct LoadBalancerInstance {
    slot: Slot<World>,
}

impl LoadBalancerInstance {
    pub(crate) fn new(recipe: Arc<Recipe<World>>) -> Self {
        Self { slot: Slot::new(recipe) }
    }
}

#[async_trait]
impl LoadBalancer for LoadBalancerInstance {
    async fn reset(&mut self, node: NodeInfo) -> Call<Result<Description, Error>> {
        const NAME: &str = "load-balancer.configure";
        let slot = &mut self.slot;
        slot.clear();
        slot.fill(NAME).await?;
        let config = slot.plugin().config.clone();
        let answer = call!(slot, NAME, |exports, store| {
            exports.gantry_plugin_load_balancer().call_configure(store, &config, &node)
        })?;
        if answer.is_err() {
            slot.clear();
        }
        Ok(answer)
    }

    async fn node(&mut self) -> Call<Result<Vec<Operation>, Error>> {
        const NAME: &str = "load-balancer.node";
        let slot = &mut self.slot;
        let answer = call!(slot, NAME, |exports, store| exports.gantry_plugin_load_balancer().call_node(store))?;
        slot.planned(NAME, answer.iter())?;
        Ok(answer)
    }

    async fn sync(&mut self, full: bool, deltas: &[Delta]) -> Call<Result<Vec<Operation>, Error>> {
        const NAME: &str = "load-balancer.sync";
        let slot = &mut self.slot;
        let answer = call!(slot, NAME, |exports, store| {
            exports.gantry_plugin_load_balancer().call_sync(store, full, deltas)
        })?;
        if answer.is_err() {
            slot.clear();
        }
        slot.planned(NAME, answer.iter())?;
        Ok(answer)
    }
}
