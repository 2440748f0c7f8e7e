//! An API server with a hub, nodes that link up, and something on the nodes to stream.

use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use futures::StreamExt;
use futures::stream::{self, BoxStream};
use gantry_api::{ExecRequest, ExecSession, Handle, Limits, LogRequest, Options, Output, Pki, Server, Streams};
use gantry_link::{Backing, BundleOffer, Client, Delivery, Hub, Uplink, Verdict};
use gantry_model::{Caller, Kinds, Status};
use gantry_objects::Objects;
use gantry_store::Sled;
use http::{Request, Response};
use rustls::ClientConfig;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio::sync::{mpsc, oneshot};

pub struct World {
    pub hub: Hub,
    pub server: Handle,
    pub deliveries: Arc<Mutex<Vec<Delivery>>>,
    pki: Pki,
    pub folder: tempfile::TempDir,
}

/// What the server has for nodes: one component, and a sink that takes everything but `no`.
struct Shelf {
    component: PathBuf,
    deliveries: Arc<Mutex<Vec<Delivery>>>,
}

pub const DIGEST: &str = "sha256:0123";

#[async_trait]
impl Backing for Shelf {
    fn bundle(&self) -> BundleOffer {
        BundleOffer {
            bundle: "name = \"b\"".into(),
            sinks: vec!["all".into()],
            cluster_ranges: vec!["10.64.0.0/16".into()],
            absent: vec!["lame".into()],
            local: vec!["169.254.170.2:80".parse().unwrap()],
        }
    }

    fn component(&self, digest: &str) -> Option<PathBuf> {
        (digest == DIGEST).then(|| self.component.clone())
    }

    async fn deliver(&self, delivery: Delivery) -> Result<Verdict, String> {
        match delivery.sink.as_str() {
            "all" => {
                self.deliveries.lock().unwrap().push(delivery);
                Ok(Verdict::Accepted)
            }
            "no" => Ok(Verdict::Rejected("it is full".into())),
            other => Err(format!("{other} is busy")),
        }
    }

    async fn ask(&self, caller: Caller, request: Request<Bytes>) -> Response<Bytes> {
        let said = format!("{} asks for {}", caller.name, request.uri());
        Response::builder().status(404).header("x-said", "no").body(said.into()).unwrap()
    }
}

impl World {
    pub async fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let pki = Pki::load_or_create(&folder.path().join("pki"), &[]).unwrap();
        let component = folder.path().join("component");
        std::fs::write(&component, vec![7; 300_000]).unwrap();
        let deliveries = Arc::default();
        let hub = Hub::new(Arc::new(Shelf { component, deliveries: Arc::clone(&deliveries) }));
        let server = serve(&pki, &hub, "127.0.0.1:0").await;
        Self { hub, server, deliveries, pki, folder }
    }

    /// The hub and the server anew, at the same address.
    pub async fn restart(self) -> Self {
        let address = self.server.address().to_string();
        self.hub.stop();
        self.server.stop().await;
        let component = self.folder.path().join("component");
        let hub = Hub::new(Arc::new(Shelf { component, deliveries: self.deliveries.clone() }));
        let server = serve(&self.pki, &hub, &address).await;
        Self { hub, server, ..self }
    }

    pub fn client(&self, user: &str, group: &str) -> Client {
        let pair = self.pki.client(user, group).unwrap();
        let mut roots = rustls::RootCertStore::empty();
        roots.add(CertificateDer::from_pem_slice(self.pki.authority().as_bytes()).unwrap()).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
        let chain = vec![CertificateDer::from_pem_slice(pair.certificate.as_bytes()).unwrap()];
        let key = PrivateKeyDer::from_pem_slice(pair.key.as_bytes()).unwrap();
        let tls = builder.with_root_certificates(roots).with_client_auth_cert(chain, key).unwrap();
        Client::new(&self.server.url(), tls).unwrap()
    }

    /// A node that is linked up.
    pub async fn node(&self, name: &str) -> (Uplink, Arc<Things>) {
        let (uplink, things) = self.agent(name, "");
        self.until_linked(name).await;
        (uplink, things)
    }

    /// One of several agents of that name.
    pub fn agent(&self, name: &str, agent: &str) -> (Uplink, Arc<Things>) {
        let things = Arc::new(Things::default());
        let client = self.client(&format!("system:node:{name}"), "system:nodes");
        let options = gantry_link::Options { client, node: name.into(), agent: agent.into(), streams: things.clone() };
        (Uplink::start(options), things)
    }

    pub async fn until_linked(&self, name: &str) {
        until("the node is linked up", || self.hub.linked().contains(&name.to_owned())).await;
    }
}

