//! A server over a store in memory, a plain HTTPS client, and kubectl.

#![allow(dead_code)] // Each test file uses its part.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod kinds;
mod parrot;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Output, Stdio};
use std::sync::Arc;

use async_trait::async_trait;
use axum::Router;
use axum::routing::get;
use bytes::Bytes;
use futures::StreamExt;
use futures::stream::BoxStream;
use gantry_api::{ExecRequest, ExecSession, Handle, Limits, LogRequest, Options, Pki, Server, Streams, Tokens};
use gantry_model::Status;
use gantry_objects::Objects;
use http::{HeaderMap, Method, Request, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper_util::rt::TokioIo;
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use serde_json::Value;
use tokio::net::TcpStream;
use tokio::sync::{mpsc, oneshot};
use tokio_rustls::client::TlsStream;

#[allow(unused_imports)] // As above.
pub use kinds::{kind, lift, objects, stored};
#[allow(unused_imports)] // As above.
pub use parrot::{dialects, parrot};

/// A control plane without loops or nodes.
pub struct Cluster {
    pub handle: Handle,
    pub objects: Objects,
    pub dir: tempfile::TempDir,
    pub pki: Pki,
}

async fn broken() -> String {
    panic!("on purpose")
}

pub const TOKENS: &str = "viewer-token,eve,2,\"gantry:viewers\"\nnobody-token,bob,3\n";

impl Cluster {
    pub async fn start(objects: Objects) -> Self {
        Self::start_with(objects, Limits::default()).await
    }

    pub async fn start_with(objects: Objects, limits: Limits) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let pki = Pki::load_or_create(&dir.path().join("pki"), &[]).unwrap();
        let options = Options {
            listen: "127.0.0.1:0".parse().unwrap(),
            tls: pki.tls().unwrap(),
            objects: objects.clone(),
            authenticators: vec![Arc::new(Tokens::parse(TOKENS).unwrap())],
            authorizers: Vec::new(),
            streams: Arc::new(Echo),
            metrics: Arc::new(|| Box::pin(async { "gantry_up 1\n".to_owned() })),
            readiness: Arc::new(Vec::new),
            dialects: dialects(),
            extra: Router::new().route("/dialect", get(|| async { "spoken" })).route("/panic", get(broken)),
            limits,
        };
        let handle = Server::start(options).await.unwrap();
        std::fs::write(dir.path().join("kubeconfig"), pki.kubeconfig(&handle.url())).unwrap();
        Self { handle, objects, dir, pki }
    }

    /// A connection; `certificate`: as the administrator.
    pub async fn connect(&self, certificate: bool) -> Client {
        let stream = self.tls(certificate, &[]).await;
        let (sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.unwrap();
        tokio::spawn(connection);
        Client { sender }
    }

    /// A connection on which nothing was said yet.
    pub async fn tls(&self, certificate: bool, protocols: &[&str]) -> TlsStream<TcpStream> {
        self.tls_to(self.handle.address(), certificate, protocols).await
    }

    /// The same, to a listener with this cluster's certificate.
    pub async fn tls_to(&self, to: SocketAddr, certificate: bool, protocols: &[&str]) -> TlsStream<TcpStream> {
        let mut roots = rustls::RootCertStore::empty();
        roots.add(CertificateDer::from_pem_slice(self.pki.authority().as_bytes()).unwrap()).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = rustls::ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots);
        let mut config = if certificate {
            let admin = self.pki.admin();
            let chain = vec![CertificateDer::from_pem_slice(admin.certificate.as_bytes()).unwrap()];
            config.with_client_auth_cert(chain, PrivateKeyDer::from_pem_slice(admin.key.as_bytes()).unwrap()).unwrap()
        } else {
            config.with_no_client_auth()
        };
        config.alpn_protocols = protocols.iter().map(|name| name.as_bytes().to_vec()).collect();
        let stream = TcpStream::connect(to).await.unwrap();
        let name = ServerName::try_from("127.0.0.1").unwrap();
        tokio_rustls::TlsConnector::from(Arc::new(config)).connect(name, stream).await.unwrap()
    }

    /// One request as the administrator on a connection of its own.
    pub async fn ask(&self, method: Method, path: &str, headers: &[(&str, &str)], body: &str) -> Answer {
        self.connect(true).await.ask(method, path, headers, body).await
    }

    pub async fn get(&self, path: &str) -> Answer {
        self.ask(Method::GET, path, &[], "").await
    }

    /// The path of a kubeconfig with a bearer token instead of a certificate.
    pub fn kubeconfig_with_token(&self, token: &str) -> String {
        let text = self.pki.kubeconfig(&self.handle.url());
        let lines = text.lines().filter(|line| !line.contains("client-key-data"));
        let lines = lines.map(|line| match line.contains("client-certificate-data") {
            true => format!("    token: {token}\n"),
            false => format!("{line}\n"),
        });
        let path = self.dir.path().join(format!("kubeconfig-{token}"));
        std::fs::write(&path, lines.collect::<String>()).unwrap();
        path.to_str().unwrap().to_owned()
    }

    /// Runs kubectl of a version and expects it to succeed.
    pub async fn kubectl(&self, version: &str, args: &[&str]) -> String {
        self.kubectl_with(version, args, "").await
    }

    pub async fn kubectl_with(&self, version: &str, args: &[&str], input: &str) -> String {
        let output = self.run(version, args, input).await;
        let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        assert!(output.status.success(), "kubectl {version} {args:?}: {}\n{out}\n{err}", output.status);
        format!("{out}{err}")
    }

    /// Runs kubectl of a version and expects it to fail; gives what it says.
    pub async fn kubectl_fails(&self, version: &str, args: &[&str], input: &str) -> String {
        let output = self.run(version, args, input).await;
        let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        assert!(!output.status.success(), "kubectl {version} {args:?} should fail: {out}\n{err}");
        format!("{out}{err}")
    }

    /// Runs kubectl of a version.
    pub async fn run(&self, version: &str, args: &[&str], input: &str) -> Output {
        let mut child = self.command(version, args).spawn().unwrap();
        let mut stdin = child.stdin.take().unwrap();
        tokio::io::AsyncWriteExt::write_all(&mut stdin, input.as_bytes()).await.unwrap();
        drop(stdin);
        let patience = std::time::Duration::from_secs(60);
        tokio::time::timeout(patience, child.wait_with_output()).await.expect("kubectl hangs").unwrap()
    }

    pub fn command(&self, version: &str, args: &[&str]) -> tokio::process::Command {
        let mut command = tokio::process::Command::new(kubectl(version).unwrap());
        command
            .args(args)
            .env("KUBECONFIG", self.dir.path().join("kubeconfig"))
            .env("HOME", self.dir.path())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true);
        command
    }
}

