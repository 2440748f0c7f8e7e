//! Controllers: a pool of instances, so that different keys are reconciled at once.

use std::sync::{Arc, Mutex};

use async_trait::async_trait;

use super::lengths;
use super::pool::{Loan, Pool, lock};
use super::worlds::Controller as World;
use crate::family::controller::{Description, Outcome};
use crate::family::{Call, Controller, Error, ErrorCode, KindRef, ObjectRef, RetryHint};
use crate::grants::{self, Effective};
use crate::instance::{Recipe, Slot, call, unavailable};

pub(crate) struct ControllerPool {
    pool: Pool<World>,
    /// The first instance's answer, which holds for all.
    description: Mutex<Option<Description>>,
}

impl ControllerPool {
    pub(crate) fn new(recipe: Arc<Recipe<World>>, instances: u32) -> Self {
        Self { pool: Pool::new(recipe, instances), description: Mutex::new(None) }
    }

    /// A slot with an instance that has described itself.
    async fn loan(&self, name: &'static str) -> Call<Result<Loan<World>, Error>> {
        let mut loan = self.pool.take(name).await?;
        if let Some(slot) = &mut loan.slot
            && let Err(refused) = self.fill(slot).await?
        {
            return Ok(Err(refused));
        }
        Ok(Ok(loan))
    }

    async fn fill(&self, slot: &mut Slot<World>) -> Call<Result<(), Error>> {
        const NAME: &str = "controller.describe";
        let fresh = !slot.filled();
        slot.fill(NAME).await?;
        if !fresh {
            return Ok(Ok(()));
        }
        let answer = call!(slot, NAME, |exports, store| exports.gantry_plugin_controller().call_describe(store))?;
        let description = match answer {
            Ok(description) => description,
            Err(refused) => {
                slot.clear();
                return Ok(Err(refused));
            }
        };
        if let Some(refused) = ungranted(&description, &slot.plugin().grants) {
            slot.clear();
            return Ok(Err(refused));
        }
        let mut known = lock(&self.description);
        match &*known {
            None => *known = Some(description),
            Some(first) if same(first, &description) => {}
            Some(_) => {
                drop(known);
                return Err(slot.nonsense(NAME, "describes other watches than its first instance did".to_owned()));
            }
        }
        Ok(Ok(()))
    }
}

#[async_trait]
impl Controller for ControllerPool {
    async fn describe(&self) -> Call<Result<Description, Error>> {
        if let Err(refused) = self.loan("controller.describe").await? {
            return Ok(Err(refused));
        }
        match lock(&self.description).clone() {
            Some(description) => Ok(Ok(description)),
            None => Err(unavailable(self.pool.plugin(), "controller.describe", "it did not describe itself")),
        }
    }

    async fn map(&self, kind: KindRef, objects: Vec<Vec<u8>>) -> Call<Vec<Vec<ObjectRef>>> {
        const NAME: &str = "controller.map";
        let mut loan = match self.loan(NAME).await? {
            Ok(loan) => loan,
            Err(refused) => return Err(unavailable(self.pool.plugin(), NAME, &refused.message)),
        };
        let Some(slot) = &mut loan.slot else { return Ok(Vec::new()) };
        self.pool.plugin().health.moved_in(objects.iter().map(Vec::len).sum());
        let answer = call!(slot, NAME, |exports, store| {
            exports.gantry_plugin_controller().call_map(store, &kind, &objects)
        })?;
        lengths(answer.len(), objects.len(), "lists of keys").map_err(|what| slot.nonsense(NAME, what))?;
        Ok(answer)
    }

    async fn reconcile(&self, now_ms: u64, keys: Vec<ObjectRef>) -> Call<Vec<Outcome>> {
        const NAME: &str = "controller.reconcile";
        let mut loan = match self.loan(NAME).await? {
            Ok(loan) => loan,
            Err(refused) => return Err(unavailable(self.pool.plugin(), NAME, &refused.message)),
        };
        let Some(slot) = &mut loan.slot else { return Ok(Vec::new()) };
        let answer = call!(slot, NAME, |exports, store| {
            exports.gantry_plugin_controller().call_reconcile(store, now_ms, &keys)
        })?;
        lengths(answer.len(), keys.len(), "outcomes").map_err(|what| slot.nonsense(NAME, what))?;
        Ok(answer)
    }
}

/// A watch is a way to read, so it needs a grant like any other.
fn ungranted(description: &Description, grants: &Effective) -> Option<Error> {
    let watch = description.watches.iter().find(|watch| !grants.object(&watch.kind, "watch"))?;
    let message = format!("watches {}, which the bundle does not grant", grants::text(&watch.kind));
    Some(Error { code: ErrorCode::Forbidden, message, retry: RetryHint::Never })
}

fn same(a: &Description, b: &Description) -> bool {
    let kinds = |x: &KindRef, y: &KindRef| x.group == y.group && x.kind == y.kind;
    a.watches.len() == b.watches.len()
        && a.watches
            .iter()
            .zip(&b.watches)
            .all(|(x, y)| kinds(&x.kind, &y.kind) && kinds(&x.target, &y.target) && x.mapping == y.mapping)
}
