//! Which pod asks for something on its node, and what it uses.

use std::net::SocketAddrV4;

use serde::{Deserialize, Serialize};

/// Bytes of a caller as text, at most.
pub const MOST: usize = 16 << 10;

/// A pod that asks, as its node's agent knows it: by the address that the connection comes from, and by nothing that the pod
/// says of itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Caller {
    /// Where it asked.
    pub address: SocketAddrV4,
    /// The pod's namespace.
    pub namespace: String,
    /// The pod's name.
    pub name: String,
    /// The pod's uid.
    pub uid: String,
    /// The node that it is bound to.
    pub node: String,
    /// What it uses; absent where the agent can't tell.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub usage: Option<Usage>,
}

/// What the containers of a pod use, those that run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Usage {
    /// When that was so, as RFC 3339 has it.
    pub at: String,
    /// By name.
    pub containers: Vec<ContainerUsage>,
}

/// What a container uses.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ContainerUsage {
    /// The container's name in its pod.
    pub name: String,
    /// The runtime's name for it.
    pub id: String,
    /// Nanoseconds of CPU since its start.
    pub cpu_nanoseconds: u64,
    /// Bytes in use.
    pub memory_bytes: u64,
    /// Bytes that it may use; absent: as many as there are.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory_limit_bytes: Option<u64>,
}

impl Caller {
    /// As compact JSON of at most [`MOST`] bytes: what the pod uses is left out if it makes it longer.
    pub fn to_text(&self) -> String {
        let text = |caller: &Self| serde_json::to_string(caller).unwrap_or_default();
        let whole = text(self);
        if whole.len() <= MOST { whole } else { text(&Self { usage: None, ..self.clone() }) }
    }

    /// Reads what [`Caller::to_text`] wrote. An error says what is wrong.
    pub fn of_text(text: &[u8]) -> Result<Self, String> {
        if text.len() > MOST {
            return Err(format!("a caller of more than {MOST} bytes"));
        }
        serde_json::from_slice(text).map_err(|error| format!("no caller: {error}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn caller(containers: usize) -> Caller {
        let one =
            |number: usize| ContainerUsage { name: format!("c{number}"), id: "x".repeat(70), ..Default::default() };
        Caller {
            address: "169.254.170.2:80".parse().unwrap(),
            namespace: "team".into(),
            name: "web".into(),
            uid: "u".into(),
            node: "n1".into(),
            usage: Some(Usage { at: "2026-01-01T00:00:00Z".into(), containers: (0..containers).map(one).collect() }),
        }
    }

    #[test]
    fn comes_back_as_it_went() {
        let one = caller(2);
        let text = one.to_text();
        assert!(text.starts_with(
            r#"{"address":"169.254.170.2:80","namespace":"team","name":"web","uid":"u","node":"n1","usage":{"#
        ));
        assert_eq!(Caller::of_text(text.as_bytes()).unwrap(), one);
    }

    #[test]
    fn what_is_too_long_goes_without_its_usage() {
        let text = caller(1000).to_text();
        assert!(text.len() < 200 && Caller::of_text(text.as_bytes()).unwrap().usage.is_none(), "{text}");
        assert!(Caller::of_text(&vec![b' '; MOST + 1]).is_err());
        assert!(Caller::of_text(b"{\"name\":\"web\"}").is_err());
    }
}
