//! `[plugin.http]` of a bundle: how requests are made. Where they may go is a grant.

use std::path::PathBuf;
use std::time::Duration;

use serde::Deserialize;

use super::Endpoint;
use crate::bundle::Size;

/// Requests of one plugin that may be under way at once, when the bundle does not say.
const CONNECTIONS: u32 = 8;
/// The most that it can say.
const MOST_CONNECTIONS: u32 = 64;
/// The longest body, of a request as of an answer, when the bundle does not say.
const MAX_BODY: u64 = 4 << 20;
/// The most that it can say: bodies lie in the host's memory.
const MOST_BODY: u64 = 64 << 20;
/// A request from its first to its last byte, when the bundle does not say.
const TIMEOUT: Duration = Duration::from_secs(30);
/// The most that it can say. A call waits no longer for the host whatever it waits for.
const MOST_TIMEOUT_MS: u64 = 55_000;

/// `[plugin.http]`
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default, rename_all = "kebab-case")]
pub struct Http {
    /// PEM certificates of the authorities that are trusted, instead of the system's.
    pub ca_file: Option<PathBuf>,
    /// Requests under way at once, of all instances together: 1 to 64, 8 by default. Those beyond are refused.
    pub connections: Option<u32>,
    /// The longest body of a request and of an answer, at most `64Mi`, `4Mi` by default.
    pub max_body: Option<Size>,
    /// The longest that a request may take until all of its answer is there: at most 55,000, 30,000 by default.
    pub timeout_ms: Option<u64>,
    /// Which requests the host signs.
    pub sign: Vec<Sign>,
}

/// `[[plugin.http.sign]]`: requests to an endpoint are signed as AWS wants it (Signature Version 4; for the service
/// `s3` in S3's form of it). The plugin sees neither keys nor signatures.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Sign {
    /// One that is granted.
    pub endpoint: Endpoint,
    /// As AWS names it in signatures: `elasticloadbalancing`.
    pub service: String,
    /// `eu-west-1`
    pub region: String,
    /// A file of the form of `~/.aws/credentials`, which only the host reads, anew for each request.
    pub credentials_file: PathBuf,
    /// The section of that file; `default` by default.
    #[serde(default = "default_profile")]
    pub profile: String,
}

fn default_profile() -> String {
    "default".to_owned()
}

impl Http {
    /// Refuses what can't work.
    pub(crate) fn check(&self) -> Result<(), String> {
        if self.connections.is_some_and(|n| n == 0 || n > MOST_CONNECTIONS) {
            return Err(format!("http: connections must be 1 to {MOST_CONNECTIONS}"));
        }
        if self.max_body.is_some_and(|size| size.bytes() > MOST_BODY) {
            return Err(format!("http: max-body must be at most {}Mi", MOST_BODY >> 20));
        }
        if self.timeout_ms.is_some_and(|ms| ms == 0 || ms > MOST_TIMEOUT_MS) {
            return Err(format!("http: timeout-ms must be 1 to {MOST_TIMEOUT_MS}"));
        }
        for (at, sign) in self.sign.iter().enumerate() {
            let endpoint = &sign.endpoint;
            if self.sign.iter().take(at).any(|other| other.endpoint == *endpoint) {
                return Err(format!("http: {endpoint} is signed for twice: one service has one endpoint"));
            }
            if !endpoint.is_private() {
                return Err(format!("http: signs for {endpoint}, where anybody on the way can read it: say https"));
            }
        }
        Ok(())
    }

    pub(super) fn connections(&self) -> usize {
        self.connections.unwrap_or(CONNECTIONS) as usize
    }

    pub(super) fn max_body(&self) -> usize {
        usize::try_from(self.max_body.map_or(MAX_BODY, Size::bytes)).unwrap_or(usize::MAX)
    }

    pub(super) fn timeout(&self) -> Duration {
        self.timeout_ms.map_or(TIMEOUT, Duration::from_millis)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signs_only_what_nobody_else_reads() {
        let one = "https://ecs.example:443";
        for (endpoints, want) in [
            (&[one][..], None),
            (&[one, "https://elb.example:443"], None),
            (&["http://127.0.0.1:5000"], None),
            (&["http://[::1]:5000"], None),
            (&["http://localhost:5000"], None),
            (&[one, one], Some("is signed for twice")),
            (&["http://elb.example:80"], Some("say https")),
            (&["http://10.0.0.1:80"], Some("say https")),
        ] {
            let sign = |endpoint: &&str| {
                format!(
                    "[[sign]]\nendpoint = \"{endpoint}\"\nservice = \"x\"\nregion = \"r\"\ncredentials-file = \"/k\"\n"
                )
            };
            let text: String = endpoints.iter().map(sign).collect();
            let checked = toml::from_str::<Http>(&text).unwrap().check();
            let why = checked.as_ref().err().map(String::as_str);
            assert_eq!(why.is_some(), want.is_some(), "{endpoints:?}: {why:?}");
            assert!(why.unwrap_or_default().contains(want.unwrap_or_default()), "{endpoints:?}: {why:?}");
        }
    }
}
