//! What an operator may set.

use gantry_sdk::{Error, Result};
use serde::Deserialize;

/// The plugin's configuration.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct Options {
    /// Where every node answers HTTP.
    pub http_port: u16,
    /// Where it answers HTTPS.
    pub https_port: u16,
    /// The IngressClass that this plugin keeps.
    pub class: String,
    /// Who that class says serves it; every class that says so is served.
    pub controller: String,
    /// Whether Ingresses without a class get that one, where it is made anew.
    pub default_class: bool,
    /// Whether what an Ingress has certificates for is only redirected over plain HTTP.
    pub redirect_to_https: bool,
    /// Who of several endpoints is next.
    pub balance: Balance,
    /// Whether sinks get a record of each request.
    pub access_log: bool,
}

/// `round-robin` or `least-request`
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Balance {
    /// Each in turn.
    #[default]
    RoundRobin,
    /// Whoever has the fewest requests under way.
    LeastRequest,
}

impl Balance {
    /// As a Frontend says it.
    pub fn name(self) -> &'static str {
        match self {
            Balance::RoundRobin => "RoundRobin",
            Balance::LeastRequest => "LeastRequest",
        }
    }
}

impl Default for Options {
    fn default() -> Self {
        Options {
            http_port: 80,
            https_port: 443,
            class: "gantry".to_owned(),
            controller: "gantry.dev/ingress".to_owned(),
            default_class: true,
            redirect_to_https: false,
            balance: Balance::default(),
            access_log: false,
        }
    }
}

impl Options {
    /// Refuses what can't work.
    pub fn check(&self) -> Result<()> {
        if self.http_port == 0 || self.https_port == 0 || self.http_port == self.https_port {
            return Err(Error::invalid("http-port and https-port must be two different ports"));
        }
        if self.class.is_empty() || !self.controller.contains('/') {
            return Err(Error::invalid("class must be a name, and controller one with a domain before a slash"));
        }
        Ok(())
    }
}
