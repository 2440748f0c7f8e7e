//! The standard gRPC health service. Two messages of one field each: written out here rather than generated.

use std::time::Duration;

use http::uri::PathAndQuery;
use k8s_openapi::api::core::v1::GRPCAction;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use tonic::client::Grpc;
use tonic::transport::Endpoint;
use tonic_prost::ProstCodec;

use super::Target;

const CHECK: &str = "/grpc.health.v1.Health/Check";
const SERVING: i32 = 1;

#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct Question {
    #[prost(string, tag = "1")]
    pub(super) service: String,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct Answer {
    #[prost(int32, tag = "1")]
    pub(super) status: i32,
}

pub(super) async fn check(target: &Target<'_>, action: &GRPCAction, patience: Duration) -> Result<(), String> {
    let (host, port) = (target.host(None)?, target.port(&IntOrString::Int(action.port))?);
    let host = if host.contains(':') { format!("[{host}]") } else { host };
    let service = action.service.clone().unwrap_or_default();
    match tokio::time::timeout(patience, ask(&format!("http://{host}:{port}"), service)).await {
        Ok(result) => result,
        Err(_) => {
            let seconds = patience.as_secs();
            Err(format!(
                "timeout: failed to connect service \"{host}:{port}\" within {seconds}s: context deadline exceeded"
            ))
        }
    }
}

async fn ask(address: &str, service: String) -> Result<(), String> {
    let endpoint = Endpoint::from_shared(address.to_owned()).map_err(|error| error.to_string())?;
    let endpoint = endpoint.user_agent("kube-probe/1.33").map_err(|error| error.to_string())?;
    let channel = endpoint
        .connect()
        .await
        .map_err(|error| format!("error: failed to connect service at \"{address}\": {error}"))?;
    let mut client = Grpc::new(channel);
    client.ready().await.map_err(|error| error.to_string())?;
    let codec = ProstCodec::<Question, Answer>::default();
    let path = PathAndQuery::from_static(CHECK);
    match client.unary(tonic::Request::new(Question { service }), path, codec).await {
        Ok(answer) => match answer.into_inner().status {
            SERVING => Ok(()),
            other => Err(format!("service unhealthy (responded with \"{}\")", name(other))),
        },
        Err(status) if status.code() == tonic::Code::Unimplemented => {
            Err("error: this server does not implement the grpc health protocol (grpc.health.v1.Health)".to_owned())
        }
        Err(status) => Err(format!("error: health rpc probe failed: {}", status.message())),
    }
}

fn name(status: i32) -> &'static str {
    match status {
        1 => "SERVING",
        2 => "NOT_SERVING",
        3 => "SERVICE_UNKNOWN",
        _ => "UNKNOWN",
    }
}
