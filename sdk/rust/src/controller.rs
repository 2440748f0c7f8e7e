//! Controllers: bring what is into line with what is wanted, one object at a time.

use std::time::Duration;

use crate::api::{Resource, Time};
use crate::contract::controller::exports::gantry::plugin::controller as wit;
use crate::export::{Holder, enter_configured};
use crate::{Config, Error, KindRef, ObjectRef, Result};

pub use wit::{Description, Mapping, Outcome, Watch};

/// A workload controller. See `wit/controller.wit` for when each call comes and what it may rely on.
pub trait Controller: Default + 'static {
    /// Takes the operator's configuration; called once, first. By default there is none to take.
    fn configure(&mut self, config: Config) -> Result<()> {
        config.refuse()
    }

    /// What is reconciled and what wakes it. Always the same answer.
    fn watches(&self) -> Vec<Watch>;

    /// Keys that a changed object concerns, for watches with the mappings `orphan` and `map`.
    fn map(&mut self, kind: &KindRef, object: &[u8]) -> Result<Vec<ObjectRef>> {
        let _ = (kind, object);
        Ok(Vec::new())
    }

    /// One pass over one key: read, decide, write. Safe to repeat. An object that is gone is `Outcome::Done`.
    fn reconcile(&mut self, now: Time, key: &ObjectRef) -> Result<Outcome>;

    /// One pass over each key, one outcome each, in order. Override it to make the writes of several keys at once.
    fn reconcile_batch(&mut self, now: Time, keys: &[ObjectRef]) -> Vec<Outcome> {
        keys.iter().map(|key| self.reconcile(now, key).unwrap_or_else(Outcome::Failed)).collect()
    }
}

impl Outcome {
    /// Look again after this long, even if nothing changes.
    pub fn after(wait: Duration) -> Self {
        Outcome::RequeueAfterMs(u64::try_from(wait.as_millis()).unwrap_or(u64::MAX))
    }
}

impl Watch {
    /// A change of a `T` wakes that `T`.
    pub fn itself<T: Resource>() -> Self {
        Watch { kind: KindRef::of::<T>(), mapping: Mapping::Itself, target: KindRef::of::<T>(), fields: Vec::new() }
    }

    /// A change of a `T` wakes its controller, if that is an `Owner`.
    pub fn owned<T: Resource, Owner: Resource>() -> Self {
        Watch { kind: KindRef::of::<T>(), mapping: Mapping::Owner, target: KindRef::of::<Owner>(), fields: Vec::new() }
    }

    /// A change of a `T` that has no controller is given to `map`, which answers with keys of `Target`.
    pub fn orphan<T: Resource, Target: Resource>() -> Self {
        Watch {
            kind: KindRef::of::<T>(),
            mapping: Mapping::Orphan,
            target: KindRef::of::<Target>(),
            fields: Vec::new(),
        }
    }

    /// Every change of a `T` is given to `map`, which answers with keys of `Target`.
    pub fn mapped<T: Resource, Target: Resource>() -> Self {
        Watch { kind: KindRef::of::<T>(), mapping: Mapping::Map, target: KindRef::of::<Target>(), fields: Vec::new() }
    }

    /// `map` reads only what these pointers lead to (`/metadata/labels`), and gets nothing else.
    #[must_use]
    pub fn reading<const N: usize>(mut self, fields: [&str; N]) -> Self {
        self.fields = fields.map(str::to_owned).into();
        self
    }
}

impl<H: Holder> wit::Guest for H
where
    H::Plugin: Controller,
{
    fn describe() -> Result<Description> {
        enter_configured::<H, _>(Controller::configure, |c| Description { watches: c.watches() })
    }

    fn map(kind: KindRef, objects: Vec<Vec<u8>>) -> Vec<Vec<ObjectRef>> {
        let none = vec![Vec::new(); objects.len()];
        let mapped = enter_configured::<H, _>(Controller::configure, |c| {
            objects.iter().map(|object| c.map(&kind, object).unwrap_or_else(|e| unmapped(&kind, &e))).collect()
        });
        mapped.unwrap_or_else(|error| {
            unmapped(&kind, &error);
            none
        })
    }

    fn reconcile(now_ms: u64, keys: Vec<ObjectRef>) -> Vec<Outcome> {
        let now = Time::from_millis(now_ms);
        enter_configured::<H, _>(Controller::configure, |c| c.reconcile_batch(now, &keys))
            .unwrap_or_else(|error| keys.iter().map(|_| Outcome::Failed(error.clone())).collect())
    }
}

fn unmapped(kind: &KindRef, error: &Error) -> Vec<ObjectRef> {
    crate::warn!("a change of a {kind} concerns no key: {error}");
    Vec::new()
}
