//! `continue` tokens: opaque to clients, readable to us.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use gantry_model::Status;
use serde::{Deserialize, Serialize};

/// Where a list goes on.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Token {
    /// The format.
    #[serde(rename = "v")]
    version: u8,
    /// The revision of the first page: a watch from it misses nothing that changed between the pages.
    #[serde(rename = "rv")]
    pub(crate) revision: u64,
    /// The last key of the page before.
    #[serde(rename = "ns")]
    pub(crate) namespace: String,
    #[serde(rename = "n")]
    pub(crate) name: String,
}

const VERSION: u8 = 1;

impl Token {
    pub(crate) fn new(revision: u64, namespace: &str, name: &str) -> Self {
        Self { version: VERSION, revision, namespace: namespace.to_owned(), name: name.to_owned() }
    }

    pub(crate) fn encode(&self) -> String {
        URL_SAFE_NO_PAD.encode(serde_json::to_vec(self).unwrap_or_default())
    }

    /// 400 for what no page gave.
    pub(crate) fn decode(text: &str) -> Result<Self, Status> {
        let token = URL_SAFE_NO_PAD.decode(text).ok().and_then(|json| serde_json::from_slice::<Self>(&json).ok());
        token.filter(|token| token.version == VERSION).ok_or_else(|| {
            Status::bad_request("continue key is not valid: it must be one that a list of this server gave")
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_come_back_or_are_refused() {
        let token = Token::new(7, "a", "b");
        assert_eq!(Token::decode(&token.encode()).unwrap(), token);
        for wrong in ["", "x", "e30", &URL_SAFE_NO_PAD.encode(r#"{"v":2,"rv":1,"ns":"","n":""}"#)] {
            assert_eq!(Token::decode(wrong).unwrap_err().reason.code(), 400, "{wrong}");
        }
    }
}
