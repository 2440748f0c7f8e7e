//! One request at a time.

use std::sync::atomic::Ordering;

use gantry_plugin::family::network::Operation;
use gantry_plugin::family::proxy::{Action, Manner, Pool, Redirect, Response, Weighted};
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::endpoint::Endpoint;
use crate::world::{World, connect, forward, manner, parsed, rule};

#[tokio::test]
async fn requests_are_noted_one_by_one() {
    let world = World::new();
    let a = Endpoint::start("a").await;
    world.pool("a", std::slice::from_ref(&a.address)).await;
    let gone = Action::Respond(Response { status: 410, content_type: String::new(), body: "gone".into() });
    world.serve(vec![rule("", "/old", gone), rule("", "/", forward("a"))]).await;
    world.get("a.example", "/new?key=secret").await;
    world.get("b.example", "/old").await;
    let visits = world.visits(2).await;
    for (visit, host, path, status, endpoint) in
        [(&visits[0], "a.example", "/new", 200, Some(a.address.as_str())), (&visits[1], "b.example", "/old", 410, None)]
    {
        assert_eq!(visit["server.address"], host);
        assert_eq!((&visit["url.path"], &visit["url.scheme"]), (&json!(path), &json!("http")), "without the query");
        assert_eq!(visit["http.response.status_code"], status);
        assert_eq!(visit["gantry.proxy.endpoint"].as_str(), endpoint);
        assert_eq!((&visit["client.address"], &visit["gantry.proxy.listener"]), (&json!("127.0.0.1"), &json!("l")));
        assert!(visit["http.server.request.duration"].as_f64().is_some_and(|seconds| seconds > 0.0), "{visit}");
    }
}

#[tokio::test]
async fn requests_go_where_rules_say() {
    let world = World::new();
    let (a, b) = (Endpoint::start("a").await, Endpoint::start("b").await);
    world.pool("a", std::slice::from_ref(&a.address)).await;
    world.pool("b", std::slice::from_ref(&b.address)).await;
    world.pool("none", &[]).await;
    let gone = Action::Respond(Response { status: 410, content_type: "text/html".into(), body: "gone".into() });
    let elsewhere = Action::Redirect(Redirect {
        status: 308,
        protocol: "https".into(),
        host: String::new(),
        port: "8443".into(),
        path: String::new(),
        query: String::new(),
    });
    let half =
        Action::Forward(vec![Weighted { backend: "a".into(), weight: 0 }, Weighted { backend: "b".into(), weight: 5 }]);
    world
        .serve(vec![
            rule("a.example", "/old", gone),
            rule("a.example", "/away", elsewhere),
            rule("a.example", "/none", forward("none")),
            rule("a.example", "/unknown", forward("unknown")),
            rule("a.example", "/half", half),
            rule("a.example", "/", forward("a")),
            rule("*.example", "/", forward("b")),
        ])
        .await;
    for (host, path, status, body) in [
        ("a.example", "/x?y=z", 200, "a 0\nGET /x?y=z HTTP/1.1"),
        ("A.Example:80", "/", 200, "a 0\n"),
        ("c.example", "/", 200, "b 0\n"),
        ("a.example", "/half", 200, "b 0\n"),
        ("a.example", "/old/x", 410, "gone"),
        ("a.example", "/none", 503, "nobody"),
        ("a.example", "/unknown", 503, "nobody"),
        ("other.test", "/", 404, "nothing"),
        ("a b", "/", 400, ""),
    ] {
        let (got, said) = world.get(host, path).await;
        assert!(got == status && said.contains(body), "{host}{path}: {got} {said}");
    }
    let away = world.raw("GET /away/x?q HTTP/1.1\r\nHost: a.example\r\nConnection: close\r\n\r\n").await;
    assert!(
        away.starts_with("HTTP/1.1 308") && away.contains("location: https://a.example:8443/away/x?q\r\n"),
        "{away}"
    );
}

#[tokio::test]
async fn what_a_client_may_not_say() {
    let world = World::new();
    let a = Endpoint::start("a").await;
    world.pool("a", std::slice::from_ref(&a.address)).await;
    world.serve(vec![rule("", "/", forward("a"))]).await;
    let many: String = (0..200).map(|n| format!("X-{n}: y\r\n")).collect();
    let long = format!("X-Long: {}\r\n", "y".repeat(100_000));
    for (head, want) in [
        ("GET / HTTP/1.1\r\n".to_owned(), 400),
        ("GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n".to_owned(), 400),
        ("GET / HTTP/1.1\r\nHost: a@b\r\n".to_owned(), 400),
        (format!("GET / HTTP/1.1\r\nHost: a\r\n{many}"), 431),
        (format!("GET / HTTP/1.1\r\nHost: a\r\n{long}"), 431),
        ("CONNECT a:443 HTTP/1.1\r\nHost: a:443\r\n".to_owned(), 405),
        ("GET / HTTP/1.0\r\n".to_owned(), 200),
        ("GET http://b.example/ HTTP/1.1\r\nHost: a\r\n".to_owned(), 200),
        ("nonsense\r\n".to_owned(), 400),
    ] {
        let answer = world.raw(&format!("{head}Connection: close\r\n\r\n")).await;
        assert_eq!(parsed(&answer).0, want, "{}: {answer}", &head[..head.len().min(60)]);
    }
}

