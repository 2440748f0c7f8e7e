//! Sinks: where records go.

use crate::contract::sink::exports::gantry::plugin::sink as wit;
use crate::export::{Holder, enter, start};
use crate::{Config, Result};

pub use wit::{Batch, LogRecord, Origin, Outcome};

/// A destination of records. See `wit/sink.wit` for when each call comes and what it may rely on.
pub trait Sink: Default + 'static {
    /// Takes the operator's configuration; called once, first. By default there is none to take.
    fn configure(&mut self, config: Config) -> Result<()> {
        config.refuse()
    }

    /// Takes a batch. It may come again after a crash: at least once, in order per origin.
    fn write(&mut self, batch: Batch) -> Outcome;
}

impl<H: Holder> wit::Guest for H
where
    H::Plugin: Sink,
{
    fn configure(config: String) -> Result<()> {
        start::<H, ()>(|s| s.configure(Config::from_text(config)))
    }

    fn write(batch: Batch) -> Outcome {
        enter::<H, _>(|s| s.write(batch)).unwrap_or_else(|error| Outcome::Rejected(error.message))
    }
}
