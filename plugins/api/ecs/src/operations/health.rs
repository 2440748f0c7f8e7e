//! `healthCheck` of a container.
//! <https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_HealthCheck.html>

use gantry_sdk::{Value, json};

use super::numbers;
use crate::fault::{Fault, Result};
use crate::object::texts;

/// Names, what they may be, and what they are when they are not given.
const NUMBERS: [(&str, i64, i64, i64); 4] =
    [("interval", 5, 300, 30), ("timeout", 2, 60, 5), ("retries", 1, 10, 3), ("startPeriod", 0, 300, 0)];

/// Whether it can be done.
pub fn check(container: &Value, path: &str) -> Result<()> {
    let Some(given) = container.get("healthCheck") else { return Ok(()) };
    let path = format!("{path}healthCheck.");
    let words: Vec<&str> = texts(given, "command").collect();
    match words.as_slice() {
        ["CMD", _, ..] | ["CMD-SHELL", _] => {}
        ["CMD-SHELL", _, ..] => return Err(wrong(&path, "command", "CMD-SHELL and one text for the shell")),
        _ => {
            return Err(wrong(
                &path,
                "command",
                "CMD and the words of a command, or CMD-SHELL and a text for the shell",
            ));
        }
    }
    for (name, least, most, _) in NUMBERS {
        numbers::whole(given, &[name], &path).map_err(Fault::client)?;
        if given.get(name).and_then(Value::as_i64).is_some_and(|number| !(least..=most).contains(&number)) {
            return Err(wrong(&path, name, &format!("a number from {least} to {most}")));
        }
    }
    Ok(())
}

fn wrong(path: &str, name: &str, give: &str) -> Fault {
    Fault::client(format!("Invalid value for {path}{name}: give {give}."))
}

/// With what ECS fills in.
pub fn complete(check: &mut Value) {
    let Some(check) = check.as_object_mut() else { return };
    for (name, _, _, usual) in NUMBERS.iter().filter(|(name, ..)| *name != "startPeriod") {
        check.entry(*name).or_insert_with(|| json!(usual));
    }
}