#[tokio::test]
async fn headers_are_passed_on_but_for_those_between_neighbours() {
    let world = World::new();
    let a = Endpoint::start("a").await;
    world.pool("a", std::slice::from_ref(&a.address)).await;
    world.serve(vec![rule("", "/", forward("a"))]).await;
    let answer = world
        .raw(
            "GET /p HTTP/1.1\r\nHost: Name.Example:8080\r\nConnection: close, x-mine\r\nX-Mine: 1\r\nTE: gzip\r\n\
             X-Forwarded-For: 192.0.2.1\r\nX-Forwarded-Proto: https\r\nX-Kept: 2\r\n\r\n",
        )
        .await;
    let seen = answer.to_ascii_lowercase();
    let port = world.port;
    for line in [
        "host: name.example:8080",
        "x-kept: 2",
        "x-forwarded-for: 192.0.2.1, 127.0.0.1",
        "x-forwarded-proto: http\r",
        "x-forwarded-host: name.example:8080",
        &format!("x-forwarded-port: {port}"),
        "x-own: yes",
    ] {
        assert!(seen.contains(line), "{line} in {answer}");
    }
    for line in ["x-mine", "te: gzip", "keep-alive:", "x-hop"] {
        assert!(!seen.contains(line), "{line} in {answer}");
    }
}

#[tokio::test]
async fn bodies_of_any_size_and_kind() {
    let world = World::new();
    let a = Endpoint::start("a").await;
    world.pool("a", std::slice::from_ref(&a.address)).await;
    world.serve(vec![rule("", "/", forward("a"))]).await;
    let body = "x".repeat(3_000_000);
    let text =
        format!("POST / HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: {}\r\n\r\n{body}", body.len());
    assert!(parsed(&world.raw(&text).await).1.starts_with("a 3000000\n"));
    let text =
        "POST / HTTP/1.1\r\nHost: a\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n";
    let (status, said) = parsed(&world.raw(text).await);
    assert!(status == 200 && said.to_ascii_lowercase().contains("transfer-encoding: chunked"), "{said}");
}

#[tokio::test]
async fn connections_to_endpoints_are_kept() {
    let world = World::new();
    let a = Endpoint::start("a").await;
    world.pool("a", std::slice::from_ref(&a.address)).await;
    world.serve(vec![rule("", "/", forward("a"))]).await;
    for _ in 0..20 {
        assert_eq!(world.get("a", "/").await.0, 200);
    }
    // Its own `connection: x-hop` says nothing about closing.
    assert!(a.connections.load(Ordering::SeqCst) <= 3, "{}", a.connections.load(Ordering::SeqCst));
}

#[tokio::test]
async fn a_connection_may_become_a_tunnel() {
    let world = World::new();
    let a = Endpoint::start("a").await;
    world.pool("a", std::slice::from_ref(&a.address)).await;
    world.serve(vec![rule("", "/", forward("a"))]).await;
    let mut stream = connect(world.port).await;
    let head = "GET /echo HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n";
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut seen = Vec::new();
    while !seen.ends_with(b"\r\n\r\n") {
        seen.push(stream.read_u8().await.unwrap());
    }
    let seen = String::from_utf8(seen).unwrap();
    assert!(seen.starts_with("HTTP/1.1 101") && seen.contains("upgrade: websocket"), "{seen}");
    for word in ["ping", "pong and more"] {
        stream.write_all(word.as_bytes()).await.unwrap();
        let mut back = vec![0; word.len()];
        stream.read_exact(&mut back).await.unwrap();
        assert_eq!(back, word.as_bytes());
    }
    // It outlives the rules that led there.
    world.serve(vec![]).await;
    stream.write_all(b"still").await.unwrap();
    let mut back = [0; 5];
    stream.read_exact(&mut back).await.unwrap();
    assert_eq!(&back, b"still");
}

#[tokio::test]
async fn an_endpoint_that_does_not_answer_is_given_up() {
    let world = World::new();
    let a = Endpoint::start("a").await;
    let manner = Manner { timeout_ms: 200, ..manner() };
    let pool = Pool { name: "a".into(), manner, endpoints: vec![a.address.clone()] };
    world.apply(vec![Operation::EnsurePool(pool)]).await;
    world.serve(vec![rule("", "/", forward("a"))]).await;
    assert_eq!(world.get("a", "/never").await.0, 504);
    assert_eq!(world.get("a", "/").await.0, 200);
}
