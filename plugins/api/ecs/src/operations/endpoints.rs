//! Services of AWS that `controller-ecs` asks. Which it may ask is in its Plugin object: what needs another is refused.

use ecs_common::endpoints::{Aws, Endpoints, origin};
use gantry_sdk::objects::{self, Query};
use gantry_sdk::{KindRef, Value, serde_json};

use crate::fault::{Fault, Result};

/// A kind that `controller-ecs` declares, whatever it is called in the bundle.
const DECLARED: &str = "services.ecs.gantry.dev";

/// The kinds that a plugin declares, its configuration, and where it may send requests.
type Row = (Option<Vec<String>>, Value, Option<Vec<String>>);

/// Refuses what needs a service that may not be asked.
pub fn need(aws: Aws, what: &str) -> Result<()> {
    let fields = ["/status/kinds", "/spec/config", "/spec/grants/http"];
    let plugins: Vec<Row> = objects::rows(&Query::kind(KindRef::new("gantry.dev", "Plugin")), fields)?;
    let ours = plugins.into_iter().find(|(kinds, ..)| kinds.iter().flatten().any(|kind| kind == DECLARED));
    let (_, config, granted) = ours.unwrap_or_default();
    let endpoints = config.get("endpoints").cloned().unwrap_or_default();
    let endpoints: Endpoints = serde_json::from_value(endpoints).unwrap_or_default();
    let missing = |which: &str| {
        Err(Fault::client(format!(
            "{what} is not supported: it needs {which} in the bundle, which this control plane does not have."
        )))
    };
    let (option, title) = (aws.option(), aws.title());
    match endpoints.of(aws).map(origin) {
        None => missing(&format!("controller-ecs with an endpoint of {title} (endpoints.{option})")),
        Some(at) if granted.iter().flatten().all(|granted| origin(granted) != at) => {
            missing(&format!("controller-ecs with the grant to ask {title} (grants.http of {at})"))
        }
        Some(_) => Ok(()),
    }
}
