use std::sync::Arc;

use gantry_plugin::Api;
use gantry_sdk::dialect::Call;
use gantry_sdk::dialect::http::{Request, Response};
use gantry_sdk::{Config, Error, Result};

use crate::stage::{Stage, configured};
use crate::words;

/// The component on this thread's stage, as a dialect. It has its own clock and ids.
#[derive(Default)]
pub struct Dialect {
    instance: Option<Arc<dyn Api>>,
}

impl gantry_sdk::Dialect for Dialect {
    fn configure(&mut self, config: Config) -> Result<()> {
        let stage = Stage::current();
        let instance = stage.load(&config)?.api().ok_or_else(|| Error::invalid("is no dialect"))?;
        stage.call(instance.configure()).map_err(words::error)?;
        self.instance = Some(instance);
        Ok(())
    }

    fn handle(&mut self, _: &Call, request: Request<Vec<u8>>) -> Response<Vec<u8>> {
        let instance = configured(&mut self.instance).expect("configured first");
        Stage::current().call(instance.handle(request.map(Into::into))).map(|body| body.to_vec())
    }
}
