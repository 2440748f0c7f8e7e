//! A proxy as another process would be: a task with a socket, which is cut off as a crash cuts off a process.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use futures::{SinkExt, StreamExt};
use gantry_api::pki::Pair;
use gantry_model::Status;
use gantry_node::cluster::recorder::About;
use gantry_node::cluster::{SourceFeed, Wanted};
use gantry_node::logs::{Limit, Notices};
use gantry_node::proxy::apart::{Applied, Keeper, KeeperOptions, ServeOptions, end, serve};
use gantry_node::proxy::{Identity, Secrets, Tell};
use gantry_plugin::family::network::Operation;
use gantry_plugin::family::proxy::{Action, Listener, Response};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, UnixListener, UnixStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio_util::codec::{Framed, LengthDelimitedCodec};
use tokio_util::sync::CancellationToken;

use crate::secure::{der, shown};
use crate::world::{Port, certificate, keep, pair, rule, until};

const PATIENCE: Duration = Duration::from_secs(20);

#[derive(Default)]
struct Store {
    secret: Mutex<Option<Value>>,
    changed: watch::Sender<u64>,
    wanted: Mutex<Option<Wanted>>,
    told: Mutex<Vec<String>>,
}

struct Feed(watch::Receiver<u64>);

#[async_trait]
impl SourceFeed for Feed {
    async fn next(&mut self) -> Result<Option<Vec<(String, String)>>, Status> {
        match self.0.changed().await {
            Ok(()) => Ok(Some(vec![("a".to_owned(), "s".to_owned())])),
            Err(_) => std::future::pending().await,
        }
    }
}

#[async_trait]
impl Secrets for Store {
    fn changes(&self, wanted: Wanted) -> Box<dyn SourceFeed> {
        *self.wanted.lock().unwrap() = Some(wanted);
        Box::new(Feed(self.changed.subscribe()))
    }

    async fn get(&self, namespace: &str, name: &str) -> Result<Option<Value>, Status> {
        assert_eq!((namespace, name), ("a", "s"));
        Ok(self.secret.lock().unwrap().clone())
    }
}

impl Tell for Store {
    fn warn(&self, about: &About, reason: &str, _message: &str) {
        self.told.lock().unwrap().push(format!("{reason} {}", about.name));
    }
}

impl Store {
    fn put(&self) -> Pair {
        let pair = pair(&["x.example"]);
        let data = json!({"tls.crt": STANDARD.encode(&pair.certificate), "tls.key": STANDARD.encode(&pair.key)});
        *self.secret.lock().unwrap() = Some(json!({"data": data}));
        self.changed.send_modify(|times| *times += 1);
        pair
    }

    fn wants(&self) -> usize {
        self.wanted.lock().unwrap().as_ref().map(|wanted| wanted.borrow().len()).unwrap_or_default()
    }
}

/// A folder with a socket, and the proxies that were started there.
struct World {
    folder: tempfile::TempDir,
    runs: Arc<Mutex<Vec<JoinHandle<()>>>>,
    started: Arc<AtomicUsize>,
    notices: Notices,
    port: u16,
    _held: Port,
}

impl World {
    fn new() -> Self {
        let (runs, started, notices) = Default::default();
        let held = Port::new();
        Self { folder: tempfile::tempdir().unwrap(), runs, started, notices, port: held.number, _held: held }
    }

    fn socket(&self) -> PathBuf {
        self.folder.path().join("proxy.sock")
    }

    /// Another agent.
    fn agent(&self, store: &Arc<Store>) -> Keeper {
        let (socket, runs, started) = (self.socket(), self.runs.clone(), self.started.clone());
        Keeper::new(KeeperOptions {
            socket: socket.clone(),
            launch: Box::new(move || {
                started.fetch_add(1, Ordering::SeqCst);
                runs.lock().unwrap().push(tokio::spawn(run(socket.clone())));
                Ok(())
            }),
            secrets: store.clone(),
            tell: store.clone(),
            notices: self.notices.clone(),
        })
    }

    /// As kill -9 would.
    async fn crash(&self) {
        let run = self.runs.lock().unwrap().pop().unwrap();
        run.abort();
        let _ = run.await;
    }

