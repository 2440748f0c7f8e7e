use std::sync::Arc;

use gantry_plugin::family::controller as host;
use gantry_sdk::api::Time;
use gantry_sdk::controller::{Mapping, Outcome, Watch};
use gantry_sdk::{Config, Error, KindRef, ObjectRef, Result};

use crate::stage::{Stage, configured};
use crate::words;

/// The component on this thread's stage, as a controller.
#[derive(Default)]
pub struct Controller {
    pool: Option<Arc<dyn gantry_plugin::Controller>>,
    watches: Vec<Watch>,
}

impl gantry_sdk::Controller for Controller {
    /// A component gets its configuration with its first call, which for the host is `describe`.
    fn configure(&mut self, config: Config) -> Result<()> {
        let stage = Stage::current();
        let pool = stage.load(&config)?.controller().ok_or_else(|| Error::invalid("is no controller"))?;
        let description = stage.call(pool.describe()).map_err(words::error)?;
        self.watches = description.watches.into_iter().map(watch).collect();
        self.pool = Some(pool);
        Ok(())
    }

    fn watches(&self) -> Vec<Watch> {
        let Some(pool) = &self.pool else { return Vec::new() };
        let described = Stage::current().call(pool.describe()).expect("describes itself once more");
        let now: Vec<Watch> = described.watches.into_iter().map(watch).collect();
        assert_eq!(now, self.watches, "the description stays the same");
        now
    }

    fn map(&mut self, kind: &KindRef, object: &[u8]) -> Result<Vec<ObjectRef>> {
        let pool = configured(&mut self.pool)?;
        let mapped = Stage::current().call(pool.map(words::to_kind(kind), vec![object.to_vec()]));
        let [keys] = <[_; 1]>::try_from(mapped).expect("one list of keys for one object");
        Ok(keys.into_iter().map(words::reference).collect())
    }

    fn reconcile(&mut self, now: Time, key: &ObjectRef) -> Result<Outcome> {
        let outcome = self.reconcile_batch(now, std::slice::from_ref(key)).pop();
        outcome.ok_or_else(|| Error::internal("no outcome for a key"))
    }

    fn reconcile_batch(&mut self, now: Time, keys: &[ObjectRef]) -> Vec<Outcome> {
        let pool = configured(&mut self.pool).expect("configured first");
        let keys = keys.iter().map(words::to_reference).collect();
        Stage::current().call(pool.reconcile(now.as_millis(), keys)).into_iter().map(outcome).collect()
    }
}

fn watch(given: host::Watch) -> Watch {
    let mapping = match given.mapping {
        host::Mapping::Itself => Mapping::Itself,
        host::Mapping::Owner => Mapping::Owner,
        host::Mapping::Orphan => Mapping::Orphan,
        host::Mapping::Map => Mapping::Map,
    };
    Watch { kind: words::kind(given.kind), mapping, target: words::kind(given.target), fields: given.fields }
}

fn outcome(given: host::Outcome) -> Outcome {
    match given {
        host::Outcome::Done => Outcome::Done,
        host::Outcome::RequeueAfterMs(ms) => Outcome::RequeueAfterMs(ms),
        host::Outcome::Failed(error) => Outcome::Failed(words::error(error)),
    }
}
