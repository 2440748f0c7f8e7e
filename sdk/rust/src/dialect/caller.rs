//! Which pod asks, where one does.

use http::Request;
use serde::{Deserialize, Serialize};

use crate::{Error, Result};

/// The header with which the host says it. Whatever a request says there by itself is taken out before.
pub const CALLER: &str = "gantry-caller";

/// A pod that asks at a link-local address of its node (`grants.local`). Known by the address that its connection comes from.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Caller {
    /// Where it asked: `169.254.170.2:80`.
    pub address: String,
    /// The pod's namespace.
    pub namespace: String,
    /// The pod's name.
    pub name: String,
    /// The pod's uid.
    pub uid: String,
    /// The node that it is bound to.
    pub node: String,
    /// What it uses; none where its node can't tell.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub usage: Option<Usage>,
}

/// What the containers of a pod use, those that run: at most 64 of them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Usage {
    /// When that was so, as RFC 3339 has it.
    pub at: String,
    /// By name.
    pub containers: Vec<ContainerUsage>,
}

/// What a container uses.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ContainerUsage {
    /// Its name in the pod.
    pub name: String,
    /// The runtime's name for it: what `containerID` in a pod's status has after `://`.
    pub id: String,
    /// Nanoseconds of CPU since its start.
    pub cpu_nanoseconds: u64,
    /// Bytes in use.
    pub memory_bytes: u64,
    /// Bytes that it may use; none: as many as there are.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub memory_limit_bytes: Option<u64>,
}

impl Caller {
    /// The pod that a request is of; `None`: it did not come by way of a node. An error: it did, and what the host says can't
    /// be read; nobody is to be taken for somebody then.
    pub fn of<B>(request: &Request<B>) -> Result<Option<Self>> {
        let Some(said) = request.headers().get(CALLER) else { return Ok(None) };
        let caller = serde_json::from_slice(said.as_bytes());
        caller.map(Some).map_err(|error| Error::internal(format!("{CALLER}: {error}")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_host_says_who_asks() {
        let of = |text: Option<&str>| {
            let mut request = Request::builder();
            if let Some(text) = text {
                request = request.header(CALLER, text);
            }
            Caller::of(&request.body(()).unwrap())
        };
        assert_eq!(of(None).unwrap(), None);
        assert!(of(Some("web")).is_err());
        let text = r#"{"address":"169.254.170.2:80","namespace":"a","name":"b","uid":"c","node":"d","usage":{"at":"t","containers":[{"name":"e","id":"f","cpuNanoseconds":1,"memoryBytes":2}]},"later":1}"#;
        let caller = of(Some(text)).unwrap().unwrap();
        assert_eq!((caller.namespace.as_str(), caller.name.as_str(), caller.node.as_str()), ("a", "b", "d"));
        let one = ContainerUsage {
            name: "e".into(),
            id: "f".into(),
            cpu_nanoseconds: 1,
            memory_bytes: 2,
            ..Default::default()
        };
        assert_eq!(caller.usage.unwrap().containers, [one]);
    }
}