    fn listener(&self, body: &str, secret: Option<&str>) -> Operation {
        let respond = Response { status: 200, content_type: String::new(), body: body.to_owned() };
        Operation::EnsureListener(Listener {
            name: "l".into(),
            port: self.port,
            tls: secret.is_some(),
            certificates: secret.map(|secret| certificate(&["x.example"], secret)).into_iter().collect(),
            rules: vec![rule("", "/", Action::Respond(respond))],
            frontends: vec!["a/f".into()],
            access_log: true,
        })
    }

    async fn answer(&self) -> Option<String> {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).await.ok()?;
        ask(&mut stream).await
    }
}

async fn run(socket: PathBuf) {
    let pair = pair(&["fallback"]);
    let fallback = Identity::from_pem(pair.certificate.as_bytes(), pair.key.as_bytes()).unwrap();
    let _ = std::fs::remove_file(&socket);
    let access = Some((socket.with_file_name("access.log"), Limit { bytes: 0, files: 1 }));
    let (path, socket) = (socket.clone(), UnixListener::bind(&socket).unwrap());
    let metrics = Arc::new(|| "counted 1\n".to_owned());
    serve(ServeOptions { socket, path, fallback, connections: 100, access, metrics }, CancellationToken::new()).await;
}

/// Over a connection that stays.
async fn ask(stream: &mut TcpStream) -> Option<String> {
    stream.write_all(b"GET / HTTP/1.1\r\nHost: x.example\r\n\r\n").await.ok()?;
    let mut answer = [0; 4096];
    let read = stream.read(&mut answer).await.ok().filter(|read| *read > 0)?;
    let text = String::from_utf8_lossy(&answer[..read]).into_owned();
    text.split_once("\r\n\r\n").map(|(_, body)| body.to_owned())
}

fn whom(id: &str) -> Vec<About> {
    vec![About { name: id.to_owned(), ..About::default() }]
}

async fn apply(agent: &Keeper, full: bool, plan: &[Operation]) -> Applied {
    agent.apply("p", full, plan, &whom).await.unwrap()
}

#[tokio::test]
async fn it_is_started_when_somebody_listens_and_not_before() {
    let world = World::new();
    let agent = world.agent(&Arc::default());
    assert_eq!(apply(&agent, true, &[keep(&[], &[])]).await, Applied::Done);
    agent.retain(&[]).await.unwrap();
    assert_eq!((world.started.load(Ordering::SeqCst), agent.metrics().await), (0, String::new()));
    // It has not been told of what came before the first listener.
    assert_eq!(apply(&agent, false, &[world.listener("one", None)]).await, Applied::TellAll);
    assert_eq!(apply(&agent, true, &[world.listener("one", None)]).await, Applied::Done);
    assert_eq!(world.answer().await.as_deref(), Some("one"));
    assert_eq!(apply(&agent, false, &[world.listener("two", None)]).await, Applied::Done);
    assert_eq!(world.answer().await.as_deref(), Some("two"));
    assert_eq!((world.started.load(Ordering::SeqCst), agent.metrics().await.as_str()), (1, "counted 1\n"));
    agent.retain(&["another"]).await.unwrap();
    until("the port to be closed", || async { (world.answer().await.is_none()).then_some(()) }).await;
}

