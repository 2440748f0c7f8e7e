//! An API server over a store of its own, behind a door that can be shut.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use futures::stream::BoxStream;
use gantry_api::{ExecRequest, ExecSession, Handle, Limits, LogRequest, Options, Pki, Server, Streams};
use gantry_model::{Kinds, Status};
use gantry_node::cluster::{PodRef, Remote, remote};
use gantry_objects::{DeleteOptions, Objects, Patch};
use gantry_store::Sled;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use serde_json::{Value, json};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::broadcast;

pub const NODE: &str = "n1";

pub struct World {
    pub objects: Objects,
    server: Option<Handle>,
    address: SocketAddr,
    pki: Pki,
    pub door: Door,
    _folder: tempfile::TempDir,
}

struct NoStreams;

#[async_trait]
impl Streams for NoStreams {
    async fn logs(&self, _: LogRequest) -> Result<BoxStream<'static, std::io::Result<Bytes>>, Status> {
        Err(Status::bad_request("none"))
    }

    async fn exec(&self, _: ExecRequest) -> Result<ExecSession, Status> {
        Err(Status::bad_request("none"))
    }
}

impl World {
    /// Remembers so many events for watches that resume.
    pub async fn start(log_events: usize) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let kinds = Kinds::default();
        gantry_model::core::register(&kinds);
        let options = gantry_store::Options { log_events, ..gantry_store::Options::new(folder.path().join("store")) };
        let objects = Objects::new(Arc::new(Sled::open(options).unwrap()), kinds);
        let pki = Pki::load_or_create(&folder.path().join("pki"), &[]).unwrap();
        let server = serve(&objects, &pki, "127.0.0.1:0".parse().unwrap()).await;
        let address = server.address();
        let world =
            Self { objects, server: Some(server), address, pki, door: Door::to(address).await, _folder: folder };
        for name in ["default", "kube-node-lease"] {
            world.create("", "Namespace", "", json!({"metadata": {"name": name}})).await;
        }
        world
    }

    pub async fn stop_server(&mut self) {
        self.server.take().unwrap().stop().await;
    }

    /// At the same address, over the same objects.
    pub async fn start_server(&mut self) {
        self.server = Some(serve(&self.objects, &self.pki, self.address).await);
    }

    /// A node's connection, through the door.
    pub fn remote(&self) -> Remote {
        let mut roots = rustls::RootCertStore::empty();
        roots.add(CertificateDer::from_pem_slice(self.pki.authority().as_bytes()).unwrap()).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = rustls::ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
        let admin = self.pki.admin();
        let chain = vec![CertificateDer::from_pem_slice(admin.certificate.as_bytes()).unwrap()];
        let key = PrivateKeyDer::from_pem_slice(admin.key.as_bytes()).unwrap();
        let tls = builder.unwrap().with_root_certificates(roots).with_client_auth_cert(chain, key).unwrap();
        let server = format!("https://{}", self.door.address);
        Remote::new(remote::Options { server, tls, bearer: None }).unwrap()
    }

    pub async fn create(&self, group: &str, kind: &str, namespace: &str, object: Value) -> Value {
        let kind = self.objects.kinds().by_kind(group, kind).unwrap();
        let mut object = object;
        object["apiVersion"] = kind.api_version().into();
        object["kind"] = kind.kind.clone().into();
        self.objects.create(&kind, namespace, object, &Default::default()).await.unwrap().record.value()
    }

    pub async fn pod(&self, name: &str) -> PodRef {
        self.pod_on(name, NODE).await
    }

    pub async fn pod_on(&self, name: &str, node: &str) -> PodRef {
        let spec = json!({"nodeName": node, "containers": [{"name": "c", "image": "image:1"}]});
        let pod = self.create("", "Pod", "default", json!({"metadata": {"name": name}, "spec": spec})).await;
        let uid = pod["metadata"]["uid"].as_str().unwrap().to_owned();
        PodRef { namespace: "default".into(), name: name.into(), uid }
    }

    pub async fn merge(&self, kind: &str, name: &str, patch: Value) {
        let kind = self.objects.kinds().by_kind("", kind).unwrap();
        let namespace = if kind.namespaced() { "default" } else { "" };
        self.objects.patch(&kind, namespace, name, Patch::Merge(patch), &Default::default()).await.unwrap();
    }

    pub async fn delete(&self, kind: &str, name: &str) {
        let kind = self.objects.kinds().by_kind("", kind).unwrap();
        let options = DeleteOptions { grace_seconds: Some(0), ..DeleteOptions::default() };
        self.objects.delete(&kind, "default", name, &options).await.unwrap();
    }

    pub fn get(&self, group: &str, kind: &str, namespace: &str, name: &str) -> Option<Value> {
        let kind = self.objects.kinds().by_kind(group, kind).unwrap();
        self.objects.get(&kind, namespace, name).ok().map(|record| record.value())
    }
}

async fn serve(objects: &Objects, pki: &Pki, listen: SocketAddr) -> Handle {
    let options = Options {
        listen,
        tls: pki.tls().unwrap(),
        objects: objects.clone(),
        authenticators: Vec::new(),
        authorizers: Vec::new(),
        streams: Arc::new(NoStreams),
        metrics: Arc::new(|| Box::pin(async { String::new() })),
        readiness: Arc::new(Vec::new),
        dialects: Default::default(),
        extra: Default::default(),
        limits: Limits { drain: Duration::from_millis(200), ..Limits::default() },
    };
    Server::start(options).await.unwrap()
}

/// Passes connections on, until it is shut.
pub struct Door {
    pub address: SocketAddr,
    open: Arc<AtomicBool>,
    cut: broadcast::Sender<()>,
}

impl Door {
    async fn to(target: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (open, cut) = (Arc::new(AtomicBool::new(true)), broadcast::Sender::new(1));
        let (opened, cuts) = (open.clone(), cut.clone());
        tokio::spawn(async move {
            loop {
                let (mut client, _) = listener.accept().await.unwrap();
                if !opened.load(Ordering::SeqCst) {
                    continue;
                }
                let mut cut = cuts.subscribe();
                tokio::spawn(async move {
                    let Ok(mut server) = TcpStream::connect(target).await else { return };
                    tokio::select! {
                        _ = tokio::io::copy_bidirectional(&mut client, &mut server) => {}
                        _ = cut.recv() => {}
                    }
                });
            }
        });
        Self { address, open, cut }
    }

    /// Ends every connection; new ones are let through.
    pub fn slam(&self) {
        let _ = self.cut.send(());
    }

    /// Ends every connection and lets none through.
    pub fn shut(&self) {
        self.open.store(false, Ordering::SeqCst);
        self.slam();
    }

    pub fn open(&self) {
        self.open.store(true, Ordering::SeqCst);
    }
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