/// Where kubectl of a version is, if it is installed; of `any` it is that of the PATH.
pub fn kubectl(version: &str) -> Option<PathBuf> {
    let name = if version == ANY { "kubectl".to_owned() } else { format!("kubectl.{version}") };
    let path = std::env::var_os("PATH").unwrap_or_default();
    let dirs = std::env::split_paths(&path).chain([PathBuf::from("/usr/lib/google-cloud-sdk/bin")]);
    dirs.map(|dir| dir.join(&name)).find(|path| path.is_file())
}

/// The kubectl of the PATH, whatever its version.
const ANY: &str = "any";
/// Those that the API is tested with.
const TESTED: [&str; 7] = ["1.27", "1.28", "1.29", "1.30", "1.31", "1.32", "1.33"];

/// Those of the versions that are installed; says which are not. Where none of these is, one that is tested with takes
/// their place, and where there is none at all the test fails: to test nothing is no success. `GANTRY_KUBECTL=any` takes
/// that of the PATH instead.
pub fn versions(wanted: &[&'static str]) -> Vec<&'static str> {
    let (found, missing): (Vec<_>, Vec<_>) = wanted.iter().partition(|version| kubectl(version).is_some());
    if !missing.is_empty() {
        eprintln!("not installed, not tested: kubectl {missing:?}");
    }
    if !found.is_empty() {
        return found;
    }
    let any = (std::env::var("GANTRY_KUBECTL").as_deref() == Ok(ANY)).then_some(ANY);
    let other = TESTED.into_iter().rfind(|version| kubectl(version).is_some()).or(any);
    let other = other.filter(|version| kubectl(version).is_some());
    vec![other.expect(
        "there is no kubectl 1.27 to 1.33: put one on the PATH, named as kubectl.1.33 (the Google Cloud SDK brings all), or \
         set GANTRY_KUBECTL=any to test with the kubectl that is there",
    )]
}

pub struct Client {
    pub sender: hyper::client::conn::http1::SendRequest<Full<Bytes>>,
}

pub struct Answer {
    pub code: StatusCode,
    pub headers: HeaderMap,
    pub body: Bytes,
}

impl Answer {
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|e| panic!("{e}: {:?}", self.body))
    }

    pub fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }

    /// The code and reason of a failure.
    pub fn failure(&self) -> (u16, String) {
        let status = self.json();
        assert_eq!((&status["kind"], &status["code"]), (&"Status".into(), &self.code.as_u16().into()), "{status}");
        assert!(!status["message"].as_str().unwrap().is_empty());
        (self.code.as_u16(), status["reason"].as_str().unwrap().to_owned())
    }
}

