//! Outgoing HTTP: only to what is granted, within bounds of number, size and time, and nothing of it stays when its
//! instance goes. The server is a real one on loopback.

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::time::{Duration, Instant};

use gantry_plugin::family::controller::Outcome;
use gantry_plugin::family::{ObjectRef, admission as review};
use gantry_plugin::{Controller, Finding, Loaded};
use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming};
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use rcgen::{CertifiedKey, generate_simple_self_signed};
use rustls::ServerConfig;
use rustls_pki_types::PrivateKeyDer;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

use crate::support::{Bench, pod};

/// Requests that a server is answering, and how many it ever got.
#[derive(Default)]
struct Seen {
    now: AtomicUsize,
    all: AtomicUsize,
}

struct Present(Arc<Seen>);

impl Drop for Present {
    fn drop(&mut self) {
        self.0.now.fetch_sub(1, SeqCst);
    }
}

struct Server {
    port: u16,
    seen: Arc<Seen>,
}

impl Server {
    async fn start() -> Self {
        Self::with(None).await
    }

    async fn with(tls: Option<TlsAcceptor>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let seen = Arc::<Seen>::default();
        let server = Self { port, seen: seen.clone() };
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (seen, tls) = (seen.clone(), tls.clone());
                tokio::spawn(async move {
                    match tls {
                        None => serve(stream, seen).await,
                        Some(tls) => {
                            if let Ok(stream) = tls.accept(stream).await {
                                serve(stream, seen).await;
                            }
                        }
                    }
                });
            }
        });
        server
    }

    fn endpoint(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    fn at(&self, path: &str) -> String {
        format!("{}{path}", self.endpoint())
    }

    async fn until(&self, what: &str, holds: impl Fn(&Seen) -> bool) {
        let patience = Instant::now() + Duration::from_secs(10);
        while !holds(&self.seen) {
            assert!(Instant::now() < patience, "{what}");
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    }
}

async fn serve(stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static, seen: Arc<Seen>) {
    let service = service_fn(move |request| answer(request, seen.clone()));
    let _ = hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
}

async fn answer(request: Request<Incoming>, seen: Arc<Seen>) -> Result<Response<Full<Bytes>>, Infallible> {
    seen.now.fetch_add(1, SeqCst);
    seen.all.fetch_add(1, SeqCst);
    let _present = Present(seen);
    let path = request.uri().path().to_owned();
    let head = |name: &str| request.headers().get(name).map_or("-", |v| v.to_str().unwrap()).to_owned();
    let (mine, host, authorization) = (head("x-mine"), head("host"), head("authorization"));
    let method = request.method().clone();
    let size = request.into_body().collect().await.map_or(0, |body| body.to_bytes().len());
    let mut response = Response::new(Full::from(match path.as_str() {
        "/never" => std::future::pending().await,
        "/big" => vec![b'y'; 100_000],
        _ => format!("{method} {path} {mine} {host} {size} {authorization}").into_bytes(),
    }));
    if path == "/away" {
        *response.status_mut() = hyper::StatusCode::FOUND;
        response.headers_mut().insert("location", "http://192.0.2.1/".parse().unwrap());
    }
    Ok(response)
}

async fn plugin(endpoint: &str, more: &str) -> (Bench, Loaded) {
    let mut bench = Bench::new();
    bench.fixture("fixture-http", &format!("grants = {{ asked = true, http = [\"{endpoint}\"] }}\n{more}"));
    let loaded = bench.only().await;
    (bench, loaded)
}

async fn ask(controller: &dyn Controller, how: &str, url: &str) -> String {
    match controller.reconcile(0, vec![key(how, url)]).await.unwrap().pop().unwrap() {
        Outcome::Failed(error) => error.message,
        other => panic!("{other:?}"),
    }
}

fn key(how: &str, url: &str) -> ObjectRef {
    ObjectRef { kind: pod(), namespace: url.into(), name: how.into() }
}

#[tokio::test]
async fn what_is_granted_is_asked_and_nothing_else() {
    let (server, other) = (Server::start().await, Server::start().await);
    let (_bench, loaded) = plugin(&server.endpoint(), "").await;
    let controller = loaded.controller().unwrap();
    let port = server.port;
    let table = [
        ("get", server.at("/a?b=c"), format!("200 GET /a yes 127.0.0.1:{port} 0 Mine")),
        ("post", server.at("/a"), format!("200 POST /a yes 127.0.0.1:{port} 10 Mine")),
        // Told as it is; nobody goes there.
        ("get", server.at("/away"), format!("302 GET /away yes 127.0.0.1:{port} 0 Mine")),
        ("get", other.at("/a"), "ErrorCode::HttpRequestDenied".to_owned()),
        ("post", other.at("/a"), "ErrorCode::HttpRequestDenied".to_owned()),
        ("get", format!("https://127.0.0.1:{port}/"), "ErrorCode::HttpRequestDenied".to_owned()),
        ("get", format!("http://localhost:{port}/"), "ErrorCode::HttpRequestDenied".to_owned()),
        ("get", format!("http://127.0.0.1:{port}@{}/", other.port), "ErrorCode::HttpRequestDenied".to_owned()),
    ];
    for (how, url, want) in table {
        assert_eq!(ask(&*controller, how, &url).await, want, "{how} {url}");
    }
    assert_eq!((server.seen.all.load(SeqCst), other.seen.all.load(SeqCst)), (3, 0));
    assert_eq!(loaded.health().faults, 0);
}

#[tokio::test]
async fn without_endpoints_it_is_refused_by_the_import() {
    for grants in ["grants = \"asked\"", ""] {
        let mut bench = Bench::new();
        bench.fixture("fixture-http", grants);
        let error = bench.load().await.pop().unwrap().err().expect("it was loaded").to_string();
        assert!(error.contains("imports wasi:http/") && error.contains("grants.http"), "{error}");
    }
    let mut bench = Bench::new();
    bench.fixture("fixture-controller", "grants = \"asked\"\n[plugin.http]\nconnections = 2");
    let error = bench.load().await.pop().unwrap().err().expect("it was loaded").to_string();
    assert!(error.contains("grants no endpoint"), "{error}");
}

#[tokio::test]
async fn sizes_numbers_and_times_are_bounded() {
    let server = Server::start().await;
    let bounds = "[plugin.http]\nmax-body = \"64Ki\"\nconnections = 2\ntimeout-ms = 300";
    let (_bench, loaded) = plugin(&server.endpoint(), bounds).await;
    let controller = loaded.controller().unwrap();
    assert_eq!(ask(&*controller, "get", &server.at("/big")).await, "ErrorCode::HttpResponseBodySize(Some(65536))");
    assert_eq!(ask(&*controller, "large", &server.at("/")).await, "ErrorCode::HttpRequestBodySize(Some(65536))");
    let began = Instant::now();
    assert_eq!(ask(&*controller, "get", &server.at("/never")).await, "ErrorCode::HttpResponseTimeout");
    assert!(began.elapsed() >= Duration::from_millis(300));
    server.until("a request that was given up is over for the server too", |seen| seen.now.load(SeqCst) == 0).await;
    let answers = ask(&*controller, "many", &server.at("/never")).await;
    let count = |what: &str| answers.split(',').filter(|answer| answer.ends_with(what)).count();
    assert_eq!((count("HttpResponseTimeout"), count("ConnectionLimitReached")), (2, 4), "{answers}");
    // Permits come back, and the instance is well.
    assert!(ask(&*controller, "get", &server.at("/")).await.starts_with("200 "));
    assert_eq!(loaded.health().faults, 0);
}

#[tokio::test]
async fn nothing_hangs_when_its_guest_is_gone() {
    let server = Server::start().await;
    let (_bench, loaded) =
        plugin(&server.endpoint(), "deadline-ms = 200\ninstances = 1\n[plugin.http]\nconnections = 1").await;
    let controller = loaded.controller().unwrap();
    let gone = |seen: &Seen| seen.now.load(SeqCst) == 0;
    // The guest does not wait for what it began.
    assert_eq!(ask(&*controller, "leave", &server.at("/never")).await, "left");
    server.until("a request that nobody waits for is given up", gone).await;
    // The guest is stopped in the middle.
    let fault = controller.reconcile(0, vec![key("spin", &server.at("/never"))]).await.unwrap_err();
    assert!(matches!(fault.finding, Finding::Deadline(200)), "{fault}");
    server.until("a request of a dead instance is given up", gone).await;
    // The host gives the call up.
    let all = server.seen.all.load(SeqCst);
    let url = server.at("/never");
    let call = controller.reconcile(0, vec![key("get", &url)]);
    tokio::select! {
        answer = call => panic!("{answer:?}"),
        () = server.until("it is asked", |seen| seen.all.load(SeqCst) > all) => {}
    }
    server.until("a request of a call that was given up is over", gone).await;
    // The one permit is back each time.
    assert!(ask(&*controller, "get", &server.at("/")).await.starts_with("200 "));
}

/// A guest that waits for an answer does not run: its deadline is about running.
#[tokio::test]
async fn waiting_for_an_answer_is_not_charged() {
    let server = Server::start().await;
    let (_bench, loaded) = plugin(&server.endpoint(), "deadline-ms = 50\n[plugin.http]\ntimeout-ms = 400").await;
    let controller = loaded.controller().unwrap();
    assert_eq!(ask(&*controller, "get", &server.at("/never")).await, "ErrorCode::HttpResponseTimeout");
    assert_eq!(loaded.health().faults, 0);
}

#[tokio::test]
async fn https_needs_an_authority_that_is_trusted() {
    let CertifiedKey { cert, signing_key } = generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let key = PrivateKeyDer::try_from(signing_key.serialize_der()).unwrap();
    let config = ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![cert.der().clone()], key)
        .unwrap();
    let server = Server::with(Some(TlsAcceptor::from(Arc::new(config)))).await;
    let endpoint = format!("https://localhost:{}", server.port);
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("ca.pem");
    std::fs::write(&file, cert.pem()).unwrap();
    let (_bench, trusting) = plugin(&endpoint, &format!("[plugin.http]\nca-file = {file:?}")).await;
    let answer = ask(&*trusting.controller().unwrap(), "get", &endpoint).await;
    assert!(answer.starts_with("200 GET /"), "{answer}");
    let (_bench, system) = plugin(&endpoint, "").await;
    let answer = ask(&*system.controller().unwrap(), "get", &endpoint).await;
    assert_eq!(answer, "ErrorCode::TlsCertificateError");
    let mut bench = Bench::new();
    let missing = format!("[plugin.http]\nca-file = {:?}", dir.path().join("none"));
    bench.fixture("fixture-http", &format!("grants = {{ asked = true, http = [\"{endpoint}\"] }}\n{missing}"));
    let error = bench.load().await.pop().unwrap().err().expect("it was loaded").to_string();
    assert!(error.contains("http: ca-file"), "{error}");
}

