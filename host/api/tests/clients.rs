//! What real kubectl asks for besides objects: discovery, explanations, access, identity, processes.

mod support;

use std::time::Duration;

use gantry_objects::Binding;
use serde_json::json;
use support::Cluster;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};

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

#[tokio::test]
async fn viewers_are_told_what_they_may_read() {
    let cluster = Cluster::start(support::stored().await).await;
    for version in support::versions(&["1.27", "1.33"]) {
        let viewer = cluster.kubeconfig_with_token("viewer-token");
        let list = cluster.kubectl(version, &["--kubeconfig", &viewer, "auth", "can-i", "--list"]).await;
        assert!(list.lines().any(|line| line.starts_with("configmaps ")), "{list}");
        assert!(!list.contains("secrets") && !list.contains("*.*"), "{list}");
        let allowed = cluster.run(version, &["--kubeconfig", &viewer, "auth", "can-i", "get", "secrets"], "").await;
        assert!(!allowed.status.success(), "{allowed:?}");
    }
    cluster.handle.stop().await;
}

/// A process that takes no input holds up what its client sends, and with it the news that the client has gone.
#[tokio::test]
async fn a_process_that_reads_nothing_ends_with_its_client() {
    let limits = gantry_api::Limits { pulse: Duration::from_millis(200), ..gantry_api::Limits::default() };
    let cluster = Cluster::start_with(support::stored().await, limits).await;
    let pods = cluster.objects.kinds().by_resource("", "v1", "pods").unwrap();
    let pod = json!({
        "apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p"},
        "spec": {"containers": [{"name": "c", "image": "i"}]},
    });
    cluster.objects.create(&pods, "default", pod, &Default::default()).await.unwrap();
    cluster.objects.bind(&Binding { namespace: "default", name: "p", node: "n", ..Binding::default() }).await.unwrap();
    // SPDY, then WebSocket.
    for version in support::versions(&["1.29", "1.33"]) {
        let sign = cluster.dir.path().join(format!("sign-{version}"));
        let mut child = cluster.command(version, &["exec", "-i", "p", "--", "deaf"]);
        let mut child = child.arg(&sign).spawn().unwrap();
        let mut stdin = child.stdin.take().unwrap();
        let input = tokio::spawn(async move {
            let piece = vec![b'x'; 1 << 16];
            while stdin.write_all(&piece).await.is_ok() {}
        });
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let first = tokio::time::timeout(Duration::from_secs(30), lines.next_line()).await.expect("it does not start");
        assert_eq!(first.unwrap().as_deref(), Some("here"));
        // Until everything on the way is full.
        let full = tokio::time::timeout(Duration::from_secs(3), lines.next_line()).await;
        assert!(full.is_err(), "kubectl {version} ended while its process ran: {full:?}");
        child.kill().await.unwrap();
        input.await.unwrap();
        let gone = async {
            while !sign.exists() {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(20), gone).await.expect("the process outlives its client");
        assert_eq!(std::fs::read_to_string(&sign).unwrap(), "4", "kubectl {version} was not held up");
    }
    cluster.handle.stop().await;
}
