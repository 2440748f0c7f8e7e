//! Controllers: a pool of instances, so that different keys are reconciled at once.

use std::sync::Arc;

use async_trait::async_trait;

use super::described::{Describe, Described};
use super::lengths;
use super::worlds::Controller as World;
use crate::family::controller::{Description, Outcome};
use crate::family::{Call, Controller, Error, ErrorCode, KindRef, ObjectRef, RetryHint};
use crate::grants::{self, Effective};
use crate::instance::{Recipe, Slot, call};

impl Describe for World {
    type Description = Description;
    const NAME: &'static str = "controller.describe";
    const WHAT: &'static str = "watches";

    async fn describe(slot: &mut Slot<Self>) -> Call<Result<Description, Error>> {
        call!(slot, Self::NAME, |exports, store| exports.gantry_plugin_controller().call_describe(store))
    }

    fn check(description: &Description, grants: &Effective) -> Result<(), Error> {
        ungranted(description, grants).or_else(|| unreadable(description)).map_or(Ok(()), Err)
    }

    fn same(a: &Description, b: &Description) -> bool {
        same(a, b)
    }
}

pub(crate) struct ControllerPool {
    pool: Described<World>,
}

impl ControllerPool {
    pub(crate) fn new(recipe: Arc<Recipe<World>>, instances: u32) -> Self {
        Self { pool: Described::new(recipe, instances) }
    }
}

#[async_trait]
impl Controller for ControllerPool {
    async fn describe(&self) -> Call<Result<Description, Error>> {
        self.pool.description().await
    }

    async fn map(&self, kind: KindRef, objects: Vec<Vec<u8>>) -> Call<Vec<Vec<ObjectRef>>> {
        const NAME: &str = "controller.map";
        let mut loan = self.pool.take(NAME).await?;
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
        let mut loan = self.pool.take(NAME).await?;
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

fn unreadable(description: &Description) -> Option<Error> {
    let wrong = |field: &&String| !field.starts_with('/');
    let (watch, field) =
        description.watches.iter().find_map(|watch| Some((watch, watch.fields.iter().find(wrong)?)))?;
    let message = format!(
        "reads {field:?} of {}, which is no JSON pointer: it must begin with a slash",
        grants::text(&watch.kind)
    );
    Some(Error { code: ErrorCode::Invalid, message, retry: RetryHint::Never })
}

fn same(a: &Description, b: &Description) -> bool {
    let kinds = |x: &KindRef, y: &KindRef| x.group == y.group && x.kind == y.kind;
    a.watches.len() == b.watches.len()
        && a.watches.iter().zip(&b.watches).all(|(x, y)| {
            kinds(&x.kind, &y.kind) && kinds(&x.target, &y.target) && x.mapping == y.mapping && x.fields == y.fields
        })
}
