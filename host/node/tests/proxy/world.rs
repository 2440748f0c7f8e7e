//! A proxy with Secrets and a listener of the test's own.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use gantry_api::pki::{self, Pair};
use gantry_model::Status;
use gantry_node::cluster::recorder::About;
use gantry_node::cluster::{SourceFeed, Wanted};
use gantry_node::logs::{Limit, Notices};
use gantry_node::proxy::{AccessLog, Identity, Options, Proxy, Secrets, Tell};
use gantry_plugin::family::network::Operation;
use gantry_plugin::family::proxy::{
    Action, Balance, Certificate, Condition, HostKind, HostMatch, HttpVersion, KeptProxies, Listener, Manner, PathKind,
    PathMatch, Pool, Rule, Weighted,
};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio::sync::mpsc;

/// How long a test waits for what takes a moment.
const PATIENCE: Duration = Duration::from_secs(20);

/// Secrets in memory, by name; all are in the namespace `a`.
#[derive(Clone)]
pub struct Store {
    secrets: Arc<Mutex<BTreeMap<String, Value>>>,
    tell: mpsc::UnboundedSender<String>,
    told: Arc<Mutex<Option<mpsc::UnboundedReceiver<String>>>>,
}

impl Store {
    fn new() -> Self {
        let (tell, told) = mpsc::unbounded_channel();
        Self { secrets: Arc::default(), tell, told: Arc::new(Mutex::new(Some(told))) }
    }

    /// Sets or removes one.
    pub fn set(&self, name: &str, pair: Option<(&str, &str)>) {
        use base64::Engine as _;
        let encoded = |text: &str| base64::engine::general_purpose::STANDARD.encode(text);
        let mut secrets = self.secrets.lock().unwrap();
        match pair {
            Some((chain, key)) => {
                let object = json!({
                    "apiVersion": "v1", "kind": "Secret", "metadata": {"name": name, "namespace": "a"},
                    "data": {"tls.crt": encoded(chain), "tls.key": encoded(key)},
                });
                secrets.insert(name.to_owned(), object);
            }
            None => drop(secrets.remove(name)),
        }
        self.tell.send(name.to_owned()).unwrap();
    }
}

struct Feed(mpsc::UnboundedReceiver<String>);

#[async_trait]
impl SourceFeed for Feed {
    async fn next(&mut self) -> Result<Option<Vec<(String, String)>>, Status> {
        match self.0.recv().await {
            Some(name) => Ok(Some(vec![("a".to_owned(), name)])),
            None => std::future::pending().await,
        }
    }
}

#[async_trait]
impl Secrets for Store {
    fn changes(&self, _wanted: Wanted) -> Box<dyn SourceFeed> {
        Box::new(Feed(self.told.lock().unwrap().take().unwrap()))
    }

    async fn get(&self, _namespace: &str, name: &str) -> Result<Option<Value>, Status> {
        Ok(self.secrets.lock().unwrap().get(name).cloned())
    }
}

/// Of whom, why, and in which words.
type Word = (String, String, String);

/// What was told of whom.
#[derive(Clone, Default)]
pub struct Heard(Arc<Mutex<Vec<Word>>>);

impl Heard {
    pub fn all(&self) -> Vec<Word> {
        self.0.lock().unwrap().clone()
    }
}

impl Tell for Heard {
    fn warn(&self, about: &About, reason: &str, message: &str) {
        self.0.lock().unwrap().push((about.name.clone(), reason.to_owned(), message.to_owned()));
    }
}

pub struct World {
    pub proxy: Proxy,
    pub store: Store,
    pub heard: Heard,
    pub port: u16,
    _held: Port,
    folder: tempfile::TempDir,
}

impl World {
    pub fn new() -> Self {
        let (store, heard) = (Store::new(), Heard::default());
        let folder = tempfile::tempdir().unwrap();
        let log = folder.path().join("proxy/access.log");
        let pair = pair(&["fallback.invalid"]);
        let fallback = Identity::from_pem(pair.certificate.as_bytes(), pair.key.as_bytes()).unwrap();
        let proxy = Proxy::start(Options {
            secrets: Arc::new(store.clone()),
            tell: Arc::new(heard.clone()),
            fallback,
            connections: 1_000,
            access: Some(AccessLog::start(&log, Limit { bytes: 0, files: 1 }, Notices::default())),
        });
        let held = Port::new();
        Self { proxy, store, heard, port: held.number, _held: held, folder }
    }

    pub async fn apply(&self, plan: Vec<Operation>) {
        let whom = |id: &str| vec![About { name: id.to_owned(), ..About::default() }];
        self.proxy.apply("p", &plan, &whom).await.unwrap();
    }

