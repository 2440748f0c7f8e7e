use gantry_sdk::{Error, Result};

/// A day.
const MOST: u32 = 86_400;

/// Checks a time that the option `key` says, in seconds: at most a day.
pub fn seconds(key: &str, seconds: u32) -> Result<()> {
    if seconds > MOST { Err(Error::invalid(format!("{key} of {seconds} s: at most {MOST}"))) } else { Ok(()) }
}
