//! A client that costs little beside the server it measures: HTTP/1.1, kept alive, over TLS with the administrator's
//! certificate, one request at a time on a connection.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, Result, bail};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper::{Method, Request, Response};
use hyper_util::rt::TokioIo;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use serde::de::DeserializeOwned;
use serde_json::Value;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

pub const JSON: &str = "application/json";
/// The body of a server-side apply, which may be JSON.
pub const APPLY: &str = "application/apply-patch+yaml";

/// A server, and what a client needs to be let in.
#[derive(Clone)]
pub struct Target {
    address: SocketAddr,
    tls: TlsConnector,
}

impl Target {
    /// As the kubeconfig says that `gantry up` writes.
    pub fn read(kubeconfig: &Path) -> Result<Self> {
        let text = std::fs::read_to_string(kubeconfig)?;
        let field = |name: &str| {
            let found = text.lines().find_map(|line| line.trim().strip_prefix(name)?.strip_prefix(": "));
            found.with_context(|| format!("{} has no {name}", kubeconfig.display()))
        };
        let pem = |name: &str| anyhow::Ok(STANDARD.decode(field(name)?)?);
        let mut roots = RootCertStore::empty();
        for certificate in CertificateDer::pem_slice_iter(&pem("certificate-authority-data")?) {
            roots.add(certificate?)?;
        }
        let chain = CertificateDer::pem_slice_iter(&pem("client-certificate-data")?).collect::<Result<Vec<_>, _>>()?;
        let key = PrivateKeyDer::from_pem_slice(&pem("client-key-data")?)?;
        let config = ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
            .with_safe_default_protocol_versions()?
            .with_root_certificates(roots)
            .with_client_auth_cert(chain, key)?;
        let address = field("server")?.trim_start_matches("https://").parse()?;
        Ok(Self { address, tls: TlsConnector::from(Arc::new(config)) })
    }

    /// A connection of its own.
    pub async fn connect(&self) -> Result<Connection> {
        let stream = TcpStream::connect(self.address).await.with_context(|| format!("can't reach {}", self.address))?;
        stream.set_nodelay(true)?;
        let name = ServerName::IpAddress(self.address.ip().into());
        let (sender, driver) = handshake(TokioIo::new(self.tls.connect(name, stream).await?)).await?;
        tokio::spawn(driver);
        Ok(Connection { sender, host: self.address.to_string() })
    }

    /// Several connections.
    pub async fn connect_many(&self, count: usize) -> Result<Vec<Connection>> {
        let mut connections = Vec::with_capacity(count);
        for _ in 0..count {
            connections.push(self.connect().await?);
        }
        Ok(connections)
    }
}

/// A connection, used by one client.
pub struct Connection {
    sender: SendRequest<Full<Bytes>>,
    host: String,
}

impl Connection {
    async fn send(&mut self, method: Method, path: &str, kind: &str, body: Bytes) -> Result<Response<Incoming>> {
        let request = Request::builder().method(&method).uri(path).header("host", &self.host);
        let request = request.header("content-type", kind).header("accept", JSON).body(Full::new(body))?;
        self.sender.ready().await?;
        let response = self.sender.send_request(request).await?;
        if response.status().is_success() {
            return Ok(response);
        }
        let status = response.status();
        let said = response.into_body().collect().await?.to_bytes();
        bail!("{method} {path}: {status}: {}", String::from_utf8_lossy(&said))
    }

    async fn whole(&mut self, method: Method, path: &str, kind: &str, body: Bytes) -> Result<Bytes> {
        Ok(self.send(method, path, kind, body).await?.into_body().collect().await?.to_bytes())
    }

    pub async fn get(&mut self, path: &str) -> Result<Bytes> {
        self.whole(Method::GET, path, JSON, Bytes::new()).await
    }

    pub async fn get_json(&mut self, path: &str) -> Result<Value> {
        Ok(serde_json::from_slice(&self.get(path).await?)?)
    }

    pub async fn create(&mut self, path: &str, body: Bytes) -> Result<Bytes> {
        self.whole(Method::POST, path, JSON, body).await
    }

    /// Server-side apply.
    pub async fn apply(&mut self, path: &str, object: &Value) -> Result<Bytes> {
        let path = format!("{path}?fieldManager=bench&force=true");
        self.whole(Method::PATCH, &path, APPLY, object.to_string().into()).await
    }

    /// Deletes with all that it owns, in the background.
    pub async fn delete(&mut self, path: &str) -> Result<()> {
        let path = format!("{path}?propagationPolicy=Background");
        self.whole(Method::DELETE, &path, JSON, Bytes::new()).await.map(drop)
    }

    /// Watches what a list has, from now on: the connection is used up.
    pub async fn watch(mut self, path: &str, selector: &str) -> Result<Watch> {
        let list = self.get_json(&format!("{path}?labelSelector={selector}")).await?;
        let revision =
            list.pointer("/metadata/resourceVersion").and_then(Value::as_str).context("a list has no revision")?;
        let path = format!("{path}?labelSelector={selector}&watch=1&resourceVersion={revision}");
        let body = self.send(Method::GET, &path, JSON, Bytes::new()).await?.into_body();
        Ok(Watch { body, buffer: Vec::new(), read: 0, _connection: self })
    }
}

/// A watch, line by line.
pub struct Watch {
    body: Incoming,
    buffer: Vec<u8>,
    /// Where the next line begins.
    read: usize,
    _connection: Connection,
}

impl Watch {
    /// The next event. Fails when the watch ends.
    pub async fn next<T: DeserializeOwned>(&mut self) -> Result<T> {
        loop {
            let rest = self.buffer.get(self.read..).unwrap_or_default();
            if let Some(end) = rest.iter().position(|byte| *byte == b'\n') {
                let line = rest.get(..end).unwrap_or_default();
                let event = serde_json::from_slice(line)
                    .with_context(|| format!("not an event: {}", String::from_utf8_lossy(line)));
                self.read += end + 1;
                return event;
            }
            self.buffer.drain(..self.read);
            self.read = 0;
            let frame = self.body.frame().await.context("the watch ended")??;
            if let Ok(data) = frame.into_data() {
                self.buffer.extend_from_slice(&data);
            }
        }
    }
}
