//! `secrets` of a container: variables whose values Secrets of the namespace have, by `NAME:KEY`.

use gantry_sdk::Value;

use crate::fault::{Fault, Result};
use crate::object::{items, text};

/// Whether each can be had.
pub fn check(container: &Value, path: &str) -> Result<()> {
    let mut names: Vec<&str> = items(container, "environment").iter().map(|pair| text(pair, "name")).collect();
    for secret in items(container, "secrets") {
        let (name, from) = (text(secret, "name"), text(secret, "valueFrom"));
        if name.is_empty() || name.contains('=') {
            return Err(Fault::client(format!(
                "Invalid value {name:?} for {path}secrets.name: give the name of a variable."
            )));
        }
        if names.contains(&name) {
            return Err(Fault::client(format!(
                "The secret name must be unique and not shared with any new or existing environment variables set on the \
                 container, such as '{name}'."
            )));
        }
        names.push(name);
        source(from, &format!("{path}secrets[{name}].valueFrom"))?;
    }
    Ok(())
}

fn source(from: &str, what: &str) -> Result<()> {
    let missing = |of: &str| {
        Err(Fault::client(format!(
            "{what} {from} is not supported: it needs a plugin for {of}, which this control plane does not have. Give NAME:KEY \
             of a Secret of the namespace."
        )))
    };
    match from.split_once(':') {
        Some(("arn", rest)) if rest.contains(":secretsmanager:") => missing("AWS Secrets Manager"),
        // A name alone is that of a parameter.
        Some(("arn", _)) | None => missing("AWS Systems Manager"),
        Some((name, key)) if is_name(name) && is_key(key) => Ok(()),
        Some(_) => Err(Fault::client(format!("Invalid value {from:?} for {what}: give NAME:KEY of a Secret."))),
    }
}

/// What can be the name of a Secret.
fn is_name(text: &str) -> bool {
    let inner = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
    let label =
        |part: &str| !part.is_empty() && part.bytes().all(inner) && !part.starts_with('-') && !part.ends_with('-');
    text.len() <= 253 && text.split('.').all(label)
}

/// What can be a key in it.
fn is_key(text: &str) -> bool {
    let inner = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.');
    (1..=253).contains(&text.len()) && text.bytes().all(inner)
}
