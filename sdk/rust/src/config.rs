//! What the operator wrote for this plugin in the bundle.

use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::{Error, Result, host};

/// The plugin's `[plugin.config]` table as JSON.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config(String);

impl Config {
    /// As the host gives it.
    pub fn get() -> Self {
        Config(host::config())
    }

    /// From text, for calls that bring it along.
    pub fn from_text(json: impl Into<String>) -> Self {
        Config(json.into())
    }

    /// Reads it into the author's type. Put `#[serde(deny_unknown_fields, default)]` on it, so that a misspelt key is
    /// refused and an absent one gets its default.
    pub fn parse<T: DeserializeOwned>(&self) -> Result<T> {
        serde_json::from_str(self.text()).map_err(|e| Error::invalid(format!("configuration: {e}")))
    }

    /// For a plugin that has nothing to configure: refuses whatever is there.
    pub fn refuse(&self) -> Result<()> {
        match self.parse::<Value>()? {
            Value::Object(map) => match map.keys().next() {
                None => Ok(()),
                Some(key) => Err(Error::invalid(format!("configuration: unknown key {key:?}; this plugin takes none"))),
            },
            _ => Err(Error::invalid("configuration: must be a table")),
        }
    }

    fn text(&self) -> &str {
        match self.0.trim() {
            "" => "{}",
            text => text,
        }
    }
}

impl From<Value> for Config {
    fn from(value: Value) -> Self {
        Config(value.to_string())
    }
}