#[tokio::test]
async fn connections_outlive_the_agent() {
    let world = World::new();
    let agent = world.agent(&Arc::default());
    apply(&agent, true, &[world.listener("one", None)]).await;
    let mut connection = TcpStream::connect(("127.0.0.1", world.port)).await.unwrap();
    assert_eq!(ask(&mut connection).await.as_deref(), Some("one"));
    drop(agent);
    assert_eq!(ask(&mut connection).await.as_deref(), Some("one"), "nobody is there");
    let next = world.agent(&Arc::default());
    apply(&next, true, &[world.listener("two", None), keep(&["l"], &[])]).await;
    assert_eq!(ask(&mut connection).await.as_deref(), Some("two"), "the next agent's plan, on the same connection");
    assert_eq!(world.started.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn another_one_is_told_of_everything() {
    let world = World::new();
    let agent = world.agent(&Arc::default());
    let lost = async |agent: &Keeper| tokio::time::timeout(PATIENCE, agent.lost("p")).await.is_ok();
    apply(&agent, true, &[world.listener("one", None)]).await;
    world.crash().await;
    assert!(lost(&agent).await);
    // Even if what changes needs no proxy to be there.
    assert_eq!(apply(&agent, false, &[keep(&["l"], &[])]).await, Applied::TellAll);
    assert_eq!(apply(&agent, true, &[world.listener("two", None)]).await, Applied::Done);
    until("an answer", || async { (world.answer().await.as_deref() == Some("two")).then_some(()) }).await;
    assert_eq!(world.started.load(Ordering::SeqCst), 2);
    assert!(tokio::time::timeout(Duration::from_millis(50), agent.lost("p")).await.is_err(), "it is there");
    assert!(tokio::time::timeout(Duration::from_millis(50), agent.lost("none")).await.is_err(), "it has nothing");
}

#[tokio::test]
async fn secrets_and_warnings_go_through_the_agent() {
    let world = World::new();
    let store = Arc::new(Store::default());
    let agent = world.agent(&store);
    apply(&agent, true, &[world.listener("one", Some("s"))]).await;
    let told = |store: &Store| store.told.lock().unwrap().clone();
    until("a warning", || async { (told(&store) == ["TLSSecretNotFound a/f"]).then_some(()) }).await;
    until("its wish to be known", || async { (store.wants() == 1).then_some(()) }).await;
    let first = der(&store.put());
    let is = |want: Vec<u8>| async move { (shown(world.port, "x.example").await == want).then_some(()) };
    until("its certificate", || is(first.clone())).await;
    // What changes while nobody is there is seen by the next one.
    drop(agent);
    assert_eq!(shown(world.port, "x.example").await, first);
    let second = der(&store.put());
    let next = Arc::new(Store::default());
    *next.secret.lock().unwrap() = store.secret.lock().unwrap().clone();
    let agent = world.agent(&next);
    agent.retain(&["p"]).await.unwrap();
    assert_eq!(shown(world.port, "x.example").await, first, "no plan of this agent names the Secret");
    apply(&agent, true, &[world.listener("two", Some("s"))]).await;
    until("the new certificate", || is(second.clone())).await;
    assert!(told(&next).is_empty());
}

#[tokio::test]
async fn whoever_ships_logs_hears_of_requests() {
    let world = World::new();
    let agent = world.agent(&Arc::default());
    let heard = world.notices.listen();
    apply(&agent, true, &[world.listener("one", None)]).await;
    world.answer().await.unwrap();
    tokio::time::timeout(PATIENCE, heard.wait()).await.unwrap();
    let log: Arc<Path> = world.folder.path().join("access.log").into();
    let grown = heard.take().grown;
    assert_eq!(grown.get(&log).copied(), std::fs::metadata(&log).ok().map(|file| file.len()));
    // While nobody is there it is kept for the next one.
    drop(agent);
    world.answer().await.unwrap();
    let next = world.agent(&Arc::default());
    next.retain(&["p"]).await.unwrap();
    tokio::time::timeout(PATIENCE, heard.wait()).await.unwrap();
}

#[tokio::test]
async fn it_ends_when_it_is_told_to() {
    let world = World::new();
    let agent = world.agent(&Arc::default());
    apply(&agent, true, &[world.listener("one", None)]).await;
    drop(agent);
    end(&world.socket()).await.unwrap();
    assert_eq!(world.answer().await, None);
    // There is none any more, and then there never was one.
    end(&world.socket()).await.unwrap();
    end(Path::new("/nonexistent/proxy.sock")).await.unwrap();
}

#[tokio::test]
async fn one_of_another_version_is_told_to_end() {
    let world = World::new();
    let old = UnixListener::bind(world.socket()).unwrap();
    let answering = tokio::spawn(async move {
        let mut stream = framed(old.accept().await.unwrap().0);
        stream.send(Bytes::from_static(b"{\"Hello\":{\"protocol\":0}}")).await.unwrap();
        stream.next().await.map(|frame| String::from_utf8_lossy(&frame.unwrap()).into_owned())
    });
    let agent = world.agent(&Arc::default());
    apply(&agent, true, &[world.listener("one", None)]).await;
    assert_eq!(answering.await.unwrap(), Some("\"Stop\"".to_owned()));
    assert_eq!(world.answer().await.as_deref(), Some("one"));
    // What is no proxy's talk ends nothing.
    let mut stream = framed(UnixStream::connect(world.socket()).await.unwrap());
    stream.send(Bytes::from_static(b"{\"Dance\":1}")).await.unwrap();
    assert_eq!(world.answer().await.as_deref(), Some("one"));
}

fn framed(stream: UnixStream) -> Framed<UnixStream, LengthDelimitedCodec> {
    Framed::new(stream, LengthDelimitedCodec::new())
}
