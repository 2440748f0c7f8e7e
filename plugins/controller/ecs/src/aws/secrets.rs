//! Secrets of Secrets Manager.

use gantry_sdk::{Value, json, serde_json};

use super::{Failure, ask};

const TARGET: &str = "secretsmanager.GetSecretValue";

/// Which value of which secret.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Wanted {
    /// The secret's ARN.
    pub id: String,
    /// Of a secret that is an object in JSON, the member; empty: all of it.
    pub key: String,
    /// `AWSCURRENT` and so on; empty: that one.
    pub stage: String,
    /// A version's id; empty: whichever has the stage.
    pub version: String,
}

/// The whole of it, which is a text.
pub fn whole(endpoint: &str, wanted: &Wanted) -> Result<String, Failure> {
    let mut asked = json!({"SecretId": wanted.id});
    let more = [("VersionStage", &wanted.stage), ("VersionId", &wanted.version)];
    if let Some(map) = asked.as_object_mut() {
        let given = more.into_iter().filter(|(_, value)| !value.is_empty());
        map.extend(given.map(|(name, value)| (name.to_owned(), json!(value))));
    }
    let answer = ask(endpoint, "1.1", TARGET, &asked)?;
    let whole = answer.get("SecretString").and_then(Value::as_str);
    whole.map(str::to_owned).ok_or_else(|| invalid("it is not a text"))
}

/// What of it is wanted.
pub fn part(whole: &str, key: &str) -> Result<String, Failure> {
    if key.is_empty() {
        return Ok(whole.to_owned());
    }
    let object = serde_json::from_str::<Value>(whole).ok().filter(Value::is_object);
    match object.ok_or_else(|| invalid("it is not an object in JSON"))?.get(key) {
        Some(Value::String(text)) => Ok(text.clone()),
        Some(other) => Ok(other.to_string()),
        None => Err(invalid(&format!("retrieved secret from Secrets Manager did not contain json key {key}"))),
    }
}

fn invalid(what: &str) -> Failure {
    Failure::Refused { code: "InvalidSecret".to_owned(), message: what.to_owned() }
}
