//! A connection that opens.

use std::time::Duration;

use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use tokio::net::TcpStream;

use super::Target;

/// Connects and closes again.
pub async fn connect(
    target: &Target<'_>,
    host: Option<&str>,
    port: &IntOrString,
    patience: Duration,
) -> Result<(), String> {
    let (host, port) = (target.host(host)?, target.port(port)?);
    match tokio::time::timeout(patience, TcpStream::connect((host.as_str(), port))).await {
        Err(_) => Err(format!("dial tcp {host}:{port}: i/o timeout")),
        Ok(Err(error)) => Err(format!("dial tcp {host}:{port}: connect: {error}")),
        Ok(Ok(_)) => Ok(()),
    }
}