#[tokio::test]
async fn a_review_makes_no_requests() {
    let server = Server::start().await;
    let (_bench, loaded) = plugin(&server.endpoint(), "").await;
    let request = review::Request {
        operation: review::Operation::Create,
        kind: pod(),
        version: "v1".into(),
        subresource: String::new(),
        namespace: server.at("/"),
        name: "get".into(),
        user: review::User { name: "eve".into(), groups: Vec::new() },
        dry_run: false,
        may_change: false,
        old: None,
        new: Some(b"{}".to_vec()),
    };
    let verdicts = loaded.admission().unwrap().review(&[request]).await.unwrap();
    assert_eq!(verdicts[0].warnings, ["ErrorCode::HttpRequestDenied"]);
    assert_eq!(server.seen.all.load(SeqCst), 0);
}

/// The host signs; the guest's own words for it go, and the keys are nowhere but in the file.
#[tokio::test]
async fn requests_are_signed_where_the_bundle_says_so() {
    let server = Server::start().await;
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("keys");
    std::fs::write(&file, "[elb]\naws_access_key_id = AKIDMINE\naws_secret_access_key = s3cret\n").unwrap();
    let sign = |endpoint: &str| {
        format!(
            "[[plugin.http.sign]]\nendpoint = \"{endpoint}\"\nservice = \"elasticloadbalancing\"\n\
             region = \"eu-west-1\"\ncredentials-file = {file:?}\nprofile = \"elb\""
        )
    };
    let (bench, loaded) = plugin(&server.endpoint(), &sign(&server.endpoint())).await;
    let controller = loaded.controller().unwrap();
    let answer = ask(&*controller, "post", &server.at("/a")).await;
    let scope = "AWS4-HMAC-SHA256 Credential=AKIDMINE/";
    assert!(answer.contains(scope) && answer.contains("/eu-west-1/elasticloadbalancing/aws4_request"), "{answer}");
    assert!(!answer.contains("Mine"), "{answer}");
    let report = bench.engine.check(&bench.bundle(), &bench.folders()).to_string();
    let shown = format!("{report} {:?} {:?}", loaded.entry(), loaded.health());
    assert!(!shown.contains("s3cret") && !shown.contains("AKIDMINE"), "{shown}");
    // Keys that are gone: the request is not made.
    std::fs::remove_file(&file).unwrap();
    let all = server.seen.all.load(SeqCst);
    assert_eq!(ask(&*controller, "get", &server.at("/")).await, "ErrorCode::ConfigurationError");
    assert_eq!(server.seen.all.load(SeqCst), all);
    let mut bench = Bench::new();
    let grants = format!("grants = {{ asked = true, http = [\"{}\"] }}", server.endpoint());
    bench.fixture("fixture-http", &format!("{grants}\n{}", sign(&server.endpoint())));
    let error = bench.load().await.pop().unwrap().err().expect("it was loaded").to_string();
    assert!(error.contains("credentials file") && error.contains("can't be read"), "{error}");
    let mut bench = Bench::new();
    bench.fixture("fixture-http", &format!("{grants}\n{}", sign("https://example.com")));
    let error = bench.load().await.pop().unwrap().err().expect("it was loaded").to_string();
    assert!(error.contains("signs for https://example.com, which is not granted"), "{error}");
}
