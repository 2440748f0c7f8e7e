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
    pub credentials: SecretName,
}

/// `namespace/name` of a Secret
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct SecretName {
    /// Where it is.
    pub namespace: String,
    /// What it is called.
    pub name: String,
}

impl TryFrom<String> for SecretName {
    type Error = &'static str;

    fn try_from(text: String) -> std::result::Result<Self, Self::Error> {
        match text.split_once('/') {
            Some((namespace, name)) if !namespace.is_empty() && !name.is_empty() && !name.contains('/') => {
                Ok(Self { namespace: namespace.to_owned(), name: name.to_owned() })
            }
            _ => Err("credentials must be the namespace and name of a Secret, with a slash between"),
        }
    }
}

impl Default for Options {
    fn default() -> Self {
        Self {
            account: "000000000000".to_owned(),
            region: "us-east-1".to_owned(),
            namespace: "ecs".to_owned(),
            credentials: SecretName { namespace: "kube-system".to_owned(), name: "ecs-access-keys".to_owned() },
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
        Ok(options)
    }
}
