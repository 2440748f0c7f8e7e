//! A pool whose instances describe themselves when they are made.

use std::sync::{Arc, Mutex};

use super::pool::{Loan, Pool, lock};
use crate::family::{Call, Error};
use crate::grants::Effective;
use crate::host::Plugin;
use crate::instance::{Recipe, Slot, World, unavailable};

/// A world with a `describe` whose answer holds as long as the plugin is loaded.
pub(super) trait Describe: World + Sized {
    type Description: Clone + Send;
    /// The call's name.
    const NAME: &'static str;
    /// What a description lists, for a message.
    const WHAT: &'static str;

    /// Asks an instance.
    fn describe(slot: &mut Slot<Self>) -> impl Future<Output = Call<Result<Self::Description, Error>>> + Send;

    /// Whether it makes sense and is granted.
    fn check(description: &Self::Description, grants: &Effective) -> Result<(), Error>;

    fn same(a: &Self::Description, b: &Self::Description) -> bool;
}

pub(super) struct Described<W: Describe> {
    pool: Pool<W>,
    /// The first instance's answer, which holds for all.
    description: Mutex<Option<W::Description>>,
}

impl<W: Describe> Described<W> {
    pub(super) fn new(recipe: Arc<Recipe<W>>, instances: u32) -> Self {
        Self { pool: Pool::new(recipe, instances), description: Mutex::new(None) }
    }

    pub(super) fn plugin(&self) -> &Plugin {
        self.pool.plugin()
    }

    /// What the plugin says of itself. An inner error is its refusal of its configuration, or ours of its description.
    pub(super) async fn description(&self) -> Call<Result<W::Description, Error>> {
        if let Err(refused) = self.loan(W::NAME).await? {
            return Ok(Err(refused));
        }
        match lock(&self.description).clone() {
            Some(description) => Ok(Ok(description)),
            None => Err(unavailable(self.plugin(), W::NAME, "it did not describe itself")),
        }
    }

    /// A slot with an instance, for any other call: one that was refused has no answers.
    pub(super) async fn take(&self, name: &'static str) -> Call<Loan<W>> {
        self.loan(name).await?.map_err(|refused| unavailable(self.plugin(), name, &refused.message))
    }

    async fn loan(&self, name: &'static str) -> Call<Result<Loan<W>, Error>> {
        let mut loan = self.pool.take(name).await?;
        if let Some(slot) = &mut loan.slot
            && let Err(refused) = self.fill(slot).await?
        {
            return Ok(Err(refused));
        }
        Ok(Ok(loan))
    }

    async fn fill(&self, slot: &mut Slot<W>) -> Call<Result<(), Error>> {
        let fresh = !slot.filled();
        slot.fill(W::NAME).await?;
        if !fresh {
            return Ok(Ok(()));
        }
        let answer = W::describe(slot).await?;
        let checked = answer.and_then(|d| W::check(&d, &slot.plugin().grants).map(|()| d));
        let description = match checked {
            Ok(description) => description,
            Err(refused) => {
                slot.clear();
                return Ok(Err(refused));
            }
        };
        let mut known = lock(&self.description);
        match &*known {
            None => *known = Some(description),
            Some(first) if W::same(first, &description) => {}
            Some(_) => {
                drop(known);
                let what = format!("describes other {} than its first instance did", W::WHAT);
                return Err(slot.nonsense(W::NAME, what));
            }
        }
        Ok(Ok(()))
    }
}
