//! postStart and preStop.

use std::net::IpAddr;
use std::time::Duration;

use k8s_openapi::api::core::v1::{Container, LifecycleHandler};

use super::context::Context;
use super::probes::{self, Target};

/// Long enough for any hook; what ends sooner is cut off by whoever runs it.
const PATIENCE: Duration = Duration::from_secs(24 * 3600);
/// A server that does not answer at all.
const HTTP_PATIENCE: Duration = Duration::from_secs(60);

/// Runs a hook to its end. `Err` says how it failed.
pub async fn run(
    context: &Context,
    id: &str,
    container: &Container,
    address: Option<IpAddr>,
    hook: &LifecycleHandler,
) -> Result<(), String> {
    if let Some(exec) = &hook.exec {
        let command = exec.command.clone().unwrap_or_default();
        return match context.runtime.run(id, &command, PATIENCE).await {
            Ok((0, _)) => Ok(()),
            Ok((code, output)) => Err(format!("command '{}' exited with {code}: {output}", command.join(" "))),
            Err(error) => Err(error.to_string()),
        };
    }
    if let Some(get) = &hook.http_get {
        let target = Target::new(address, container);
        return probes::http::get(&target, get, HTTP_PATIENCE).await.map(|_| ());
    }
    if let Some(sleep) = &hook.sleep {
        tokio::time::sleep(Duration::from_secs(u64::try_from(sleep.seconds).unwrap_or_default())).await;
        return Ok(());
    }
    if let Some(tcp) = &hook.tcp_socket {
        let target = Target::new(address, container);
        return probes::tcp::connect(&target, tcp.host.as_deref(), &tcp.port, HTTP_PATIENCE).await;
    }
    Err("invalid handler: nothing to do".to_owned())
}
