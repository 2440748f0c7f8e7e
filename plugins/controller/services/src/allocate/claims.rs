//! Taking and releasing, whatever is claimed.

use std::collections::BTreeSet;

use gantry_sdk::api::{LabelSelector, Resource};
use gantry_sdk::objects::{self, Query, Write};
use gantry_sdk::{Error, ObjectRef, Result};

use crate::object::{Claim, Service, labels_of};

/// What came of an attempt.
pub enum Taken {
    /// It is the Service's, now or already.
    Ours,
    /// Somebody else has it.
    By(String),
}

/// Every claim of Services of this name, those of earlier ones included.
pub fn held<C: Claim>(namespace: &str, name: &str) -> Result<Vec<C>> {
    let mut claims: Vec<C> =
        objects::list(&Query::of::<C>().labels(LabelSelector::labels(labels_of(namespace, name))))?;
    claims.retain(|claim| claim.is_of(namespace, name));
    Ok(claims)
}

/// Names of those that are this very Service's.
pub fn own<C: Claim>(held: &[C], service: &Service) -> BTreeSet<String> {
    held.iter().filter(|claim| claim.service_uid() == service.uid()).map(|claim| claim.name().to_owned()).collect()
}

/// Names of all claims of a kind.
pub fn all<C: Claim>() -> Result<BTreeSet<String>> {
    let rows: Vec<(String,)> = objects::rows(&Query::of::<C>(), ["/metadata/name"])?;
    Ok(rows.into_iter().map(|(name,)| name).collect())
}

/// Takes a name for a Service. The creation decides: of two that try, one fails.
pub fn take<C: Claim>(name: &str, service: &Service) -> Result<Taken> {
    for _ in 0..2 {
        match objects::apply_one(Write::create(&C::of(name, service))?) {
            Ok(_) => return Ok(Taken::Ours),
            Err(error) if error.is_already_exists() => {}
            Err(error) => return Err(error),
        }
        let Some(found) = objects::get::<C>(&ObjectRef::of::<C>("", name))? else { continue };
        if !found.is_of(service.namespace(), service.name()) {
            let parent = found.parent();
            return Ok(Taken::By(format!("{} {}/{}", parent.resource, parent.namespace, parent.name)));
        }
        // The answer to an earlier creation was lost.
        if found.service_uid() == service.uid() {
            return Ok(Taken::Ours);
        }
        // An earlier Service of this name is gone, or this one would not be there.
        release([&found].into_iter())?;
    }
    Err(Error::conflict(format!("{} {name} changes hands", C::WHAT)))
}

/// Lets go of claims. One that is gone or not the same any more is nobody's business here.
pub fn release<'a, C: Claim + 'a>(claims: impl Iterator<Item = &'a C>) -> Result<()> {
    let writes: Vec<Write> = claims.map(|claim| Write::delete(claim.reference()).if_uid(claim.uid())).collect();
    for answer in objects::apply(&writes) {
        match answer {
            Err(error) if !error.is_not_found() && !error.is_conflict() => return Err(error),
            _ => {}
        }
    }
    Ok(())
}
