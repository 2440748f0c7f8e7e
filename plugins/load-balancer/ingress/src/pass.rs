//! One pass over an Ingress.

use gantry_sdk::controller::Outcome;
use gantry_sdk::objects::{self, Event};
use gantry_sdk::{ObjectRef, Result};

use crate::object::Ingress;
use crate::options::Options;
use crate::{addresses, class, frontend, rules};

/// Brings everything that follows from an Ingress in line. `nodes`: where it is reached.
pub fn reconcile(options: &Options, nodes: &[String], key: &ObjectRef) -> Result<Outcome> {
    // What it owns goes with it.
    let Some(ingress) = objects::get::<Ingress>(key)? else { return Ok(Outcome::Done) };
    if ingress.metadata.is_deleting() || !class::is_ours(options, &ingress)? {
        if let Some(frontend) = frontend::find(&ingress)? {
            // While the Frontend is there it is known that the status is this plugin's.
            addresses::publish(&ingress, &[])?;
            frontend::delete(&frontend)?;
        }
        return Ok(Outcome::Done);
    }
    let (spec, missing) = rules::spec(options, &ingress)?;
    frontend::sync(&ingress, spec)?;
    addresses::publish(&ingress, nodes)?;
    let events: Vec<Event> =
        missing.into_iter().map(|missing| Event::warning(&ingress, missing.reason, missing.message)).collect();
    objects::record(&events);
    Ok(Outcome::Done)
}
