//! A bounded pool of slots, for families whose calls may run at once.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::family::Call;
use crate::host::Plugin;
use crate::instance::{Recipe, Slot, World, unavailable};

pub(super) struct Pool<W: World> {
    recipe: Arc<Recipe<W>>,
    permits: Arc<Semaphore>,
    /// Slots that nobody uses, the last used on top: it is the warmest.
    idle: Arc<Mutex<Vec<Slot<W>>>>,
}

/// A slot on loan. It is there until the loan ends.
pub(super) struct Loan<W: World> {
    pub(super) slot: Option<Slot<W>>,
    idle: Arc<Mutex<Vec<Slot<W>>>>,
    _permit: OwnedSemaphorePermit,
}

impl<W: World> Drop for Loan<W> {
    fn drop(&mut self) {
        if let Some(slot) = self.slot.take() {
            lock(&self.idle).push(slot);
        }
    }
}

impl<W: World> Pool<W> {
    pub(super) fn new(recipe: Arc<Recipe<W>>, instances: u32) -> Self {
        let permits = Arc::new(Semaphore::new(instances.max(1) as usize));
        Self { recipe, permits, idle: Arc::default() }
    }

    pub(super) fn plugin(&self) -> &Plugin {
        &self.recipe.plugin
    }

    /// A slot, perhaps without an instance. Waits while all are on loan.
    pub(super) async fn take(&self, call: &'static str) -> Call<Loan<W>> {
        let Ok(permit) = self.permits.clone().acquire_owned().await else {
            return Err(unavailable(self.plugin(), call, "it is being unloaded"));
        };
        let slot = lock(&self.idle).pop().unwrap_or_else(|| Slot::new(self.recipe.clone()));
        Ok(Loan { slot: Some(slot), idle: self.idle.clone(), _permit: permit })
    }
}

pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
