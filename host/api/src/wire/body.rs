//! Bodies of requests: bounded, in JSON, YAML or Kubernetes' protobuf.

use std::time::Duration;

use bytes::Bytes;
use gantry_model::Status;
use gantry_model::status::Reason;
use http::HeaderMap;
use http::header::{CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use serde_json::Value;

use super::reader::{self, Read};
use crate::protobuf;

/// The types a body may have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Media {
    Json,
    Yaml,
    Protobuf,
    JsonPatch,
    MergePatch,
    StrategicPatch,
    ApplyPatch,
}

impl Media {
    /// Reads `Content-Type`; JSON when there is none.
    pub(crate) fn of(headers: &HeaderMap) -> Result<Self, Status> {
        let Some(header) = headers.get(CONTENT_TYPE) else { return Ok(Media::Json) };
        let text = header.to_str().unwrap_or_default();
        match text.split(';').next().unwrap_or_default().trim() {
            "application/json" | "*/*" | "" => Ok(Media::Json),
            "application/yaml" | "text/yaml" | "application/x-yaml" => Ok(Media::Yaml),
            protobuf::MEDIA_TYPE => Ok(Media::Protobuf),
            "application/json-patch+json" => Ok(Media::JsonPatch),
            "application/merge-patch+json" => Ok(Media::MergePatch),
            "application/strategic-merge-patch+json" => Ok(Media::StrategicPatch),
            "application/apply-patch+yaml" => Ok(Media::ApplyPatch),
            // What curl sends when nobody says otherwise.
            "application/x-www-form-urlencoded" => Ok(Media::Json),
            other => Err(unsupported(format!(
                "the body's media type {other:?} is not supported: send application/json or application/yaml"
            ))),
        }
    }
}

/// 415
pub(crate) fn unsupported(message: String) -> Status {
    Status::new(Reason::UnsupportedMediaType, message)
}

/// Reads a whole body within the limits.
pub(crate) async fn read<B>(headers: &HeaderMap, body: B, limit: usize, patience: Duration) -> Result<Bytes, Status>
where
    B: http_body::Body,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    if headers.contains_key(CONTENT_ENCODING) {
        return Err(unsupported("compressed bodies are not supported: send the body without Content-Encoding".into()));
    }
    read_raw(headers, body, limit, patience).await
}

/// The same, however it is encoded.
pub(crate) async fn read_raw<B>(headers: &HeaderMap, body: B, limit: usize, patience: Duration) -> Result<Bytes, Status>
where
    B: http_body::Body,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let announced = headers.get(CONTENT_LENGTH).and_then(|v| v.to_str().ok()).and_then(|v| v.parse::<usize>().ok());
    if announced.is_some_and(|n| n > limit) {
        return Err(too_large(limit));
    }
    match tokio::time::timeout(patience, Limited::new(body, limit).collect()).await {
        Ok(Ok(collected)) => Ok(collected.to_bytes()),
        Ok(Err(e)) if e.is::<LengthLimitError>() => Err(too_large(limit)),
        Ok(Err(e)) => Err(Status::bad_request(format!("can't read the request's body: {e}"))),
        Err(_) => Err(Status::new(Reason::Timeout, format!("the request's body did not arrive within {patience:?}"))),
    }
}

/// The object in a body. Of a field that comes twice the last one counts.
pub(crate) fn object(media: Media, bytes: &[u8]) -> Result<Value, Status> {
    read_closely(media, bytes).map(|(value, _)| value)
}

/// The object in a body, and the paths of fields that come more than once.
pub(crate) fn read_closely(media: Media, bytes: &[u8]) -> Result<Read, Status> {
    match media {
        Media::Protobuf => protobuf::decode(bytes).map(|value| (value, Vec::new())),
        Media::Yaml | Media::ApplyPatch => yaml(bytes),
        _ => reader::json(bytes).map_err(|e| Status::bad_request(format!("the body is not valid JSON: {e}"))),
    }
}

/// YAML, of which JSON is nearly a part: try the stricter and faster reader first.
fn yaml(bytes: &[u8]) -> Result<Read, Status> {
    if let Ok(read) = reader::json(bytes) {
        return Ok(read);
    }
    let text = std::str::from_utf8(bytes).map_err(|_| Status::bad_request("the body is not valid UTF-8"))?;
    reader::yaml(text).map_err(|e| {
        let line = e.to_string().lines().next().unwrap_or_default().to_owned();
        Status::bad_request(format!("the body is not valid YAML: {line}"))
    })
}

fn too_large(limit: usize) -> Status {
    Status::new(Reason::RequestEntityTooLarge, format!("the request's body is larger than the limit of {limit} bytes"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use http_body_util::Full;
    use proptest::prelude::*;
    use serde_json::json;

    #[test]
    fn yaml_and_json_read_alike() {
        let want = json!({"a": {"b": ["x", 1, true, null]}});
        assert_eq!(object(Media::Yaml, b"a:\n  b: [x, 1, true, null]\n").unwrap(), want);
        assert_eq!(object(Media::ApplyPatch, br#"{"a":{"b":["x",1,true,null]}}"#).unwrap(), want);
        assert_eq!(object(Media::Json, br#"{"a":{"b":["x",1,true,null]}}"#).unwrap(), want);
    }

    #[test]
    fn numbers_in_strings_stay_strings() {
        assert_eq!(
            object(Media::Yaml, b"a: \"1\"\nb: 1.5\nc: '8080'\n").unwrap(),
            json!({"a": "1", "b": 1.5, "c": "8080"})
        );
    }

    #[tokio::test]
    async fn bodies_over_the_limit_are_refused() {
        let body = || Full::new(Bytes::from_static(b"0123456789"));
        let patience = Duration::from_secs(1);
        assert_eq!(read(&HeaderMap::new(), body(), 10, patience).await.unwrap().len(), 10);
        let error = read(&HeaderMap::new(), body(), 9, patience).await.unwrap_err();
        assert_eq!(error.reason, Reason::RequestEntityTooLarge);
    }

    proptest! {
        #[test]
        fn no_body_brings_the_reader_down(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            for media in [Media::Json, Media::Yaml, Media::Protobuf] {
                if let Err(status) = object(media, &bytes) {
                    prop_assert!(matches!(status.reason, Reason::BadRequest | Reason::UnsupportedMediaType));
                    prop_assert!(!status.message.is_empty());
                }
            }
        }
    }
}
