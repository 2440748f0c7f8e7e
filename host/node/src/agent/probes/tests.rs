//! Probes against real servers on loopback.

use std::convert::Infallible;
use std::time::Duration;

use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use k8s_openapi::api::core::v1::{GRPCAction, HTTPGetAction, HTTPHeader};
use prost::Message;
use tokio::net::TcpListener;

use super::*;

type Body = BoxBody<bytes::Bytes, Infallible>;

const PATIENCE: Duration = Duration::from_secs(10);

#[test]
fn thresholds_count_what_comes_in_a_row() {
    let probe = Probe { success_threshold: Some(2), failure_threshold: Some(3), ..Probe::default() };
    let mut counter = Counter::new(&probe);
    let found = "g g b b g b b b b g g".split(' ').map(|c| counter.count(c == "g"));
    let shown: String = found
        .map(|verdict| match verdict {
            Some(Verdict::Good) => 'G',
            Some(Verdict::Bad) => 'B',
            None => '.',
        })
        .collect();
    assert_eq!(shown, ".G.....BB.G");
}

async fn answer(request: ::http::Request<Incoming>) -> Result<::http::Response<Full<bytes::Bytes>>, Infallible> {
    let header = |name: &str| request.headers().get(name).and_then(|v| v.to_str().ok()).unwrap_or_default().to_owned();
    let (status, location) = match request.uri().path() {
        "/ok" => (200, ""),
        "/agent" => (if header("user-agent").starts_with("kube-probe/") { 200 } else { 500 }, ""),
        "/host" => (if header("host") == "example.com" && header("x") == "1" { 204 } else { 400 }, ""),
        "/here" => (302, "/ok"),
        "/bad" => (302, "sick"),
        "/away" => (301, "http://192.0.2.1/"),
        "/loop" => (307, "/loop"),
        _ => (503, ""),
    };
    let body = vec![b'x'; 100_000];
    Ok(::http::Response::builder().status(status).header("location", location).body(Full::new(body.into())).unwrap())
}

async fn serve() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let io = TokioIo::new(stream);
            tokio::spawn(hyper::server::conn::http1::Builder::new().serve_connection(io, service_fn(answer)));
        }
    });
    port
}

#[tokio::test]
async fn pages_are_judged_by_their_status() {
    let port = serve().await;
    let container = Container::default();
    let target = Target::new(Some([127, 0, 0, 1].into()), &container);
    for (path, want) in [
        ("/ok", Ok(())),
        ("ok", Ok(())),
        ("/agent", Ok(())),
        ("/host", Ok(())),
        ("/here", Ok(())),
        ("/away", Ok(())),
        ("/bad", Err("statuscode: 503")),
        ("/loop", Err("stopped after 10 redirects")),
        ("/none", Err("HTTP probe failed with statuscode: 503")),
    ] {
        let header = |name: &str, value: &str| HTTPHeader { name: name.to_owned(), value: value.to_owned() };
        let action = HTTPGetAction {
            path: Some(path.to_owned()),
            port: IntOrString::Int(port.into()),
            http_headers: (path == "/host").then(|| vec![header("Host", "example.com"), header("X", "1")]),
            ..HTTPGetAction::default()
        };
        match (http::get(&target, &action, PATIENCE).await, want) {
            (Ok(()), Ok(())) => {}
            (Err(found), Err(want)) => assert!(found.contains(want), "{found} lacks {want}"),
            (found, want) => panic!("{path}: {found:?} and not {want:?}"),
        }
    }
}

#[tokio::test]
async fn ports_open_or_do_not() {
    let port = serve().await;
    let container: Container =
        serde_json::from_value(serde_json::json!({"name": "c", "ports": [{"name": "web", "containerPort": port}]}))
            .unwrap();
    let target = Target::new(Some([127, 0, 0, 1].into()), &container);
    let connect = |port: IntOrString| {
        let target = target.clone();
        async move { tcp::connect(&target, None, &port, PATIENCE).await }
    };
    assert_eq!(connect(IntOrString::String("web".to_owned())).await, Ok(()));
    assert!(connect(IntOrString::String("none".to_owned())).await.unwrap_err().contains("couldn't find port"));
    let free = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap().port();
    assert!(connect(IntOrString::Int(free.into())).await.unwrap_err().contains("connect"));
}

/// A health service: the service `""` is well, `sick` is not, others are unknown.
async fn health(request: ::http::Request<Incoming>) -> Result<::http::Response<Body>, Infallible> {
    let body = request.into_body().collect().await.unwrap().to_bytes();
    let question = grpc::Question::decode(&body[5..]).unwrap();
    let builder = ::http::Response::builder().header("content-type", "application/grpc");
    let status = match question.service.as_str() {
        "" => 1,
        "sick" => 2,
        // Trailers-only: 12 is "unimplemented".
        _ => return Ok(builder.header("grpc-status", "12").body(Full::default().boxed()).unwrap()),
    };
    let message = grpc::Answer { status }.encode_to_vec();
    let mut frame = vec![0, 0, 0, 0, u8::try_from(message.len()).unwrap()];
    frame.extend(message);
    let mut trailers = ::http::HeaderMap::new();
    trailers.insert("grpc-status", ::http::HeaderValue::from_static("0"));
    let body = Full::new(bytes::Bytes::from(frame)).with_trailers(std::future::ready(Some(Ok(trailers))));
    Ok(builder.body(body.boxed()).unwrap())
}

#[tokio::test]
async fn health_services_are_asked() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let server = hyper::server::conn::http2::Builder::new(TokioExecutor::new());
            tokio::spawn(server.serve_connection(TokioIo::new(stream), service_fn(health)));
        }
    });
    let container = Container::default();
    let target = Target::new(Some([127, 0, 0, 1].into()), &container);
    for (service, want) in [("sick", "NOT_SERVING"), ("none", "does not implement")] {
        let action = GRPCAction { port: port.into(), service: Some(service.to_owned()) };
        let found = grpc::check(&target, &action, PATIENCE).await.unwrap_err();
        assert!(found.contains(want), "{found} lacks {want}");
    }
    let action = GRPCAction { port: port.into(), service: None };
    assert_eq!(grpc::check(&target, &action, PATIENCE).await, Ok(()));
}
