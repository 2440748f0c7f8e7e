//! `secrets` of a container: variables whose values Secrets of the namespace have, by `NAME:KEY`, or AWS, by ARNs and names
//! of parameters.

use ecs_common::endpoints::Aws;
use gantry_sdk::Value;

use super::endpoints;
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
    let need = |aws: Aws| endpoints::need(aws, &format!("{what} {from}"));
    let parts: Vec<&str> = from.split(':').collect();
    match parts.as_slice() {
        // After the secret: a member of its JSON, a version's stage, a version's id.
        ["arn", _, "secretsmanager", _, _, "secret", name, more @ ..] if !name.is_empty() && more.len() <= 3 => {
            need(Aws::SecretsManager)
        }
        ["arn", _, "ssm", _, _, name] if name.strip_prefix("parameter/").is_some_and(is_parameter) => need(Aws::Ssm),
        // A name alone is that of a parameter.
        [name] if is_parameter(name) => need(Aws::Ssm),
        [name, key] if is_name(name) && is_key(key) && !is_of_a_task(name) => Ok(()),
        _ => Err(Fault::client(format!(
            "Invalid value {from:?} for {what}: give NAME:KEY of a Secret, the name or the ARN of a parameter of Systems \
             Manager, or the ARN of a secret of Secrets Manager."
        ))),
    }
}

/// What can be the name of a parameter.
fn is_parameter(text: &str) -> bool {
    let inner = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.' | b'/');
    (1..=1011).contains(&text.len()) && text.bytes().all(inner)
}

/// What can be the name of a Secret.
fn is_name(text: &str) -> bool {
    let inner = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
    let label =
        |part: &str| !part.is_empty() && part.bytes().all(inner) && !part.starts_with('-') && !part.ends_with('-');
    text.len() <= 253 && text.split('.').all(label)
}

/// Names of the Secrets with what was read for one task, which is no other's to see.
fn is_of_a_task(name: &str) -> bool {
    let id = name.strip_prefix("task-").map(|rest| rest.split_once("-files-").map_or(rest, |(id, _)| id));
    id.is_some_and(|id| id.len() == 32 && id.bytes().all(|b| b.is_ascii_hexdigit()))
}

/// What can be a key in it.
fn is_key(text: &str) -> bool {
    let inner = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.');
    (1..=253).contains(&text.len()) && text.bytes().all(inner)
}
