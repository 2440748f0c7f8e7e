//! Where this process's own log goes: standard error, as text or JSON.

use std::io::{self, IsTerminal};

use anyhow::{Context, Result};
use tracing_subscriber::EnvFilter;

use crate::cli::{Format, Log};

/// Starts logging. Called once.
pub fn start(log: &Log) -> Result<()> {
    let filter = EnvFilter::try_new(&log.log).with_context(|| format!("--log {:?} is no filter", log.log))?;
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(io::stderr);
    match log.log_format {
        Format::Text => builder.with_ansi(io::stderr().is_terminal()).init(),
        Format::Json => builder.json().flatten_event(true).init(),
    }
    Ok(())
}
