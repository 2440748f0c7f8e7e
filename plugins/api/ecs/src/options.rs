//! What an operator configures.

use gantry_sdk::{Config, Error, Result};
use serde::Deserialize;

/// `[plugin.config]`
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Options {
    /// The account's number, for ARNs.
    pub account: String,
    /// The region, for ARNs and signatures.
    pub region: String,
    /// Where all objects and pods of this dialect are.
    pub namespace: String,
    /// `namespace/name` of the Secret with access keys: each key's id, and below it the secret key.
    pub credentials: String,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            account: "000000000000".to_owned(),
            region: "us-east-1".to_owned(),
            namespace: "ecs".to_owned(),
            credentials: "kube-system/ecs-access-keys".to_owned(),
        }
    }
}

impl Options {
    /// Reads and checks them.
    pub fn parse(config: &Config) -> Result<Self> {
        let options: Self = config.parse()?;
        let digits = options.account.len() == 12 && options.account.bytes().all(|b| b.is_ascii_digit());
        if !digits {
            return Err(Error::invalid(format!("account {:?} does not have twelve digits", options.account)));
        }
        let word = |text: &str| {
            !text.is_empty() && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
        };
        if !word(&options.region) || !word(&options.namespace) {
            return Err(Error::invalid("region and namespace are of lower-case letters, digits and hyphens"));
        }
        match options.credentials.split_once('/') {
            Some((namespace, name)) if !namespace.is_empty() && !name.is_empty() && !name.contains('/') => Ok(options),
            _ => Err(Error::invalid("credentials must be the namespace and name of a Secret, with a slash between")),
        }
    }
}
