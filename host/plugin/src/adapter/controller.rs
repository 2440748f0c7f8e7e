//! Controllers: a pool of instances, so that different keys are reconciled at once.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::lengths;
use super::worlds::Controller as World;
use crate::family::controller::{Description, Outcome};
use crate::family::{Call, Controller, Error, ErrorCode, KindRef, ObjectRef, RetryHint};
use crate::grants::{self, Effective};
use crate::instance::{Recipe, Slot, call, unavailable};

pub(crate) struct ControllerPool {
    recipe: Arc<Recipe<World>>,
    permits: Arc<Semaphore>,
    /// Slots that nobody uses, the last used on top: it is the warmest.
    idle: Arc<Mutex<Vec<Slot<World>>>>,
    /// The first instance's answer, which holds for all.
    description: Mutex<Option<Description>>,
}

/// A slot on loan.
struct Loan {
    slot: Option<Slot<World>>,
    idle: Arc<Mutex<Vec<Slot<World>>>>,
    _permit: OwnedSemaphorePermit,
}

impl Drop for Loan {
    fn drop(&mut self) {
        if let Some(slot) = self.slot.take() {
            lock(&self.idle).push(slot);
        }
    }
}

impl ControllerPool {
    pub(crate) fn new(recipe: Arc<Recipe<World>>, instances: u32) -> Self {
        let permits = Arc::new(Semaphore::new(instances.max(1) as usize));
        Self { recipe, permits, idle: Arc::default(), description: Mutex::new(None) }
    }

    /// A slot with an instance that has described itself.
    async fn loan(&self, name: &'static str) -> Call<Result<Loan, Error>> {
        let Ok(permit) = self.permits.clone().acquire_owned().await else {
            return Err(unavailable(&self.recipe.plugin, name, "it is being unloaded"));
        };
        let slot = lock(&self.idle).pop().unwrap_or_else(|| Slot::new(self.recipe.clone()));
        let mut loan = Loan { slot: Some(slot), idle: self.idle.clone(), _permit: permit };
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
            None => Err(unavailable(&self.recipe.plugin, "controller.describe", "it did not describe itself")),
        }
    }

    async fn map(&self, kind: KindRef, objects: Vec<Vec<u8>>) -> Call<Vec<Vec<ObjectRef>>> {
        const NAME: &str = "controller.map";
        let mut loan = match self.loan(NAME).await? {
            Ok(loan) => loan,
            Err(refused) => return Err(unavailable(&self.recipe.plugin, NAME, &refused.message)),
        };
        let Some(slot) = &mut loan.slot else { return Ok(Vec::new()) };
        self.recipe.plugin.health.moved_in(objects.iter().map(Vec::len).sum());
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
            Err(refused) => return Err(unavailable(&self.recipe.plugin, NAME, &refused.message)),
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

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
