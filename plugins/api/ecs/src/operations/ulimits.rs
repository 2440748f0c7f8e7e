//! `ulimits` of a container. Names are held against ECS's where the shape of a request is.

use gantry_sdk::Value;

use crate::fault::{Fault, Result};
use crate::object::{items, text};

/// Whether each can be had.
pub fn check(container: &Value, path: &str) -> Result<()> {
    let mut names: Vec<&str> = Vec::new();
    for given in items(container, "ulimits") {
        let name = text(given, "name");
        if names.contains(&name) {
            return Err(Fault::client(format!("{path}ulimits: there are two of {name}.")));
        }
        names.push(name);
        let path = format!("{path}ulimits[{name}].");
        let (soft, hard) = (limit(given, "softLimit", &path)?, limit(given, "hardLimit", &path)?);
        // The kernel has a highest number of open files, and starts nothing that asks for more.
        if name == "nofile" && hard == u64::MAX {
            return Err(Fault::client(format!(
                "Invalid value for {path}hardLimit: open files can't be without limit."
            )));
        }
        if soft > hard {
            return Err(Fault::client(format!(
                "Invalid value for {path}softLimit: give one that is not above the hardLimit."
            )));
        }
    }
    Ok(())
}

/// -1 is without limit.
fn limit(given: &Value, name: &str, path: &str) -> Result<u64> {
    match given.get(name).and_then(Value::as_i64) {
        Some(-1) => Ok(u64::MAX),
        Some(number) if (0..=i64::from(i32::MAX)).contains(&number) => Ok(number.unsigned_abs()),
        _ => Err(Fault::client(format!(
            "Invalid value for {path}{name}: give one from 0 to {}, or -1 for no limit.",
            i32::MAX
        ))),
    }
}