impl Client {
    pub async fn ask(&mut self, method: Method, path: &str, headers: &[(&str, &str)], body: &str) -> Answer {
        let mut request = Request::builder().method(method).uri(path).header("host", "localhost");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request.body(Full::new(Bytes::copy_from_slice(body.as_bytes()))).unwrap();
        let response = self.sender.send_request(request).await.unwrap();
        let (head, body) = response.into_parts();
        let body = body.collect().await.unwrap().to_bytes();
        Answer { code: head.status, headers: head.headers, body }
    }
}

/// Logs that never end when followed, and processes that understand a few words.
struct Echo;

#[async_trait]
impl Streams for Echo {
    async fn logs(&self, request: LogRequest) -> Result<BoxStream<'static, std::io::Result<Bytes>>, Status> {
        let lines = request.tail_lines.unwrap_or(3);
        let line = move |n| Ok(Bytes::from(format!("{}/{} line {n}\n", request.pod, request.container)));
        let head = (0..lines).map(line);
        let head = futures::stream::iter(head);
        Ok(if request.follow { head.chain(futures::stream::pending()).boxed() } else { head.boxed() })
    }

    async fn exec(&self, request: ExecRequest) -> Result<ExecSession, Status> {
        if request.command == ["refuse"] {
            return Err(Status::bad_request("no such program"));
        }
        let (stdin, input) = mpsc::channel(4);
        let (output, outputs) = mpsc::channel(4);
        let (resize, sizes) = mpsc::channel(4);
        let (ended, exit) = oneshot::channel();
        tokio::spawn(act(request.clone(), input, output, sizes, ended));
        Ok(ExecSession { stdin: request.stdin.then_some(stdin), output: outputs, resize, exit })
    }
}

async fn act(
    request: ExecRequest,
    mut input: mpsc::Receiver<Bytes>,
    output: mpsc::Sender<(gantry_api::Output, Bytes)>,
    mut sizes: mpsc::Receiver<(u16, u16)>,
    ended: oneshot::Sender<Result<i32, String>>,
) {
    use gantry_api::Output::{Stderr, Stdout};
    let words: Vec<&str> = request.command.iter().map(String::as_str).collect();
    let code = match words.as_slice() {
        ["cat"] => {
            while let Some(bytes) = input.recv().await {
                output.send((Stdout, bytes)).await.unwrap();
            }
            0
        }
        // Takes no input, and leaves a sign when its client has gone.
        ["deaf", sign] => {
            output.send((Stdout, Bytes::from_static(b"here\n"))).await.unwrap();
            output.closed().await;
            std::fs::write(sign, input.len().to_string()).unwrap();
            return;
        }
        ["exit", code] => code.parse().unwrap(),
        ["both"] => {
            output.send((Stdout, Bytes::from_static(b"to out\n"))).await.unwrap();
            output.send((Stderr, Bytes::from_static(b"to err\n"))).await.unwrap();
            0
        }
        ["much", bytes] => {
            let mut left: usize = bytes.parse().unwrap();
            while left > 0 {
                let piece = left.min(100_000);
                output.send((Stdout, Bytes::from(vec![b'x'; piece]))).await.unwrap();
                left -= piece;
            }
            0
        }
        ["size"] => {
            let (columns, rows) = sizes.recv().await.unwrap();
            output.send((Stdout, Bytes::from(format!("{columns}x{rows}\n")))).await.unwrap();
            0
        }
        words => {
            output.send((Stdout, Bytes::from(words.join(" ") + "\n"))).await.unwrap();
            0
        }
    };
    drop(output);
    let _ = ended.send(Ok(code));
}
