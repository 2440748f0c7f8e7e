//! What real kubectl asks for besides objects: discovery, explanations, access, identity.

mod support;

use support::Cluster;

#[tokio::test]
async fn kubectl_discovers_and_explains() {
    let cluster = Cluster::start(support::objects()).await;
    for version in support::versions(&["1.27", "1.30", "1.33"]) {
        let resources = cluster.kubectl(version, &["api-resources", "--no-headers"]).await;
        assert!(
            resources.lines().any(|l| l.split_whitespace().eq(["lifts", "lf", "gantry.test/v1", "true", "Lift"])),
            "{resources}"
        );
        let versions = cluster.kubectl(version, &["api-versions"]).await;
        assert!(versions.lines().any(|l| l == "gantry.test/v1") && versions.lines().any(|l| l == "v1"), "{versions}");
        let explained = cluster.kubectl(version, &["explain", "lift.spec.color"]).await;
        assert!(explained.contains("Of the paint.") && explained.contains("<string>"), "{explained}");
        let explained = cluster.kubectl(version, &["explain", "lift", "--recursive"]).await;
        assert!(explained.contains("A Lift raises replicas") && explained.contains("replicas"), "{explained}");
        let server = cluster.kubectl(version, &["version", "-o", "json"]).await;
        assert!(server.contains("+gantry"), "{server}");
    }
    cluster.handle.stop().await;
}

#[tokio::test]
async fn kubectl_asks_who_and_whether() {
    let cluster = Cluster::start(support::objects()).await;
    for version in support::versions(&["1.27", "1.28", "1.33"]) {
        assert_eq!(cluster.kubectl(version, &["auth", "can-i", "delete", "pods"]).await.trim(), "yes");
        let list = cluster.kubectl(version, &["auth", "can-i", "--list"]).await;
        assert!(list.contains("*.*"), "{list}");
        let who = cluster.kubectl(version, &["auth", "whoami"]).await;
        assert!(who.contains("gantry-admin") && who.contains("system:masters"), "{who}");
        let viewer = cluster.kubeconfig_with_token("viewer-token");
        let denied = cluster.run(version, &["--kubeconfig", &viewer, "auth", "can-i", "delete", "pods"], "").await;
        assert!(!denied.status.success(), "{denied:?}");
    }
    cluster.handle.stop().await;
}

#[tokio::test]
async fn whoever_does_not_say_who_it_is_makes_room() {
    let limits = gantry_api::Limits {
        connections: 2,
        patience: std::time::Duration::from_millis(200),
        ..gantry_api::Limits::default()
    };
    let cluster = Cluster::start_with(support::objects(), limits).await;
    let mut silent = cluster.tls(false, &[]).await;
    let stranger = cluster.tls(false, &["h2"]).await;
    let executor = hyper_util::rt::TokioExecutor::new();
    let (mut asks, connection) =
        hyper::client::conn::http2::handshake(executor, hyper_util::rt::TokioIo::new(stranger)).await.unwrap();
    // Answers pings for as long as it lives, which would keep it for ever.
    let connection = tokio::spawn(connection);
    let request = http::Request::get("https://127.0.0.1/livez").body(http_body_util::Empty::<bytes::Bytes>::new());
    assert_eq!(asks.send_request(request.unwrap()).await.unwrap().status(), 200);
    // Both places are taken until the server takes them back.
    assert_eq!(cluster.get("/version").await.code, 200);
    assert_eq!(tokio::io::AsyncReadExt::read(&mut silent, &mut [0]).await.unwrap_or(0), 0);
    let _ = connection.await.unwrap();
}
