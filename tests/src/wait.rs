//! Waiting for a condition instead of a time.

use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};

/// Asks until `ready` gives something. Fails with its last error once `patience` is over.
pub fn wait_for<T>(what: &str, patience: Duration, mut ready: impl FnMut() -> Result<T>) -> Result<T> {
    let deadline = Instant::now() + patience;
    loop {
        match ready() {
            Ok(value) => return Ok(value),
            Err(error) if Instant::now() > deadline => {
                return Err(error).with_context(|| format!("waited {} s for {what}", patience.as_secs()));
            }
            Err(_) => sleep(Duration::from_millis(50)),
        }
    }
}
