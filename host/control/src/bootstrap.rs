//! What every cluster has from its first start: the namespaces that Kubernetes' clients count on.

use gantry_model::Status;
use gantry_model::status::Reason;
use gantry_objects::{Objects, WriteOptions};
use serde_json::json;

/// As in Kubernetes. Leases of nodes lie in the last one.
const NAMESPACES: [&str; 4] = ["default", "kube-system", "kube-public", "kube-node-lease"];
const MANAGER: &str = "gantry-control";

/// Makes what is missing. May be repeated.
pub async fn run(objects: &Objects) -> Result<(), Status> {
    let missing = || Status::internal("there is no kind Namespace");
    let kind = objects.kinds().by_kind("", "Namespace").ok_or_else(missing)?;
    let options = WriteOptions { manager: MANAGER.to_owned(), ..WriteOptions::default() };
    for name in NAMESPACES {
        let object = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}});
        match objects.create(&kind, "", object, &options).await {
            Err(e) if e.reason != Reason::AlreadyExists => return Err(e),
            _ => {}
        }
    }
    Ok(())
}
