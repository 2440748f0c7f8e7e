//! The connection, and what every request and error has in common.

use std::path::Path;
use std::time::Duration;

use containerd_client::services::v1::{
    containers_client::ContainersClient, content_client::ContentClient, diff_client::DiffClient,
    events_client::EventsClient, images_client::ImagesClient, leases_client::LeasesClient,
    namespaces_client::NamespacesClient, snapshots::snapshots_client::SnapshotsClient, tasks_client::TasksClient,
    version_client::VersionClient,
};
use hyper_util::rt::TokioIo;
use tokio::net::UnixStream;
use tonic::metadata::{Ascii, MetadataValue};
use tonic::transport::{Channel, Endpoint, Uri};
use tonic::{Code, Request, Status};

use crate::runtime::RuntimeError;

/// Lists of containers carry their whole specs.
const LARGEST_ANSWER: usize = 64 * 1024 * 1024;

/// A connection that comes back by itself, for one namespace. Cheap to clone.
#[derive(Clone)]
pub struct Client {
    channel: Channel,
    namespace: MetadataValue<Ascii>,
    lease: Option<MetadataValue<Ascii>>,
}

impl Client {
    /// Connects when first used, and again after containerd was restarted.
    pub fn new(socket: &Path, namespace: &str) -> Result<Self, RuntimeError> {
        let invalid = |_| RuntimeError::Failed(format!("invalid containerd namespace {namespace:?}"));
        let path = socket.to_owned();
        let connector = tower::service_fn(move |_: Uri| {
            let path = path.clone();
            async move { UnixStream::connect(path).await.map(TokioIo::new) }
        });
        let channel = Endpoint::from_static("http://containerd")
            .connect_timeout(Duration::from_secs(10))
            .connect_with_connector_lazy(connector);
        Ok(Self { channel, namespace: namespace.parse().map_err(invalid)?, lease: None })
    }

    /// The same, with everything it makes held by a lease.
    pub fn leased(&self, lease: &str) -> Self {
        Self { lease: lease.parse().ok(), ..self.clone() }
    }

    pub fn namespace(&self) -> &str {
        self.namespace.to_str().unwrap_or_default()
    }

    pub fn request<T>(&self, message: T) -> Request<T> {
        let mut request = Request::new(message);
        request.metadata_mut().insert("containerd-namespace", self.namespace.clone());
        if let Some(lease) = &self.lease {
            request.metadata_mut().insert("containerd-lease", lease.clone());
        }
        request
    }

    pub fn version(&self) -> VersionClient<Channel> {
        VersionClient::new(self.channel.clone())
    }

    pub fn containers(&self) -> ContainersClient<Channel> {
        ContainersClient::new(self.channel.clone()).max_decoding_message_size(LARGEST_ANSWER)
    }

    pub fn content(&self) -> ContentClient<Channel> {
        ContentClient::new(self.channel.clone()).max_decoding_message_size(LARGEST_ANSWER)
    }

    pub fn diff(&self) -> DiffClient<Channel> {
        DiffClient::new(self.channel.clone())
    }

    pub fn events(&self) -> EventsClient<Channel> {
        EventsClient::new(self.channel.clone())
    }

    pub fn images(&self) -> ImagesClient<Channel> {
        ImagesClient::new(self.channel.clone()).max_decoding_message_size(LARGEST_ANSWER)
    }

    pub fn leases(&self) -> LeasesClient<Channel> {
        LeasesClient::new(self.channel.clone())
    }

    pub fn namespaces(&self) -> NamespacesClient<Channel> {
        NamespacesClient::new(self.channel.clone())
    }

    pub fn snapshots(&self) -> SnapshotsClient<Channel> {
        SnapshotsClient::new(self.channel.clone()).max_decoding_message_size(LARGEST_ANSWER)
    }

    pub fn tasks(&self) -> TasksClient<Channel> {
        TasksClient::new(self.channel.clone()).max_decoding_message_size(LARGEST_ANSWER)
    }
}

/// What a failed request means to the agent.
pub fn failed(what: &str, status: &Status) -> RuntimeError {
    let message = status.message();
    match status.code() {
        Code::NotFound => RuntimeError::NotFound(what.to_owned()),
        Code::Unavailable | Code::DeadlineExceeded | Code::Cancelled => {
            RuntimeError::Unavailable(format!("{what}: {message}"))
        }
        _ => RuntimeError::Failed(tidy(message).to_owned()),
    }
}

/// Success when what was to go is not there.
pub fn gone<T>(what: &str, result: Result<T, Status>) -> Result<(), RuntimeError> {
    match result {
        Ok(_) => Ok(()),
        Err(status) if status.code() == Code::NotFound => Ok(()),
        Err(status) => Err(failed(what, &status)),
    }
}

/// Without what containerd's layers put around it.
fn tidy(message: &str) -> &str {
    message.strip_suffix(": unknown").unwrap_or(message)
}
