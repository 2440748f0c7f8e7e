//! What a node must have before it runs pods: its name, which no other agent may have, and a range of addresses. Both are
//! the control plane's to give; while that is away, a node that has had them goes on with what it had.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use gantry_model::Status;
use gantry_model::status::Reason;
use gantry_node::cluster::Cluster;
use gantry_node::node::Description;
use gantry_node::node::claim::claim;
use serde_json::Value;

use crate::files::write_private;

/// How often the control plane is asked: for a range, which comes soon, and for what takes longer.
const SOON: Duration = Duration::from_millis(200);
const LATER: Duration = Duration::from_secs(2);

/// Which agent this is: the machine, and the data directory. A copy of either alone is another agent.
pub fn identity(data: &Path, machine: &str) -> Result<String> {
    let file = data.join("agent-id");
    let id = match std::fs::read_to_string(&file) {
        Ok(id) => id,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            let id = format!("{:016x}", rand::random::<u64>());
            write_private(&file, &id)?;
            id
        }
        Err(error) => return Err(error).with_context(|| format!("can't read {}", file.display())),
    };
    let machine = machine.get(..8).unwrap_or(machine);
    Ok(if machine.is_empty() { id } else { format!("{machine}-{id}") })
}

/// Claims the node's name and waits for its ranges, or takes those of last time.
pub async fn settle(cluster: &dyn Cluster, node: &Description, data: &Path, ranges: bool) -> Result<Vec<String>> {
    let kept = data.join("pod-ranges.json");
    let mut told = String::new();
    loop {
        let (why, pause) = match claim(cluster, node).await {
            Ok(record) => {
                let given = given(&record.value());
                agree(node, &given)?;
                if !given.is_empty() || !ranges {
                    write_private(&kept, serde_json::to_vec(&given)?)?;
                    return Ok(given);
                }
                ("waiting for a range of addresses".to_owned(), SOON)
            }
            Err(error) if is_away(&error) => match read(&kept) {
                Some(known) => return Ok(known),
                None => (error.message, LATER),
            },
            Err(error) if matches!(error.reason, Reason::Forbidden | Reason::Invalid) => {
                return Err(error).context("the control plane refuses this node");
            }
            Err(error) => (error.message, LATER),
        };
        // Once, unless it is something new.
        if told != why {
            tracing::warn!(node = node.name, why, "this node can't begin yet");
            told = why;
        }
        tokio::time::sleep(pause).await;
    }
}

/// What is asked for must be what the Node has.
fn agree(node: &Description, given: &[String]) -> Result<()> {
    if !node.pod_ranges.is_empty() && !given.is_empty() && node.pod_ranges != given {
        bail!(
            "node {} has the pod range {}, not {}: leave --pod-range away, or delete the Node first",
            node.name,
            given.join(", "),
            node.pod_ranges.join(", ")
        );
    }
    Ok(())
}

fn given(node: &Value) -> Vec<String> {
    let all = node.pointer("/spec/podCIDRs").and_then(Value::as_array).into_iter().flatten();
    all.filter_map(Value::as_str).map(str::to_owned).collect()
}

fn read(kept: &Path) -> Option<Vec<String>> {
    serde_json::from_slice(&std::fs::read(kept).ok()?).ok()
}

fn is_away(status: &Status) -> bool {
    matches!(status.reason, Reason::ServiceUnavailable | Reason::Timeout)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_agent_is_a_machine_and_a_folder() {
        let (one, two) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let first = identity(one.path(), "0123456789abcdef").unwrap();
        assert!(first.starts_with("01234567-"));
        assert_eq!(identity(one.path(), "0123456789abcdef").unwrap(), first);
        assert_ne!(identity(two.path(), "0123456789abcdef").unwrap(), first);
        assert_ne!(identity(one.path(), "f123456789abcdef").unwrap(), first);
    }

    #[test]
    fn ranges_once_given_are_not_argued_with() {
        let node = |ranges: &[&str]| Description {
            name: "n1".to_owned(),
            pod_ranges: ranges.iter().map(ToString::to_string).collect(),
            ..Description::default()
        };
        let given = ["10.64.1.0/24".to_owned()];
        assert!(agree(&node(&[]), &given).is_ok() && agree(&node(&["10.64.1.0/24"]), &given).is_ok());
        let error = agree(&node(&["10.64.2.0/24"]), &given).unwrap_err().to_string();
        assert!(error.contains("10.64.1.0/24, not 10.64.2.0/24"), "{error}");
    }
}
