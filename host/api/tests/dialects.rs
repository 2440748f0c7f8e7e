//! Other APIs beside the resource API: whose a request is, what is done for a dialect and what when it fails, on the API's
//! listener and on one of its own.

mod support;

use std::time::Duration;

use bytes::Bytes;
use gantry_api::Limits;
use gantry_api::dialect::{Listener, Mounts, Socket};
use http::{Method, Request, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http2;
use hyper_util::client::legacy::Client;
use hyper_util::rt::{TokioExecutor, TokioIo};
use support::{Cluster, dialects, parrot};

const PARROT: [(&str, &str); 1] = [("x-parrot", "yes")];

#[tokio::test]
async fn a_request_that_fits_goes_to_the_dialect_without_credentials() {
    let cluster = Cluster::start(support::objects()).await;
    let mut anonymous = cluster.connect(false).await;
    for (path, code, text) in [
        ("/", 200, "hello"),
        ("/api/v1/pods", 200, "hello"),
        ("/stranger", 403, "hello"),
        ("/fault", 500, "parrot failed on this request: the server's log says how\n"),
        ("/away", 503, "parrot takes no requests now\n"),
    ] {
        let answer = anonymous.ask(Method::POST, path, &PARROT, "hello").await;
        assert_eq!((answer.code.as_u16(), answer.text()), (code, text), "{path}");
    }
    let other = anonymous.ask(Method::POST, "/", &[], "hello").await;
    assert_eq!(other.failure(), (401, "Unauthorized".into()), "all else is the resource API's");
    cluster.handle.stop().await;
}

#[tokio::test]
async fn a_body_over_the_limit_never_reaches_the_dialect() {
    let limits = Limits { body: 10, ..Limits::default() };
    let cluster = Cluster::start_with(support::objects(), limits).await;
    let mut client = cluster.connect(false).await;
    let answer = client.ask(Method::POST, "/", &PARROT, "0123456789").await;
    assert_eq!(answer.code, 200);
    let answer = client.ask(Method::POST, "/", &PARROT, "0123456789x").await;
    assert_eq!((answer.code.as_u16(), answer.text().contains("limit of 10 bytes")), (413, true));
    cluster.handle.stop().await;
}

#[tokio::test]
async fn a_listener_of_its_own_speaks_plain_http_and_nothing_but_dialects() {
    let mounts = Mounts::default();
    let socket = Socket { address: "127.0.0.1:0".parse().unwrap(), tls: None, limits: Limits::default() };
    let listener = Listener::start(socket, mounts.clone()).await.unwrap();
    let client = Client::builder(TokioExecutor::new()).build_http::<Full<Bytes>>();
    let url = format!("http://{}/", listener.address());
    let ask = async || {
        let request = Request::post(&url).header("x-parrot", "yes").body(Full::new(Bytes::from_static(b"hi"))).unwrap();
        let answer = client.request(request).await.unwrap();
        let code = answer.status();
        (code, answer.into_body().collect().await.unwrap().to_bytes())
    };
    assert_eq!(ask().await.0, StatusCode::NOT_FOUND, "nothing is mounted yet");
    mounts.set([parrot()]);
    assert_eq!(ask().await, (StatusCode::OK, Bytes::from_static(b"hi")));
    mounts.set([]);
    assert_eq!(ask().await.0, StatusCode::NOT_FOUND, "taken away while the connection is open");
    listener.stop().await;
}

#[tokio::test]
async fn more_requests_than_places_are_told_to_come_later() {
    let socket = Socket { address: "127.0.0.1:0".parse().unwrap(), tls: None, limits: Limits::default() };
    let listener = Listener::start(socket, dialects()).await.unwrap();
    let client = Client::builder(TokioExecutor::new()).build_http::<Full<Bytes>>();
    let url = format!("http://{}/wait", listener.address());
    let asks = (0..70).map(|_| {
        let request = Request::get(&url).header("x-parrot", "yes").body(Full::default()).unwrap();
        client.request(request)
    });
    let codes: Vec<_> =
        futures::future::join_all(asks).await.into_iter().map(|answer| answer.unwrap().status()).collect();
    let turned_away = codes.iter().filter(|code| **code == StatusCode::SERVICE_UNAVAILABLE).count();
    assert_eq!((turned_away, codes.iter().filter(|code| **code == StatusCode::OK).count()), (6, 64));
    listener.stop().await;
}

#[tokio::test]
async fn who_asks_nothing_makes_room_and_who_waits_for_an_answer_gets_it() {
    let cluster = Cluster::start(support::objects()).await;
    let limits = Limits { patience: Duration::from_secs(1), ..Limits::default() };
    let tls = Some(cluster.pki.tls().unwrap());
    let socket = Socket { address: "127.0.0.1:0".parse().unwrap(), tls, limits };
    let listener = Listener::start(socket, dialects()).await.unwrap();
    // HTTP/2: a client that answers pings would hold its place for ever.
    let stream = TokioIo::new(cluster.tls_to(listener.address(), false, &["h2"]).await);
    let (mut sender, connection) = http2::handshake(TokioExecutor::new(), stream).await.unwrap();
    let connection = tokio::spawn(connection);
    let request = Request::get("https://127.0.0.1/slow").header("x-parrot", "yes").body(Full::<Bytes>::default());
    assert_eq!(sender.send_request(request.unwrap()).await.unwrap().status(), StatusCode::OK);
    let closed = tokio::time::timeout(Duration::from_secs(30), connection).await;
    let _ = closed.expect("the connection is closed though the client is there");
    drop(sender);
    listener.stop().await;
    cluster.handle.stop().await;
}
