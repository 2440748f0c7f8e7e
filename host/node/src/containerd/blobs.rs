//! The content store.

use std::collections::HashMap;
use std::io;

use bytes::{Bytes, BytesMut};
use containerd_client::services::v1::{
    AbortRequest, Info, InfoRequest, ReadContentRequest, UpdateRequest, WriteAction, WriteContentRequest,
};
use futures::{Stream, StreamExt};
use prost_types::FieldMask;
use sha2::{Digest, Sha256};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::Code;
use uuid::Uuid;

use super::client::{Client, failed};
use crate::runtime::RuntimeError;

/// Each message is answered: few large ones are faster.
const CHUNK: usize = 1024 * 1024;
/// Manifests and configurations beyond this are refused.
const LARGEST_DOCUMENT: i64 = 16 * 1024 * 1024;

/// A written blob.
#[derive(Clone, Debug)]
pub struct Written {
    pub digest: String,
    pub size: i64,
}

/// Whether it is there, and how large.
pub async fn size(client: &Client, digest: &str) -> Result<Option<i64>, RuntimeError> {
    let request = client.request(InfoRequest { digest: digest.to_owned() });
    match client.content().info(request).await {
        Ok(answer) => Ok(answer.into_inner().info.map(|i| i.size)),
        Err(status) if status.code() == Code::NotFound => Ok(None),
        Err(status) => Err(failed(digest, &status)),
    }
}

/// Reads a document.
pub async fn read(client: &Client, digest: &str) -> Result<Bytes, RuntimeError> {
    match size(client, digest).await? {
        None => return Err(RuntimeError::NotFound(format!("blob {digest}"))),
        Some(size) if size > LARGEST_DOCUMENT => {
            return Err(RuntimeError::Failed(format!("{digest} is too large for a document: {size} bytes")));
        }
        Some(_) => {}
    }
    let request = client.request(ReadContentRequest { digest: digest.to_owned(), offset: 0, size: 0 });
    let mut stream = client.content().read(request).await.map_err(|s| failed(digest, &s))?.into_inner();
    let mut bytes = BytesMut::new();
    while let Some(part) = stream.message().await.map_err(|s| failed(digest, &s))? {
        bytes.extend_from_slice(&part.data);
    }
    Ok(bytes.freeze())
}

/// Writes a document.
pub async fn write_all(
    client: &Client,
    digest: &str,
    bytes: Bytes,
    labels: HashMap<String, String>,
) -> Result<Written, RuntimeError> {
    let total = i64::try_from(bytes.len()).unwrap_or(i64::MAX);
    let source = futures::stream::iter([Ok(bytes)]);
    write(client, Some(digest), total, labels, source).await
}

/// Writes a blob from a stream. containerd checks its digest, or computes it.
pub async fn write(
    client: &Client,
    expected: Option<&str>,
    total: i64,
    labels: HashMap<String, String>,
    source: impl Stream<Item = io::Result<Bytes>> + Send + Unpin + 'static,
) -> Result<Written, RuntimeError> {
    let id = Uuid::new_v4().to_string();
    let what = expected.unwrap_or("a blob").to_owned();
    let (sender, receiver) = mpsc::channel(2);
    let first = WriteContentRequest {
        action: WriteAction::Stat.into(),
        r#ref: id.clone(),
        total,
        expected: expected.unwrap_or_default().to_owned(),
        ..WriteContentRequest::default()
    };
    let pump = tokio::spawn(pump(first, labels, source, sender));
    let stored = drain(client, receiver, &what).await;
    let pumped = pump.await.map_err(|e| RuntimeError::Failed(e.to_string()))?;
    let result = match (stored, pumped) {
        // It was there already, whoever wrote it.
        (Err(status), _) if status.code() == Code::AlreadyExists && expected.is_some() => {
            return Ok(Written { digest: what, size: total });
        }
        (Err(status), Ok(written)) if status.code() == Code::AlreadyExists => return Ok(written),
        // The source's own words first: containerd only saw the stream end.
        (_, Err(Pump::Source(error))) => Err(RuntimeError::Failed(format!("{what}: {error}"))),
        (Err(status), _) => Err(failed(&what, &status)),
        (Ok(()), Err(Pump::Closed)) => Err(RuntimeError::Failed(format!("{what}: the content store stopped reading"))),
        (Ok(()), Ok(written)) => Ok(written),
    };
    if result.is_err() {
        // Collected sooner or later anyway.
        let _ = client.content().abort(client.request(AbortRequest { r#ref: id })).await;
    }
    result
}

async fn drain(
    client: &Client,
    receiver: mpsc::Receiver<WriteContentRequest>,
    what: &str,
) -> Result<(), tonic::Status> {
    let mut answers = client.content().write(client.request(ReceiverStream::new(receiver))).await?.into_inner();
    let mut committed = false;
    while let Some(answer) = answers.message().await? {
        committed = answer.action == i32::from(WriteAction::Commit);
    }
    if committed { Ok(()) } else { Err(tonic::Status::aborted(format!("{what} was not written to its end"))) }
}

enum Pump {
    Source(io::Error),
    Closed,
}

async fn pump(
    first: WriteContentRequest,
    labels: HashMap<String, String>,
    mut source: impl Stream<Item = io::Result<Bytes>> + Unpin,
    sender: mpsc::Sender<WriteContentRequest>,
) -> Result<Written, Pump> {
    let template = first.clone();
    let message = |action: WriteAction, offset: i64, data: Bytes| WriteContentRequest {
        action: action.into(),
        offset,
        data: data.into(),
        ..template.clone()
    };
    // A closed channel means that the answer says why.
    sender.send(first).await.map_err(|_| Pump::Closed)?;
    // Without an expected digest ours names the blob that was there already.
    let mut hash = template.expected.is_empty().then(Sha256::new);
    let (mut offset, mut chunk) = (0, BytesMut::new());
    loop {
        let next = source.next().await.transpose().map_err(Pump::Source)?;
        let over = next.is_none();
        if let Some(bytes) = next {
            if let Some(hash) = &mut hash {
                hash.update(&bytes);
            }
            chunk.extend_from_slice(&bytes);
        }
        while chunk.len() >= CHUNK || (over && !chunk.is_empty()) {
            let part = chunk.split_to(chunk.len().min(CHUNK)).freeze();
            let size = i64::try_from(part.len()).unwrap_or(i64::MAX);
            sender.send(message(WriteAction::Write, offset, part)).await.map_err(|_| Pump::Closed)?;
            offset += size;
        }
        if over {
            break;
        }
    }
    let digest = match hash {
        Some(hash) => format!("sha256:{}", hex::encode(hash.finalize())),
        None => template.expected.clone(),
    };
    let mut commit = message(WriteAction::Commit, offset, Bytes::new());
    commit.total = offset.max(template.total);
    commit.labels = labels;
    sender.send(commit).await.map_err(|_| Pump::Closed)?;
    Ok(Written { digest, size: offset })
}

/// Sets one label of a blob.
pub async fn label(client: &Client, digest: &str, key: &str, value: &str) -> Result<(), RuntimeError> {
    let info = Info {
        digest: digest.to_owned(),
        labels: HashMap::from([(key.to_owned(), value.to_owned())]),
        ..Info::default()
    };
    let update_mask = Some(FieldMask { paths: vec![format!("labels.{key}")] });
    let request = client.request(UpdateRequest { info: Some(info), update_mask });
    client.content().update(request).await.map_err(|s| failed(digest, &s))?;
    Ok(())
}
