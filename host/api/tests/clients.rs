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
