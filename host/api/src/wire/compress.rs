//! gzip for big answers, piece by piece, so that no other request waits for a long one.

use std::io::Write;

use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use http::HeaderValue;
use http::header::{CONTENT_ENCODING, CONTENT_LENGTH, VARY};

use super::reply::Response;

/// Answers smaller than this are sent as they are, as in Kubernetes.
pub(crate) const THRESHOLD: usize = 128 << 10;
const PIECE: usize = 64 << 10;

/// Compresses pieces of a body.
pub(crate) struct Gzip {
    encoder: GzEncoder<Vec<u8>>,
}

impl Gzip {
    /// The fastest level: the answers are JSON, and the client is usually near.
    pub(crate) fn new() -> Self {
        Self { encoder: GzEncoder::new(Vec::with_capacity(PIECE / 4), Compression::fast()) }
    }

    /// Takes a piece; what comes out may be empty.
    pub(crate) fn push(&mut self, piece: &[u8]) -> std::io::Result<Bytes> {
        self.encoder.write_all(piece)?;
        Ok(std::mem::take(self.encoder.get_mut()).into())
    }

    pub(crate) fn finish(self) -> std::io::Result<Bytes> {
        self.encoder.finish().map(Bytes::from)
    }
}

/// Says that a body is gzipped.
pub(crate) fn mark(response: &mut Response) {
    let headers = response.headers_mut();
    headers.remove(CONTENT_LENGTH);
    headers.insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
    headers.insert(VARY, HeaderValue::from_static("Accept-Encoding"));
}
