//! The way out for one plugin: its endpoints, its bounds, and the client behind them.

use std::time::{Duration, SystemTime};

use bytes::{Bytes, BytesMut};
use http::{HeaderMap, Method, Request, Response, header};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use reqwest::Url;
use tokio::sync::Semaphore;
use wasmtime_wasi_http::{Error, WasiBody};

use super::client::client;
use super::fail::Failure;
use super::sign::Signer;
use super::tally::Tally;
use super::{Endpoint, Http};

/// Shared by all instances of a plugin.
pub(crate) struct Gate {
    endpoints: Vec<Endpoint>,
    client: reqwest::Client,
    permits: Semaphore,
    max_body: usize,
    timeout: Duration,
    signers: Vec<Signer>,
    tally: Tally,
}

impl Gate {
    /// The way to these endpoints. `Err` says what of the bundle's `[plugin.http]` can't be had.
    pub(crate) fn new(plugin: &str, endpoints: Vec<Endpoint>, http: &Http) -> Result<Self, String> {
        if let Some(other) = http.sign.iter().find(|sign| !endpoints.contains(&sign.endpoint)) {
            return Err(format!("signs for {}, which is not granted", other.endpoint));
        }
        let signers = http.sign.iter().map(Signer::new).collect::<Result<_, _>>().map_err(|e| e.to_string())?;
        Ok(Self {
            client: client(http.ca_file.as_deref(), http.connections())?,
            permits: Semaphore::new(http.connections()),
            max_body: http.max_body(),
            timeout: http.timeout(),
            tally: Tally::new(plugin),
            endpoints,
            signers,
        })
    }

    /// Makes a request if it may be made, within `left` at most.
    pub(super) async fn ask(&self, request: Request<WasiBody>, left: Duration) -> Result<Response<Bytes>, Failure> {
        let open = self.tally.open();
        let asked = tokio::time::timeout(self.timeout.min(left), self.admitted(request));
        let answer = asked.await.unwrap_or_else(|_| Err(Failure::late()));
        open.end(answer.as_ref().map_or_else(|failure| failure.outcome, |_| "answered"));
        answer
    }

    /// Counts a request that may not be made.
    pub(super) fn deny(&self, why: &str) -> Failure {
        let failure = Failure::denied(why);
        self.tally.open().end(failure.outcome);
        failure
    }

    async fn admitted(&self, request: Request<WasiBody>) -> Result<Response<Bytes>, Failure> {
        let url = Url::parse(&request.uri().to_string())
            .map_err(|e| Failure::new("failed", Error::HttpRequestUriInvalid, e.to_string()))?;
        let endpoint = Endpoint::of(&url).filter(|endpoint| self.endpoints.contains(endpoint));
        let endpoint = endpoint.ok_or_else(|| Failure::denied("the bundle grants no request to it"))?;
        let _permit = self.permits.try_acquire().map_err(|_| {
            Failure::new("limit", Error::ConnectionLimitReached, "as many requests as the bundle allows are under way")
        })?;
        let (parts, body) = request.into_parts();
        let body = self.whole(body).await?;
        let mut headers = parts.headers;
        // The client writes these from what it sends.
        headers.remove(header::HOST);
        headers.remove(header::CONTENT_LENGTH);
        if let Some(signer) = self.signers.iter().find(|signer| signer.signs(&endpoint)) {
            let signed = signer.sign(&parts.method, &url, &mut headers, &body, SystemTime::now());
            signed.map_err(|e| Failure::new("unsigned", Error::ConfigurationError, e.to_string()))?;
        }
        self.send(parts.method, url, headers, body).await
    }

    async fn send(
        &self,
        method: Method,
        url: Url,
        headers: HeaderMap,
        body: Bytes,
    ) -> Result<Response<Bytes>, Failure> {
        self.tally.moved("out", body.len());
        let mut answer = self.client.request(method, url).headers(headers).body(body).send().await?;
        let too_large = || {
            let why = format!("an answer of more than {} bytes", self.max_body);
            Failure::new("too-large", Error::HttpResponseBodySize(Some(self.max_body as u64)), why)
        };
        if answer.content_length().is_some_and(|length| length > self.max_body as u64) {
            return Err(too_large());
        }
        let mut whole = BytesMut::new();
        while let Some(chunk) = answer.chunk().await? {
            if whole.len() + chunk.len() > self.max_body {
                return Err(too_large());
            }
            whole.extend_from_slice(&chunk);
        }
        self.tally.moved("in", whole.len());
        let mut response = Response::new(whole.freeze());
        *response.status_mut() = answer.status();
        *response.headers_mut() = std::mem::take(answer.headers_mut());
        // How it came over the wire is over.
        for name in [header::TRANSFER_ENCODING, header::CONNECTION, header::TRAILER] {
            response.headers_mut().remove(name);
        }
        Ok(response)
    }

    /// All that the guest writes.
    async fn whole(&self, body: WasiBody) -> Result<Bytes, Failure> {
        match Limited::new(body, self.max_body).collect().await {
            Ok(collected) => Ok(collected.to_bytes()),
            Err(error) if error.is::<LengthLimitError>() => {
                let why = format!("a request of more than {} bytes", self.max_body);
                Err(Failure::new("too-large", Error::HttpRequestBodySize(Some(self.max_body as u64)), why))
            }
            Err(error) => Err(Failure::new("failed", Error::HttpProtocolError, error.to_string())),
        }
    }
}