    /// The records of the access log, once there are so many.
    pub async fn visits(&self, number: usize) -> Vec<Value> {
        let log = self.folder.path().join("proxy/access.log");
        let read = || {
            let text = std::fs::read_to_string(&log).ok()?;
            // A record follows time, stream and tag.
            let bodies = text.lines().filter_map(|line| serde_json::from_str(line.splitn(4, ' ').nth(3)?).ok());
            Some(bodies.collect::<Vec<_>>()).filter(|all| all.len() >= number)
        };
        until("records of visits", || async { read() }).await
    }

    /// One listener over plain HTTP with these rules.
    pub async fn serve(&self, rules: Vec<Rule>) {
        self.apply(vec![self.listener(rules, None)]).await;
    }

    pub fn listener(&self, rules: Vec<Rule>, certificates: Option<Vec<Certificate>>) -> Operation {
        let tls = certificates.is_some();
        let certificates = certificates.unwrap_or_default();
        let frontends = vec!["a/f".to_owned()];
        Operation::EnsureListener(Listener {
            name: "l".into(),
            port: self.port,
            tls,
            certificates,
            rules,
            frontends,
            access_log: true,
        })
    }

    pub async fn pool(&self, name: &str, endpoints: &[String]) {
        self.apply(vec![pool(name, endpoints)]).await;
    }

    /// A request over a connection of its own: status line, headers and body as they came.
    pub async fn raw(&self, text: &str) -> String {
        let mut stream = connect(self.port).await;
        stream.write_all(text.as_bytes()).await.unwrap();
        let mut answer = Vec::new();
        // A connection that is cut off after its answer is an answer too.
        let _ = tokio::time::timeout(PATIENCE, stream.read_to_end(&mut answer)).await.unwrap();
        String::from_utf8_lossy(&answer).into_owned()
    }

    /// Status and body of a GET.
    pub async fn get(&self, host: &str, path: &str) -> (u16, String) {
        parsed(&self.raw(&format!("GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n")).await)
    }
}

pub async fn connect(port: u16) -> TcpStream {
    until("a connection", || async { TcpStream::connect(("127.0.0.1", port)).await.ok() }).await
}

pub fn parsed(answer: &str) -> (u16, String) {
    let status = answer.split(' ').nth(1).and_then(|code| code.parse().ok()).unwrap_or_default();
    (status, answer.split_once("\r\n\r\n").map(|(_, body)| body.to_owned()).unwrap_or_default())
}

/// Asks until there is something.
pub async fn until<T, F: Future<Output = Option<T>>>(what: &str, mut ask: impl FnMut() -> F) -> T {
    let asking = async {
        loop {
            if let Some(found) = ask().await {
                return found;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(PATIENCE, asking).await.unwrap_or_else(|_| panic!("waited for {what}"))
}

/// A port that is given to nobody else while this is there: bound, and nobody listens. A listener that sets `SO_REUSEADDR`,
/// as the proxy's do, can have it; whoever connects before that is refused.
pub struct Port {
    pub number: u16,
    _socket: TcpSocket,
}

impl Port {
    pub fn new() -> Self {
        let socket = TcpSocket::new_v4().unwrap();
        socket.set_reuseaddr(true).unwrap();
        socket.bind(SocketAddr::from(([0, 0, 0, 0], 0))).unwrap();
        Self { number: socket.local_addr().unwrap().port(), _socket: socket }
    }
}

pub fn pair(names: &[&str]) -> Pair {
    pki::self_signed(&names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>()).unwrap()
}

pub fn manner() -> Manner {
    Manner { version: HttpVersion::Http1, balance: Balance::RoundRobin, health_check: None, timeout_ms: 0 }
}

pub fn pool(name: &str, endpoints: &[String]) -> Operation {
    Operation::EnsurePool(Pool { name: name.into(), manner: manner(), endpoints: endpoints.to_vec() })
}

pub fn keep(listeners: &[&str], pools: &[&str]) -> Operation {
    let texts = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
    Operation::KeepProxies(KeptProxies { listeners: texts(listeners), pools: texts(pools) })
}

pub fn forward(backend: &str) -> Action {
    Action::Forward(vec![Weighted { backend: backend.into(), weight: 1 }])
}

/// For a host (empty: any) and a prefix of the path.
pub fn rule(host: &str, path: &str, action: Action) -> Rule {
    let kind = if host.starts_with("*.") { HostKind::Wildcard } else { HostKind::Exact };
    let hosts = if host.is_empty() { vec![] } else { vec![HostMatch { kind, value: host.into() }] };
    let paths = vec![PathMatch { kind: PathKind::Prefix, value: path.into() }];
    let (methods, headers, queries, sources) = Default::default();
    Rule { condition: Condition { hosts, paths, methods, headers, queries, sources }, action }
}

pub fn certificate(hosts: &[&str], secret: &str) -> Certificate {
    Certificate {
        hosts: hosts.iter().map(|host| (*host).to_owned()).collect(),
        namespace: "a".into(),
        secret: secret.into(),
        frontend: "a/f".into(),
    }
}
