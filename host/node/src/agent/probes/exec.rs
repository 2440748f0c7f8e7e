//! A command inside the container.

use std::time::Duration;

use k8s_openapi::api::core::v1::ExecAction;

use crate::runtime::Runtime;

pub(super) async fn run(runtime: &dyn Runtime, id: &str, exec: &ExecAction, patience: Duration) -> Result<(), String> {
    let command = exec.command.clone().unwrap_or_default();
    match tokio::time::timeout(patience, runtime.run(id, &command, patience)).await {
        Err(_) => Err(format!("command timed out: {} timed out after {}s", command.join(" "), patience.as_secs())),
        Ok(Ok((0, _))) => Ok(()),
        Ok(Ok((_, output))) => Err(output),
        Ok(Err(error)) => Err(error.to_string()),
    }
}
