use gantry_plugin::family::sink as host;
use gantry_sdk::sink::{Batch, Outcome};
use gantry_sdk::{Config, Error, Result};

use crate::stage::{Stage, configured};
use crate::words;

/// The component on this thread's stage, as a destination of records.
#[derive(Default)]
pub struct Sink {
    instance: Option<Box<dyn gantry_plugin::Sink>>,
}

impl gantry_sdk::Sink for Sink {
    fn configure(&mut self, config: Config) -> Result<()> {
        let stage = Stage::current();
        let mut instance = stage.load(&config)?.sink().ok_or_else(|| Error::invalid("is no sink"))?;
        stage.call(instance.reset()).map_err(words::error)?;
        self.instance = Some(instance);
        Ok(())
    }

    fn write(&mut self, batch: Batch) -> Outcome {
        let instance = configured(&mut self.instance).expect("configured first");
        match Stage::current().call(instance.write(&offered(batch))) {
            host::Outcome::Accepted => Outcome::Accepted,
            host::Outcome::RetryAfterMs(ms) => Outcome::RetryAfterMs(ms),
            host::Outcome::Rejected(why) => Outcome::Rejected(why),
        }
    }
}

fn offered(given: Batch) -> host::Batch {
    let origin = |origin: gantry_sdk::sink::Origin| host::Origin { attributes: words::to_labels(origin.attributes) };
    let record = |record: gantry_sdk::sink::LogRecord| host::LogRecord {
        origin: record.origin,
        time_unix_nano: record.time_unix_nano,
        severity_number: record.severity_number,
        body: record.body,
        attributes: words::to_labels(record.attributes),
    };
    host::Batch {
        origins: given.origins.into_iter().map(origin).collect(),
        records: given.records.into_iter().map(record).collect(),
    }
}
