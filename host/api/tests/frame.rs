//! What holds whatever is asked: credentials, unknown paths, wrong methods, panics, limits, health, shutdown.

mod support;

use http::Method;
use support::Cluster;

fn nothing() -> gantry_objects::Objects {
    support::objects()
}

#[tokio::test]
async fn only_health_needs_no_credentials() {
    let cluster = Cluster::start(nothing()).await;
    let mut anonymous = cluster.connect(false).await;
    for path in ["/livez", "/readyz", "/healthz"] {
        let answer = anonymous.ask(Method::GET, path, &[], "").await;
        assert_eq!((answer.code.as_u16(), answer.text()), (200, "ok"), "{path}");
    }
    let verbose = anonymous.ask(Method::GET, "/readyz?verbose", &[], "").await;
    assert!(verbose.text().contains("readyz check passed"), "{}", verbose.text());
    for path in ["/", "/version", "/api/v1/pods", "/metrics", "/nowhere", "/dialect"] {
        let answer = anonymous.ask(Method::GET, path, &[], "").await;
        assert_eq!(answer.failure(), (401, "Unauthorized".into()), "{path}");
        let wrong = anonymous.ask(Method::GET, path, &[("authorization", "Bearer wrong")], "").await;
        assert_eq!(wrong.failure().0, 401, "{path}");
    }
    let viewer = [("authorization", "Bearer viewer-token")];
    assert_eq!(anonymous.ask(Method::GET, "/version", &viewer, "").await.code, 200);
    let denied = anonymous.ask(Method::DELETE, "/api/v1/namespaces/a/pods/b", &viewer, "").await;
    assert_eq!(denied.failure(), (403, "Forbidden".into()));
    cluster.handle.stop().await;
}

#[tokio::test]
async fn unknown_paths_wrong_methods_and_panics_are_statuses() {
    let cluster = Cluster::start(nothing()).await;
    for (method, path, want) in [
        (Method::GET, "/nowhere", (404, "NotFound")),
        (Method::GET, "/api/v9", (404, "NotFound")),
        (Method::GET, "/apis/none.example", (404, "NotFound")),
        (Method::GET, "/apis/none.example/v1/things", (404, "NotFound")),
        (Method::GET, "/api/v1/pods/a/b/c/d/e", (404, "NotFound")),
        (Method::POST, "/api", (405, "MethodNotAllowed")),
        (Method::PUT, "/api/v1/namespaces/a/configmaps", (405, "MethodNotAllowed")),
        (Method::GET, "/panic", (500, "InternalError")),
        (Method::OPTIONS, "/api/v1/namespaces/a/configmaps", (405, "MethodNotAllowed")),
    ] {
        let answer = cluster.ask(method.clone(), path, &[], "").await;
        assert_eq!(answer.failure(), (want.0, want.1.to_owned()), "{method} {path}");
    }
    assert_eq!(cluster.get("/dialect").await.text(), "spoken");
    assert_eq!(cluster.get("/metrics").await.text(), "gantry_up 1\n");
    let git = cluster.get("/version").await.json()["gitVersion"].as_str().unwrap().to_owned();
    assert!(git.starts_with("v1.33.0+gantry"), "{git}");
    cluster.handle.stop().await;
}

#[tokio::test]
async fn bodies_over_the_limit_get_413_and_garbage_gets_400() {
    let limits = gantry_api::Limits { body: 1000, ..Default::default() };
    let cluster = Cluster::start_with(nothing(), limits).await;
    let path = "/api/v1/namespaces/a/configmaps";
    let large = format!("{{\"data\":{{\"x\":\"{}\"}}}}", "y".repeat(1000));
    for (headers, body, want) in [
        (vec![], large.as_str(), 413),
        (vec![], "{", 400),
        (vec![], "[]", 400),
        (vec![], "\"x\"", 400),
        (vec![], "{\"apiVersion\":\"v2\"}", 400),
        (vec![("content-type", "application/yaml")], "a: [", 400),
        (vec![("content-type", "application/vnd.kubernetes.protobuf")], "k8s\0\u{1}", 400),
        (vec![("content-type", "text/html")], "x", 415),
        (vec![("content-type", "application/merge-patch+json")], "{}", 415),
        (vec![("content-encoding", "gzip")], "{}", 415),
        (vec![("accept", "text/html")], "{}", 406),
    ] {
        let answer = cluster.ask(Method::POST, path, &headers, body).await;
        assert_eq!(answer.failure().0, want, "{headers:?} {body:.20}");
    }
    for query in ["dryRun=x", "fieldValidation=x", "pretty=1&fieldManager=%0a"] {
        let answer = cluster.ask(Method::POST, &format!("{path}?{query}"), &[], "{}").await;
        assert_eq!(answer.failure().0, 422, "{query}");
    }
    cluster.handle.stop().await;
}

#[tokio::test]
async fn a_stopped_server_ends_open_connections() {
    let cluster = Cluster::start(nothing()).await;
    let mut client = cluster.connect(true).await;
    assert_eq!(client.ask(Method::GET, "/version", &[], "").await.code, 200);
    tokio::time::timeout(std::time::Duration::from_secs(5), cluster.handle.stop()).await.unwrap();
    let request = http::Request::get("/version").body(Default::default()).unwrap();
    assert!(client.sender.send_request(request).await.is_err());
}
