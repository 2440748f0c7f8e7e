//! One request from its head to the last byte of its answer: a line of the access log and the metrics.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use http::{Method, StatusCode, Uri};
use metrics::{Counter, Histogram};
use serde::Serialize;
use tracing::debug;

use super::access::AccessLog;

/// Counts of one listener, and whether its requests are noted.
pub struct Meter {
    listener: String,
    scheme: &'static str,
    access: Option<AccessLog>,
    noted: AtomicBool,
    /// By the first digit of the status code.
    classes: [Counter; 5],
    seconds: Histogram,
}

impl Meter {
    /// Of the listener of this name.
    pub fn new(listener: &str, tls: bool, access: Option<AccessLog>) -> Self {
        let class = |class: &'static str| metrics::counter!("gantry_proxy_requests_total", "listener" => listener.to_owned(), "class" => class);
        Self {
            listener: listener.to_owned(),
            scheme: if tls { "https" } else { "http" },
            access,
            noted: AtomicBool::new(false),
            classes: ["1xx", "2xx", "3xx", "4xx", "5xx"].map(class),
            seconds: metrics::histogram!("gantry_proxy_request_seconds", "listener" => listener.to_owned()),
        }
    }

    /// Whether requests are noted from now on.
    pub fn note(&self, noted: bool) {
        self.noted.store(noted, Ordering::Relaxed);
    }
}

/// Bytes of a path that are noted: what waits for the disk has a bound.
const PATH: usize = 2048;

#[derive(Serialize)]
struct Record<'a> {
    #[serde(rename = "client.address")]
    client: IpAddr,
    #[serde(rename = "http.request.method")]
    method: &'a str,
    #[serde(rename = "url.scheme")]
    scheme: &'a str,
    #[serde(rename = "server.address")]
    host: &'a str,
    #[serde(rename = "url.path")]
    path: &'a str,
    #[serde(rename = "http.response.status_code")]
    status: u16,
    #[serde(rename = "http.response.body.size")]
    bytes: u64,
    #[serde(rename = "http.server.request.duration")]
    seconds: f64,
    #[serde(rename = "gantry.proxy.listener")]
    listener: &'a str,
    #[serde(rename = "gantry.proxy.endpoint")]
    endpoint: Option<SocketAddr>,
    #[serde(rename = "gantry.proxy.broken")]
    broken: bool,
}

/// What is noted of one request. Noted when it is dropped.
pub struct Visit {
    meter: Arc<Meter>,
    begun: Instant,
    client: IpAddr,
    method: Method,
    host: String,
    uri: Uri,
    status: StatusCode,
    endpoint: Option<SocketAddr>,
    bytes: u64,
    broke: bool,
}

impl Visit {
    /// A request whose head has come.
    pub fn new(meter: Arc<Meter>, client: IpAddr, method: Method, uri: Uri) -> Self {
        Self {
            meter,
            begun: Instant::now(),
            client,
            method,
            host: String::new(),
            uri,
            status: StatusCode::OK,
            endpoint: None,
            bytes: 0,
            broke: false,
        }
    }

    /// Which host was asked for.
    pub fn to(&mut self, host: &str) {
        host.clone_into(&mut self.host);
    }

    /// How it is answered, and by whom.
    pub fn answered(&mut self, status: StatusCode, endpoint: Option<SocketAddr>) {
        (self.status, self.endpoint) = (status, endpoint);
    }

    /// So much of the answer has gone.
    pub fn sent(&mut self, bytes: usize) {
        self.bytes = self.bytes.saturating_add(bytes as u64);
    }

    /// Names of OpenTelemetry's semantic conventions for HTTP (1.27), where it has one. The query may hold secrets, and stays out.
    fn record(&self, seconds: f64) -> String {
        let path = self.uri.path();
        let record = Record {
            client: self.client,
            method: self.method.as_str(),
            scheme: self.meter.scheme,
            host: &self.host,
            path: path.get(..path.floor_char_boundary(PATH)).unwrap_or_default(),
            status: self.status.as_u16(),
            bytes: self.bytes,
            seconds,
            listener: &self.meter.listener,
            endpoint: self.endpoint,
            broken: self.broke,
        };
        // Numbers and texts: it can't fail.
        serde_json::to_string(&record).unwrap_or_default()
    }

    /// The endpoint broke off in the middle.
    pub fn broke(&mut self) {
        self.broke = true;
    }
}

impl Drop for Visit {
    fn drop(&mut self) {
        let seconds = self.begun.elapsed().as_secs_f64();
        let class = usize::from(self.status.as_u16() / 100).saturating_sub(1);
        if let Some(counter) = self.meter.classes.get(class) {
            counter.increment(1);
        }
        self.meter.seconds.record(seconds);
        if let Some(access) = self.meter.access.as_ref().filter(|_| self.meter.noted.load(Ordering::Relaxed)) {
            access.note(self.record(seconds));
        }
        debug!(
            target: "gantry::access",
            listener = self.meter.listener,
            client = %self.client,
            method = %self.method,
            host = self.host,
            path = self.uri.path(),
            status = self.status.as_u16(),
            endpoint = self.endpoint.map(|address| address.to_string()),
            bytes = self.bytes,
            seconds,
            broke = self.broke,
        );
    }
}