async fn serve(pki: &Pki, hub: &Hub, listen: &str) -> Handle {
    let options = Options {
        listen: listen.parse().unwrap(),
        tls: pki.tls().unwrap(),
        objects: Objects::new(Arc::new(Sled::temporary().unwrap()), Kinds::default()),
        authenticators: Vec::new(),
        authorizers: Vec::new(),
        streams: Arc::new(hub.clone()),
        metrics: Arc::new(|| Box::pin(async { String::new() })),
        readiness: Arc::new(Vec::new),
        dialects: Default::default(),
        extra: hub.paths(),
        limits: Limits { drain: Duration::from_millis(500), ..Limits::default() },
    };
    Server::start(options).await.unwrap()
}

/// Asks until it is so.
pub async fn until(what: &str, mut so: impl FnMut() -> bool) {
    let wait = async {
        while !so() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), wait).await.unwrap_or_else(|_| panic!("never: {what}"));
}

/// Logs by name and processes that understand a few words.
#[derive(Default)]
pub struct Things {
    pub alive: Arc<AtomicUsize>,
}

/// Counts what is open.
struct Alive(Arc<AtomicUsize>);

impl Alive {
    fn new(count: &Arc<AtomicUsize>) -> Self {
        count.fetch_add(1, Ordering::SeqCst);
        Self(count.clone())
    }
}

impl Drop for Alive {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

pub const LINE: &[u8] = b"a line of some length that is told again and again\n";

#[async_trait]
impl Streams for Things {
    async fn logs(&self, request: LogRequest) -> Result<BoxStream<'static, std::io::Result<Bytes>>, Status> {
        let alive = Alive::new(&self.alive);
        let line = || Ok(Bytes::from_static(LINE));
        let lines = match request.container.as_str() {
            "waiting" => return Err(Status::bad_request("container \"waiting\" is waiting to start")),
            "endless" => stream::repeat_with(line).boxed(),
            "quiet" => stream::iter([line()]).chain(stream::pending()).boxed(),
            "broken" => stream::iter([line(), Err(std::io::Error::other("the disk is gone"))]).boxed(),
            _ => stream::repeat_with(line).take(request.tail_lines.unwrap_or(3) as usize).boxed(),
        };
        Ok(lines.inspect(move |_| _ = &alive).boxed())
    }

    async fn exec(&self, request: ExecRequest) -> Result<ExecSession, Status> {
        let (stdin, input) = mpsc::channel(1);
        let (output, outputs) = mpsc::channel(1);
        let (resize, sizes) = mpsc::channel(1);
        let (ended, exit) = oneshot::channel();
        let session = ExecSession { stdin: request.stdin.then_some(stdin), output: outputs, resize, exit };
        let alive = Alive::new(&self.alive);
        tokio::spawn(async move {
            let code = act(&request, input, &output, sizes).await;
            drop(output);
            let _ = ended.send(code);
            drop(alive);
        });
        Ok(session)
    }
}

async fn act(
    request: &ExecRequest,
    mut input: mpsc::Receiver<Bytes>,
    output: &mpsc::Sender<(Output, Bytes)>,
    mut sizes: mpsc::Receiver<(u16, u16)>,
) -> Result<i32, String> {
    let words: Vec<&str> = request.command.iter().map(String::as_str).collect();
    match words.as_slice() {
        ["cat"] => {
            while let Some(bytes) = input.recv().await {
                if output.send((Output::Stdout, bytes)).await.is_err() {
                    break;
                }
            }
            Ok(0)
        }
        ["size"] => {
            let (columns, rows) = sizes.recv().await.unwrap_or_default();
            let _ = output.send((Output::Stderr, Bytes::from(format!("{columns}x{rows}")))).await;
            Ok(3)
        }
        // Takes no input and says nothing, until whoever wanted it has gone.
        ["sleep"] => {
            output.closed().await;
            Err("killed".to_owned())
        }
        _ => Err("no such program".to_owned()),
    }
}
