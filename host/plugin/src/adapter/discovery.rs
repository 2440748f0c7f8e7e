//! A source of names of a node: one instance with its tables.

use std::sync::Arc;

use async_trait::async_trait;

use super::worlds::Discovery as World;
use crate::family::discovery::{Change, Delta, Description, NodeInfo, Source};
use crate::family::{Call, Discovery, Error, ErrorCode, RetryHint};
use crate::instance::{Recipe, Slot, call};

pub(crate) struct DiscoveryInstance {
    slot: Slot<World>,
}

impl DiscoveryInstance {
    pub(crate) fn new(recipe: Arc<Recipe<World>>) -> Self {
        Self { slot: Slot::new(recipe) }
    }

    /// It sees what nodes then may read: that must be granted.
    fn granted(&self, source: &Source) -> Result<(), Error> {
        let grants = &self.slot.plugin().grants;
        match ["list", "watch"].into_iter().find(|verb| !grants.object(&source.kind, verb)) {
            None => Ok(()),
            Some(verb) => Err(Error {
                code: ErrorCode::Forbidden,
                message: format!(
                    "wants to see {}, but the bundle does not grant {verb} on {} of group {:?}",
                    source.plural, source.kind.kind, source.kind.group
                ),
                retry: RetryHint::Never,
            }),
        }
    }
}

#[async_trait]
impl Discovery for DiscoveryInstance {
    async fn reset(&mut self, node: NodeInfo) -> Call<Result<Description, Error>> {
        const NAME: &str = "discovery.configure";
        let slot = &mut self.slot;
        slot.clear();
        slot.fill(NAME).await?;
        let config = slot.plugin().config.clone();
        let answer = call!(slot, NAME, |exports, store| {
            exports.gantry_plugin_discovery().call_configure(store, &config, &node)
        })?;
        let checked = answer.and_then(|description| {
            description.sources.iter().try_for_each(|source| self.granted(source))?;
            Ok(description)
        });
        if checked.is_err() {
            self.slot.clear();
        }
        Ok(checked)
    }

    async fn sync(&mut self, full: bool, deltas: &[Delta]) -> Call<Result<Vec<Change>, Error>> {
        const NAME: &str = "discovery.sync";
        let slot = &mut self.slot;
        let answer =
            call!(slot, NAME, |exports, store| exports.gantry_plugin_discovery().call_sync(store, full, deltas))?;
        if answer.is_err() {
            slot.clear();
        }
        Ok(answer)
    }
}
