//! Destinations of records: one instance.

use std::sync::Arc;

use async_trait::async_trait;

use super::worlds::Sink as World;
use crate::family::sink::{Batch, Outcome};
use crate::family::{Call, Error, Sink};
use crate::instance::{Recipe, Slot, call};

pub(crate) struct SinkInstance {
    slot: Slot<World>,
}

impl SinkInstance {
    pub(crate) fn new(recipe: Arc<Recipe<World>>) -> Self {
        Self { slot: Slot::new(recipe) }
    }
}

#[async_trait]
impl Sink for SinkInstance {
    async fn reset(&mut self) -> Call<Result<(), Error>> {
        const NAME: &str = "sink.configure";
        let slot = &mut self.slot;
        slot.clear();
        slot.fill(NAME).await?;
        let config = slot.plugin().config.clone();
        let answer = call!(slot, NAME, |exports, store| exports.gantry_plugin_sink().call_configure(store, &config))?;
        if answer.is_err() {
            slot.clear();
        }
        Ok(answer)
    }

    async fn write(&mut self, batch: &Batch) -> Call<Outcome> {
        let slot = &mut self.slot;
        slot.plugin().health.moved_in(batch.records.iter().map(|record| record.body.len()).sum());
        call!(slot, "sink.write", |exports, store| exports.gantry_plugin_sink().call_write(store, batch))
    }
}
