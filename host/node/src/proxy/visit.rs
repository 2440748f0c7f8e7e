//! One request from its head to the last byte of its answer: a line of the access log and the metrics.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Instant;

use http::{Method, StatusCode, Uri};
use metrics::{Counter, Histogram};
use tracing::debug;

/// Counts of one listener.
pub struct Meter {
    listener: String,
    /// By the first digit of the status code.
    classes: [Counter; 5],
    seconds: Histogram,
}

impl Meter {
    /// Of the listener of this name.
    pub fn new(listener: &str) -> Self {
        let class = |class: &'static str| metrics::counter!("gantry_proxy_requests_total", "listener" => listener.to_owned(), "class" => class);
        Self {
            listener: listener.to_owned(),
            classes: ["1xx", "2xx", "3xx", "4xx", "5xx"].map(class),
            seconds: metrics::histogram!("gantry_proxy_request_seconds", "listener" => listener.to_owned()),
        }
    }
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
